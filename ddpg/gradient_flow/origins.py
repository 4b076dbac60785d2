"""Where the gradient in a leaf's `.grad` came from."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from ddpg.gradient_flow.records import Contribution
from ddpg.gradient_flow.tensors import is_zero

_REMEMBERED = 8


@dataclass
class _Account:
    contributions: list[Contribution] = field(default_factory=list)
    explained: TensorWeakRef | None = None  # the tensor in `.grad` that they add up to
    pending: bool = False  # a pass is about to add to it


class Origins:
    """Keeps account of what adds up to each leaf's gradient.

    Args:
        before_dropping: called before contributions that no step has applied are forgotten.
    """

    def __init__(self, before_dropping: Callable[[], None]) -> None:
        self._before_dropping = before_dropping
        self._accounts = WeakTensorKeyDictionary()
        # What tensors that were, or may become, somebody's `.grad` are made of.
        self._made_of = WeakTensorKeyDictionary()

    def add(self, tensor: Tensor, contribution: Contribution) -> None:
        """A pass is about to add to `.grad`."""
        contributions = self.of(tensor)
        applied = [each for each in contributions if each.applied]
        for each in applied[:-_REMEMBERED]:  # where nobody ever clears the gradient
            contributions.remove(each)
        contributions.append(contribution)
        self._accounts[tensor].pending = True

    def added(self, tensor: Tensor) -> None:
        """The pass has added to `.grad`: it is now what the contributions make up."""
        account = self._accounts[tensor]
        if account.pending:
            account.pending = False
            self._explain(tensor, account)

    def handed_out(self, gradient: Tensor, contribution: Contribution) -> None:
        """`torch.autograd.grad` returned a gradient, which the user may put into `.grad`."""
        self._made_of[gradient] = [contribution]

    def of(self, tensor: Tensor) -> list[Contribution]:
        """The contributions that make up `.grad` as it is now."""
        account: _Account = self._accounts.setdefault(tensor, _Account())
        gradient = tensor.grad
        if gradient is None:
            self._drop(account)
        elif account.pending or (account.explained is not None and account.explained() is gradient):
            if is_zero(gradient) and any(each.norm for each in account.contributions):
                self._drop(account)  # zeroed in place
            elif not account.contributions and not is_zero(gradient):
                account.contributions = [Contribution(None)]  # filled in place
        elif is_zero(gradient):  # zeroed by another tensor
            self._drop(account)
        else:  # another tensor than the passes left there
            for each in account.contributions:
                each.replaced = True
            account.contributions = list(self._made_of.get(gradient) or [Contribution(None)])
        self._explain(tensor, account)
        account.pending = False
        return account.contributions

    def applied_by_hand(self, tensor: Tensor, event: int) -> None:
        """The user has changed a parameter: what was in its `.grad` is applied."""
        if tensor in self._accounts:
            for each in self._accounts[tensor].contributions:
                each.applied.append(event)

    def _explain(self, tensor: Tensor, account: _Account) -> None:
        account.explained = None
        if tensor.grad is not None:
            account.explained = TensorWeakRef(tensor.grad)
            self._made_of[tensor.grad] = account.contributions

    def _drop(self, account: _Account) -> None:
        if not all(each.applied for each in account.contributions):
            self._before_dropping()
        account.contributions = []
