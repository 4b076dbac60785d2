"""The optimizer steps under way, and what becomes of the gradients that they find."""

import gc
import inspect
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor
from torch.optim import Optimizer

from ddpg.gradient_flow.origins import Origins
from ddpg.gradient_flow.places import Site, call_stack, innermost
from ddpg.gradient_flow.record import Record
from ddpg.gradient_flow.records import Backward, Contribution, Held, Loss, Lost, Rows, Span, Step, Stepping
from ddpg.gradient_flow.tensors import differ, norm, rows_of
from ddpg.gradient_flow.weights import Parameter

_OPTIMIZER = inspect.getfile(Optimizer)
_MOST_UNNAMED = 100
_MOST_ALIKE = 4


@dataclass
class _Leaf:
    """A parameter whose optimizer is in the midst of a step.

    Attributes:
        before: its values at the start, unless an audited module has it.
        contributions: what its gradient was made up of at the start.
        gradient: the norm of that gradient; None if there was none.
        inside: what passes inside the step have added.
    """

    tensor: Tensor
    before: Tensor | None
    contributions: list[Contribution]
    gradient: float | None
    inside: list[Contribution] = field(default_factory=list)


class OpenSteps:
    """Records the steps of optimizers; one that runs inside another's step is part of that.

    Attributes:
        origins: of every gradient.
    """

    def __init__(self, record: Record) -> None:
        self.origins = Origins(self._dropped)
        self._record = record
        self._weights = record.weights
        self._weights.applied_by_hand = self.origins.applied_by_hand
        self._running: list[tuple[Optimizer, FrameType]] = []
        self._step: Step  # the outermost that runs
        self._leaves: dict[int, _Leaf] = {}  # by the id of the tensor
        self._reached: set[str] = set()  # by the passes since the latest step before them
        self._stepped = True
        self._numbers = itertools.count()
        self._optimizers: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._alike: dict[object, list[tuple[ref[Optimizer], int]]] = defaultdict(list)

    @property
    def under_way(self) -> bool:
        """Whether an optimizer is in the midst of a step."""
        return bool(self._running)

    def close(self) -> None:
        """Let go of every tensor."""
        self._running.clear()
        self._leaves.clear()
        self.origins.close()

    def pass_begins(self) -> None:
        """Look anew at what passes reach, if there was a step since."""
        if self._stepped:
            self._reached, self._stepped = set(), False

    def pass_ended(self, entry: Backward) -> None:
        """Record a backward pass."""
        self._reached |= entry.contributions.keys()
        self._record.backwards.append(entry)

    def arrived(self, tensor: Tensor, contribution: Contribution) -> None:
        """Note that a pass is about to add to the gradient of a leaf."""
        self.origins.add(tensor, contribution)
        if id(tensor) in self._leaves:
            contribution.apply(self._step.index, self._step.of)
            self._leaves[id(tensor)].inside.append(contribution)

    def _dropped(self, tensor: Tensor, contributions: list[Contribution], how: str, site: Site | None) -> None:
        """Note that contributions to the gradient of a leaf are no longer there."""
        if self._running:  # what changes in the midst of a step is the step's doing
            if id(tensor) in self._leaves and self._moved_meanwhile(self._leaves[id(tensor)]):
                for each in contributions:
                    if not each.applied:
                        each.apply(self._step.index, self._step.of)
        elif not all(each.applied for each in contributions):
            self._weights.observe()
        for each in contributions:
            if each.backward is not None and not each.applied and not each.replaced and each.lost is None:
                each.backward.parted = self._weights.event
                steps = (step.of for step in self._record.steps.latest if step.index > each.backward.index)
                each.lose(Lost(how, site, next(steps, None)))

    def _moved_meanwhile(self, leaf: _Leaf) -> bool:
        named = self._weights.named().get(id(leaf.tensor))
        before = self._weights.before(named.key) if named is not None else leaf.before
        return before is not None and differ(before, leaf.tensor)

    def begin(self, optimizer: Optimizer, tensors: Iterable[Tensor]) -> None:
        """An optimizer that holds these parameters is about to step."""
        running = _frames()[1:]  # without this one, which would hold itself, and all others with it
        frame = next(each for each in running if each.f_code.co_filename == _OPTIMIZER)
        self._running = [each for each in self._running if each[1] in running]  # others ended in an error
        held = {id(each): each for each in tensors}
        named = self._weights.named_with(held.values())
        if self._running:  # an optimizer inside an optimizer: one step
            self._hold({id_: each for id_, each in held.items() if id_ not in self._leaves}, named)
            self._running.append((optimizer, frame))
            return
        self._weights.observe(named)
        self._step = Step(self._record.next_index(), self._stepping(optimizer, held, named))
        self._leaves.clear()
        self._hold(held, named)
        self._running.append((optimizer, frame))
        for backward in reversed(self._record.backwards.latest):
            if backward.followed_by is not None:
                break
            backward.followed_by = self._step.of

    def _stepping(self, optimizer: Optimizer, held: Mapping[int, Tensor], named: Mapping[int, Parameter]) -> Stepping:
        """Return the steps that this one is among."""
        record = self._record
        own = [named[id_] for id_ in held if id_ in named]
        owners = {name for each in own for name in each.names}
        holds = tuple(name for name in self._weights.parts if name in owners)
        stack = call_stack()
        line = stack[0], innermost(stack)
        if optimizer not in self._optimizers:
            keys = tuple(each.key for each in own)
            self._optimizers[optimizer] = self._number(optimizer, (type(optimizer), line, keys, len(held)))
        number = self._optimizers[optimizer]
        kind = number, line, holds
        if kind not in record.steppings:
            record.steppings[kind] = Stepping(
                record.steppings,
                record.lines,
                type(optimizer).__name__,
                number,
                _settings(optimizer),
                record.discovery.word_for(optimizer) if record.discovery is not None else "",
                record.made_at.get(optimizer),
                record.names,
                holds,
            )
        stepping = record.steppings[kind]
        stepping.meets(stack)
        stepping.steps += 1
        if len(record.orphans) < 1000:
            strangers = (each for id_, each in held.items() if id_ not in named)
            record.orphans |= {self._weights.key_of(each, named): each.shape for each in strangers}
        return stepping

    def _number(self, optimizer: Optimizer, signature: object) -> int:
        """Return a number for an optimizer: that of an earlier one made in its place, over the same parameters."""
        alike = self._alike[signature]
        if len(alike) >= _MOST_ALIKE and all(each() is not None for each, _ in alike):
            # Optimizers are parts of circles: most of those let go of lately are found among what is young.
            gc.collect(2 if len(alike) >= 8 * _MOST_ALIKE else 1)
        reused = next((place for place, (each, _) in enumerate(alike) if each() is None), None)
        number = alike.pop(reused)[1] if reused is not None else next(self._numbers)
        alike.append((ref(optimizer), number))
        return number

    def _hold(self, held: Mapping[int, Tensor], named: Mapping[int, Parameter]) -> None:
        for id_, tensor in held.items():
            before = None if id_ in named else tensor.detach().clone()
            length = None if tensor.grad is None else norm([tensor.grad])
            self._leaves[id_] = _Leaf(tensor, before, list(self.origins.of(tensor, length)), length)
            for each in self.origins.just_dropped(tensor):
                lost = each.lost
                if lost is not None and lost.after is None and lost.how != "skipped":
                    each.lose(Lost(lost.how, lost.site, None, self._step.of))

    def end(self, optimizer: Optimizer) -> None:
        """Record the step, unless it is part of another."""
        while self._running:
            if self._running.pop()[0] is optimizer:
                break
        else:
            return
        if not self._running:
            self._finish()
            self._leaves.clear()
            self._record.idle.pop(id(optimizer), None)

    def _finish(self) -> None:
        weights, step, stepping = self._weights, self._step, self._step.of
        named = weights.named()
        applied: dict[str, list[float]] = defaultdict(list)
        sources: dict[str, dict[int, Backward | None]] = defaultdict(dict)
        rows = {id_: self._rows(leaf.tensor, named[id_].key) for id_, leaf in self._leaves.items() if id_ in named}
        # What a step moves that its optimizer does not hold shows by the tensor's version, at less cost.
        changed = weights.changes(weights.may_have_changed(named, self._leaves))
        dead = self._reached.isdisjoint(weights.key_of(leaf.tensor, named) for leaf in self._leaves.values())
        zeros: dict[str, bool] = {}  # of the modules that moved, those that did by a gradient of zeros alone
        sudden: dict[str, bool] = defaultdict(bool)  # and whether a pass gave the zeros that had given more before
        for id_, leaf in self._leaves.items():
            tensor, contributions, gradient = leaf.tensor, leaf.contributions, leaf.gradient
            key = weights.key_of(tensor, named)
            held = stepping.held.setdefault(key, Held(tensor.numel()))
            moved = id_ in changed if leaf.before is None else differ(leaf.before, tensor)
            if leaf.inside:  # a closure has run backward passes: what counts is what is there now
                still_there = self.origins.of(tensor)
                contributions = [each for each in contributions if each in still_there] + leaf.inside
                gradient = None if tensor.grad is None else norm([tensor.grad])
            used = gradient is not None or any(each.applied[-1:] == [step.index] for each in leaf.contributions)
            held.moved += moved
            held.gradients += used
            held.frozen += not tensor.requires_grad
            held.squares += (gradient or 0.0) ** 2
            held.drifted += moved and gradient is None and not used
            edited = rows.get(id_)
            if edited is not None:
                held.rows = edited if held.rows is None else held.rows.together(edited)
            dead = dead and not gradient and not used
            if gradient is not None:
                self._credit(held, key, contributions, moved, gradient, self.origins.is_mixed(tensor))
            for name in named[id_].names if id_ in named else ():
                applied[name].append(gradient or 0.0)
                if moved:
                    zeros[name] = zeros.get(name, True) and gradient == 0
                    sudden[name] |= bool(contributions) and held.squares > 0
                if gradient is not None and contributions:
                    sources[name] |= {id(each.backward): each.backward for each in contributions}
        stepping.dead += dead
        stepping.drifts.update((name, sudden[name]) for name, zero in zeros.items() if zero)
        changes: dict[str, list[float]] = defaultdict(list)
        for id_, change in changed.items():
            for name in named[id_].names:
                changes[name].append(change)
        step.moved = {name: math.hypot(*changes[name]) for name in weights.parts if name in changes}
        step.applied = {name: math.hypot(*applied[name]) for name in stepping.all_held}
        step.sources = {name: tuple(sources[name].values()) for name in stepping.all_held if name in sources}
        self._record.steps.append(step)
        self._stepped = True
        self._forget()

    def _credit(
        self, held: Held, key: str, contributions: Sequence[Contribution], moved: bool, gradient: float, mixed: bool
    ) -> None:
        """Count what a step has applied to one parameter; of a gradient that is `mixed` what is left over is meant."""
        step, stepping = self._step, self._step.of
        if not math.isfinite(gradient) and not moved:  # a fused optimizer has left it out for the scaler
            for each in contributions:
                each.lose(Lost("skipped"))
            return
        known = [each for each in contributions if each.backward is not None and each.norm]
        fresh: list[Backward] = []
        stale: set[tuple[Loss, bool]] = set()
        for position, each in enumerate(known):
            assert each.backward is not None
            loss, by = each.backward.of, each.by
            if not mixed and self._is_stale(key, each, known[position + 1 :]):
                stale.add((loss, any(index < step.index for index in each.applied)))
                continue
            fresh.append(each.backward)
            if moved:
                held.sources.setdefault(loss, Span(step.index, step.index)).seen(step.index)
                if not mixed and by is not None and by.number != stepping.number and position == len(known) - 1:
                    held.twice[loss, by] += 1
        held.stale.update(stale)
        for position, later in enumerate(fresh if not mixed else ()):
            for earlier in fresh[:position]:
                if earlier.of is not later.of:
                    parted = earlier.parted is not None and earlier.parted <= later.index
                    held.together[earlier.of, later.of, parted] += 1
        for each in contributions:
            if not each.applied or each.applied[-1] != step.index:
                each.apply(step.index, stepping if moved else None)

    def _is_stale(self, key: str, one: Contribution, others: Sequence[Contribution]) -> bool:
        """Whether a contribution is left over from before a step, and a later pass has added to it.

        Of a step that holds the parameter, if that has applied it already or the later pass is another loss's. Of a
        step that does not, if it was that step's affair: it moved something by the same pass, to which the gradient
        went through the parameter's module, or the pass reached nothing else of what the optimizer now moves by the
        later one, or part of what it gave was cleared before that.
        """
        backward = one.backward
        assert backward is not None
        for other in others:
            later = other.backward
            assert later is not None
            for step in reversed(self._record.steps.latest):
                if step.index < backward.index:
                    break
                if step.index > later.index:
                    continue
                if key in step.of.held:
                    if later.of is not backward.of or step.index in one.applied:
                        return True
                elif later.of is not backward.of:
                    kin = self._weights.kin(key)
                    through = self._record.behind(backward.structure, kin)
                    moved = {each.key for each in backward.contributions.values() if step.index in each.applied}
                    own = self._step.of.held.keys() - kin
                    foreign = not own.isdisjoint(later.contributions) and own.isdisjoint(backward.contributions)
                    parted = backward.parted is not None and backward.parted <= later.index
                    if moved and (not moved.isdisjoint(through) or foreign or parted):
                        return True
        return False

    def _rows(self, tensor: Tensor, key: str) -> Rows | None:
        """Return which rows of a gradient the user's code has zeroed, now or before, when a step has been taken."""
        held = self._step.of.held.get(key)
        before, known = self._weights.before(key), held.rows if held is not None else None
        if before is None or tensor.grad is None:
            return None
        if known is not None:
            known.look(before)
        found = self.origins.rows(tensor)
        if found is None and known is not None and (now := rows_of(tensor.grad)) is not None:
            found = known.site, torch.zeros_like(now), now
        if found is None:
            return None
        site, zeroed, alive = found
        return Rows(site, zeroed, alive, torch.zeros_like(zeroed), before.clone(), zeroed & ~alive)

    def _forget(self) -> None:
        """Let go of parameters outside the audited modules that are no more, as of learners made anew for each task."""
        counted: list[dict[str, Any]] = [each.held for each in self._record.steppings.values()]
        counted += [each.uses for each in self._record.losses.values()]
        if any(len(each) > len(self._weights.owners) + _MOST_UNNAMED for each in counted):
            alive = self._weights.alive()
            for each in (*counted, self._record.orphans):
                for key in [key for key in each if key.startswith("#") and key not in alive]:
                    del each[key]


def _settings(optimizer: Optimizer) -> dict[str, float]:
    """Return those of an optimizer's settings that move weights without a gradient."""
    found: dict[str, float] = {}
    for group in optimizer.param_groups:
        for name in ("weight_decay", "momentum", "betas"):
            value = group.get(name)
            value = value[0] if isinstance(value, tuple) else value
            if isinstance(value, (int, float)) and value:
                found["momentum" if name == "betas" else name.replace("_", " ")] = float(value)
    return found


def _frames() -> list[FrameType]:
    """Return the call stack, innermost first."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames
