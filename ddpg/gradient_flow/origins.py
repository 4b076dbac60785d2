"""Keeps account of where the gradient in a leaf's `.grad` came from, and where it went."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from ddpg.gradient_flow.places import Site
from ddpg.gradient_flow.records import Contribution
from ddpg.gradient_flow.tensors import is_zero, rows_of

_REMEMBERED = 8
_MOST = 64


@dataclass
class _Account:
    contributions: list[Contribution] = field(default_factory=list)
    explained: TensorWeakRef | None = None  # the tensor in `.grad` that they add up to
    pending: bool = False  # a pass is about to add to it
    dropped: list[Contribution] = field(default_factory=list)  # what went since the latest pass or step
    rows: Tensor | None = None  # which rows had a gradient before the user's code changed it in place
    edited: Site | None = None


class Origins:
    """The passes that add up to each leaf's gradient.

    Args:
        dropped: called with contributions that are no longer there, a word for how they went, and the line if known.
    """

    def __init__(self, dropped: Callable[[Tensor, list[Contribution], str, Site | None], None]) -> None:
        self._dropped = dropped
        self._accounts = WeakTensorKeyDictionary()
        # What tensors that were, or may become, somebody's `.grad` are made of.
        self._made_of = WeakTensorKeyDictionary()
        self._mixed = WeakTensorKeyDictionary()  # those that the user's code has computed from others

    def close(self) -> None:
        """Let go of every tensor."""
        for each in (self._accounts, self._made_of, self._mixed):
            each.clear()

    def add(self, tensor: Tensor, contribution: Contribution) -> None:
        """Note that a pass is about to add to `.grad`."""
        account = self._look(tensor)
        contributions = account.contributions
        applied = [each for each in contributions if each.applied]
        for each in applied[:-_REMEMBERED]:  # where nobody ever clears the gradient
            contributions.remove(each)
        if len(contributions) >= _MOST:  # accumulation without end: of older passes the latest stand for the rest
            contributions.pop(0).replace()
        contributions.append(contribution)
        account.pending, account.dropped, account.rows = True, [], None

    def added(self, tensor: Tensor) -> None:
        """Note that the pass has added to `.grad`: it is now what the contributions make up."""
        account = self._accounts[tensor]
        if account.pending:
            account.pending = False
            self._explain(tensor, account)

    def handed_out(self, gradient: Tensor, contribution: Contribution) -> None:
        """Note a gradient that `torch.autograd.grad` returned, and that the user's code may put into `.grad`."""
        self._made_of[gradient] = [contribution]

    def derived(self, made: list[Tensor], arguments: list[Tensor]) -> None:
        """Note tensors that the user's code has computed from gradients, and may put into `.grad`."""
        sources = [self._made_of.get(each) for each in arguments if each in self._made_of]
        if sources:
            together = list(dict.fromkeys(each for contributions in sources for each in contributions))[-_MOST:]
            for tensor in made:
                if tensor not in self._made_of or tensor in self._mixed:  # else a gradient that is scaled in place
                    self._made_of[tensor] = together
                    self._mixed[tensor] = True

    def is_mixed(self, tensor: Tensor) -> bool:
        """Whether `.grad` is what the user's code has computed from gradients."""
        return tensor.grad is not None and tensor.grad in self._mixed

    def of(self, tensor: Tensor, length: float | None = None) -> list[Contribution]:
        """Return the contributions that make up `.grad` as it is now; its norm may be known."""
        return self._look(tensor, length=length).contributions

    def look(self, tensor: Tensor, how: str, site: Site | None) -> None:
        """Note that the user's code has just done something to `.grad`: what has gone, went there."""
        if tensor in self._accounts:
            self._look(tensor, how, site)

    def edited(self, gradient: Tensor, site: Site) -> list[Tensor]:
        """Note that the user's code is about to change a gradient in place, and return the leaves whose it is."""
        found = []
        for tensor, account in self._accounts.items():
            if tensor.grad is not None and _same_memory(tensor.grad, gradient):
                found.append(tensor)
                if account.rows is None:
                    account.rows, account.edited = rows_of(tensor.grad), site
        return found

    def rows(self, tensor: Tensor) -> tuple[Site, Tensor, Tensor] | None:
        """Return where the user's code has changed a gradient in place, the rows zeroed by that, and those not zero."""
        account: _Account | None = self._accounts.get(tensor)
        if account is None or account.rows is None or tensor.grad is None or account.edited is None:
            return None
        now = rows_of(tensor.grad)
        if now is None or now.shape != account.rows.shape:
            return None
        return account.edited, account.rows & ~now, now

    def just_dropped(self, tensor: Tensor) -> list[Contribution]:
        """Return what went since the latest pass that reached the tensor, or the latest call of this."""
        account: _Account | None = self._accounts.get(tensor)
        if account is None:
            return []
        found, account.dropped = account.dropped, []
        return found

    def applied_by_hand(self, tensor: Tensor, event: int) -> None:
        """Count what is in the `.grad` of a parameter as applied: the user's code has changed the parameter."""
        if tensor in self._accounts:
            for each in self._accounts[tensor].contributions:
                each.apply(event)

    def _look(
        self, tensor: Tensor, how: str = "gone", site: Site | None = None, length: float | None = None
    ) -> _Account:
        account: _Account | None = self._accounts.get(tensor)
        if account is None:
            account = self._accounts[tensor] = _Account()
        gradient = tensor.grad
        zero = gradient is not None and (is_zero(gradient) if length is None else length == 0)
        if gradient is None:
            self._drop(tensor, account, how, site)
        elif account.pending or (account.explained is not None and account.explained() is gradient):
            known = site is not None or any(each.norm for each in account.contributions)
            if account.contributions and known and zero:
                self._drop(tensor, account, how, site)  # zeroed in place
            elif not account.contributions and not zero:
                account.contributions = [Contribution(None)]  # filled in place
        elif zero:  # zeroed by another tensor
            self._drop(tensor, account, how, site)
        else:  # another tensor than the passes left there
            made_of = list(self._made_of.get(gradient) or [Contribution(None)])
            for each in account.contributions:
                if each not in made_of:
                    each.replace()
            account.contributions = made_of
        self._explain(tensor, account)
        account.pending = False
        return account

    def _explain(self, tensor: Tensor, account: _Account) -> None:
        if tensor.grad is None:
            account.explained = None
        elif account.explained is None or account.explained() is not tensor.grad:
            account.explained = TensorWeakRef(tensor.grad)
        if tensor.grad is not None:
            self._made_of[tensor.grad] = account.contributions

    def _drop(self, tensor: Tensor, account: _Account, how: str, site: Site | None) -> None:
        if account.contributions:
            account.dropped = account.contributions
            self._dropped(tensor, account.dropped, how, site)
            account.contributions = []
        account.rows = None


def _same_memory(one: Tensor, other: Tensor) -> bool:
    if one is other:
        return True
    if one.layout is not torch.strided or other.layout is not torch.strided or other.requires_grad:
        return False
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
