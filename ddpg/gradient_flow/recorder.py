"""The record of one audit while it is open."""

import gc
import inspect
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.weak import WeakTensorKeyDictionary

from ddpg.gradient_flow.origins import Origins
from ddpg.gradient_flow.passes import Pass
from ddpg.gradient_flow.places import caller
from ddpg.gradient_flow.records import Backward, Contribution, ParameterStep, Step, Write
from ddpg.gradient_flow.tensors import LEAST_EVIDENCE, aside, differ, has_values, is_blend, norm, wide
from ddpg.gradient_flow.trace import Tracer

_OPTIMIZER = inspect.getfile(Optimizer)


@dataclass
class Parameter:
    """A parameter of the audited modules: its key, and what each module calls it."""

    tensor: Tensor
    key: str
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class _OpenStep:
    step: Step
    optimizer: Optimizer
    frame: FrameType
    held: dict[int, Tensor]
    before: dict[int, Tensor]
    outer: "_OpenStep | None"
    inside: dict[int, list[Contribution]] = field(default_factory=lambda: defaultdict(list))


class Recorder:
    """What happens to named modules between `open` and `close`.

    Attributes:
        backwards, steps: in order.
        writes: for each parameter, its changes outside any step.
        owners: for each parameter, the modules that have it.
        held: keys of the parameters that some optimizer holds, stepping or not; known after `close`.
    """

    def __init__(self, modules: Mapping[str, nn.Module], trace: bool) -> None:
        self.names = list(modules)
        self.modules = dict(modules)
        self.backwards: list[Backward] = []
        self.steps: list[Step] = []
        self.writes: dict[str, list[Write]] = defaultdict(list)
        self.owners: dict[str, tuple[str, ...]] = {}
        self.held: set[str] = set()
        self.tracer = Tracer(self.modules) if trace else None
        self._events = 0
        self.origins = Origins(before_dropping=self._before_dropping)
        self._unnamed = WeakTensorKeyDictionary()  # keys of parameters outside the named modules
        self._numbers = itertools.count()
        self._optimizers: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._keys: dict[int, tuple[str, Tensor]] = {}
        self._taken: dict[str, int] = defaultdict(int)
        self._weights: dict[str, Tensor] = {}
        self._open_steps: list[_OpenStep] = []
        self._latest: dict[tuple[object, ...], Backward] = {}  # of each loss

    def open(self) -> None:
        """Note the weights as they are."""
        with aside():
            self._observe_writes()
        if self.tracer is not None:
            self.tracer.open()

    def close(self) -> None:
        """Note what is pending, and let go of every tensor and module."""
        if self.tracer is not None:
            self.tracer.close()
        with aside():
            self._observe_writes()
            self.held = self.held_by_optimizers()
        self.modules = {}
        self._weights.clear()
        self._keys.clear()
        self._latest.clear()
        self._open_steps.clear()
        self.origins = Origins(before_dropping=self._before_dropping)

    def held_by_optimizers(self) -> set[str]:
        """Keys of the parameters that optimizers hold: those that stepped, and where it matters any that exist."""
        held = {key for step in self.steps for key in step.parameters}
        seen = {key for each in self.backwards for key in each.graph_keys()} & self.owners.keys()
        if seen <= held:
            return held
        ids = {id(each.tensor): each.key for each in self.named().values()}
        kinds = _subclasses(Optimizer)
        for optimizer in (each for each in gc.get_objects() if type(each) in kinds):
            held |= {ids[id(each)] for each in _held(optimizer) if id(each) in ids}
        return held

    # Backward passes

    def open_pass(
        self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge], accumulate: bool
    ) -> "Pass":
        """A backward pass begins."""
        with aside():
            return Pass(self, outputs, inputs, accumulate)

    def next_index(self) -> int:
        """The next event's place in the order."""
        self._events += 1
        return self._events - 1

    def key_of(self, tensor: Tensor, named: Mapping[int, Parameter]) -> str:
        """What identifies a parameter in the record."""
        if id(tensor) in named:
            return named[id(tensor)].key
        if tensor not in self._unnamed:
            self._unnamed[tensor] = f"#{next(self._numbers)}"
        key: str = self._unnamed[tensor]
        return key

    def arrived(self, tensor: Tensor, contribution: Contribution) -> None:
        """A pass is about to add to `.grad` of a leaf."""
        self.origins.add(tensor, contribution)
        for opened in self._open_steps:
            if id(tensor) in opened.held:
                contribution.applied.append(opened.step.index)
                opened.inside[id(tensor)].append(contribution)

    # Steps

    def before_step(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""
        running = _frames()
        frame = next(each for each in running if each.f_code.co_filename == _OPTIMIZER)
        self._open_steps = [each for each in self._open_steps if each.frame in running]  # others ended in an error
        outer = self._open_steps[0] if self._open_steps else None
        held = {id(each): each for each in _held(optimizer)}
        with aside():
            named = self.named()
            if outer is not None:  # an optimizer inside an optimizer: one step
                new = {key: each for key, each in held.items() if key not in outer.held}
                self._hold(outer, new, named)
                self._open_steps.append(_OpenStep(outer.step, optimizer, frame, {}, {}, outer))
                return
            self._observe_writes(named)
            step = Step(
                self.next_index(), caller(), type(optimizer).__name__, self._number(optimizer), _settings(optimizer)
            )
            opened = _OpenStep(step, optimizer, frame, {}, {}, None)
            self._hold(opened, held, named)
            self._open_steps.append(opened)
            for backward in reversed(self.backwards):
                if backward.next_step is not None:
                    break
                backward.next_step = step

    def _number(self, optimizer: Optimizer) -> int:
        """What tells an optimizer from others, also from those made where an earlier one had been."""
        if optimizer not in self._optimizers:
            self._optimizers[optimizer] = next(self._numbers)
        return self._optimizers[optimizer]

    def after_step(self, optimizer: Optimizer) -> None:
        """An optimizer has stepped."""
        while self._open_steps:
            opened = self._open_steps.pop()
            if opened.optimizer is optimizer:
                break
        else:
            return
        if opened.outer is None:
            with aside():
                self._finish(opened)

    def _hold(self, opened: _OpenStep, held: dict[int, Tensor], named: Mapping[int, Parameter]) -> None:
        for key, tensor in held.items():
            if is_lazy(tensor) or not has_values(tensor):
                continue
            opened.held[key] = tensor
            if key not in named:
                opened.before[key] = tensor.detach().clone()
            state = ParameterStep(tensor.numel(), contributions=list(self.origins.of(tensor)))
            state.gradient = None if tensor.grad is None else norm([tensor.grad])
            opened.step.parameters[self.key_of(tensor, named)] = state
        names = {name for key in opened.step.parameters for name in self.owners.get(key, ())}
        opened.step.holds = tuple(name for name in self.names if name in names)

    def _finish(self, opened: _OpenStep) -> None:
        step, named = opened.step, self.named()
        applied: dict[str, list[float]] = defaultdict(list)
        sources: dict[str, dict[int, Backward | None]] = defaultdict(dict)
        changed = self._changes(named)
        for key, tensor in opened.held.items():
            state = step.parameters[self.key_of(tensor, named)]
            state.moved = key in changed if key in named else differ(opened.before[key], tensor)
            if opened.inside[key]:  # a closure has run backward passes: what counts is what is there now
                still_there = self.origins.of(tensor)
                state.contributions = [each for each in state.contributions if each in still_there]
                state.contributions += opened.inside[key]
                state.gradient = None if tensor.grad is None else norm([tensor.grad])
            state.stale = self._stale(state.contributions)
            for contribution in state.contributions if state.gradient is not None else ():
                contribution.applied.append(step.index)
            for name in named[key].names if key in named else ():
                applied[name].append(state.gradient or 0.0)
                if state.gradient is not None and state.contributions:
                    sources[name] |= {id(each.backward): each.backward for each in state.contributions}
        for name in self.names:
            changes = [change for key, change in changed.items() if name in named[key].names]
            if changes:
                step.moved[name] = norm(changes)
        step.applied = {name: math.hypot(*applied[name]) for name in step.holds}
        step.sources = {name: tuple(sources[name].values()) for name in step.holds if name in sources}
        self.steps.append(step)

    def _stale(self, contributions: Sequence[Contribution]) -> list[Contribution]:
        """Those older than some step before the latest one's pass: another loss's, or applied by that step."""
        known = [(each, each.backward) for each in contributions if each.backward is not None and each.norm]
        stale = []
        for position, (each, backward) in enumerate(known):
            for _, later in known[position + 1 :]:
                recent = itertools.takewhile(lambda step: step.index > backward.index, reversed(self.steps))  # noqa: B023
                between = [step.index for step in recent if step.index < later.index]
                if any(later.kind != backward.kind or index in each.applied for index in between):
                    stale.append(each)
                    break
        return stale

    # Weights

    def named(self) -> dict[int, Parameter]:
        """The audited modules' parameters as they are now, by id."""
        found: dict[int, Parameter] = {}
        for name, module in self.modules.items():
            for inner, tensor in module.named_parameters(remove_duplicate=False):
                # What functional_call puts in a parameter's place for a while is none.
                if isinstance(tensor, nn.Parameter) and not is_lazy(tensor) and has_values(tensor):
                    qualified = f"{name}.{inner}".replace("_orig_mod.", "")
                    if id(tensor) not in found:
                        found[id(tensor)] = Parameter(tensor, self._key(tensor, qualified))
                    found[id(tensor)].names.setdefault(name, qualified)
        self.owners |= {each.key: tuple(each.names) for each in found.values()}
        return found

    def _key(self, tensor: Tensor, qualified: str) -> str:
        """A parameter's first name; with a number behind it if another one has had that name."""
        if id(tensor) not in self._keys:
            taken = self._taken[qualified]
            self._keys[id(tensor)] = f"{qualified} ({taken + 1})" if taken else qualified, tensor
            self._taken[qualified] += 1
        return self._keys[id(tensor)][0]

    def _changes(self, named: Mapping[int, Parameter]) -> dict[int, Tensor]:
        """By how much each parameter differs from what it was at the last look, those that do; and look."""
        changes: dict[int, Tensor] = {}
        for key, each in named.items():
            now, before = each.tensor.detach(), self._weights.get(each.key)
            if before is None or (before.shape, type(before)) != (now.shape, type(now)):
                self._weights[each.key] = now.clone()
            elif differ(before, now):
                changes[key] = wide(now) - wide(before)
                self._weights[each.key] = now.clone()
        return changes

    def _observe_writes(self, named: Mapping[int, Parameter] | None = None) -> None:
        """Note which parameters have changed since the last look, which no step has done."""
        named = self.named() if named is None else named
        before = dict(self._weights)
        candidates = {each.key: each.tensor for each in named.values()}
        candidates |= {self._unnamed[tensor]: tensor for tensor in self._unnamed}
        sources: dict[str, str | None] = {}
        for key in self._changes(named):
            name, tensor = named[key].key, named[key].tensor
            if tensor.numel() >= LEAST_EVIDENCE:
                latest = self.writes[name][-1].source if self.writes[name] else None
                order = [latest, *candidates] if latest in candidates else list(candidates)
                sources[name] = next(
                    (
                        other
                        for other in order
                        if other is not None
                        and candidates[other] is not tensor
                        and is_blend(before[name], tensor, candidates[other])
                    ),
                    None,
                )
            else:
                sources[name] = ""  # too few numbers to tell by themselves
        for key in named:
            name = named[key].key
            if name in sources:
                # The small follow the large ones of their module.
                large = [
                    source
                    for other, source in sources.items()
                    if source != "" and not {*self.owners[other]}.isdisjoint(self.owners[name])
                ]
                source = sources[name] or next((each for each in large if each), None)
                self.writes[name].append(Write(self._events, source))
                if source is None:
                    self.origins.applied_by_hand(named[key].tensor, self._events)

    def _before_dropping(self) -> None:
        if not self._open_steps:  # what changes in the midst of a step is the step's doing
            self._observe_writes()

    def share(self, entry: Backward) -> None:
        """What is equal in one pass after another is kept once."""
        latest = self._latest.get(entry.kind)
        for name in ("leaves", "beside", "away", "bytes_by_reach", "work_by_reach", "stack"):
            if latest is not None and getattr(latest, name) == getattr(entry, name):
                setattr(entry, name, getattr(latest, name))
        self._latest[entry.kind] = entry


def _held(optimizer: Optimizer) -> list[Tensor]:
    groups = getattr(optimizer, "param_groups", ())  # none yet while it is being made
    return [each for group in groups for each in group["params"]]


def _subclasses(kind: type) -> set[type]:
    return {kind}.union(*(map(_subclasses, kind.__subclasses__())))


def _settings(optimizer: Optimizer) -> dict[str, float]:
    """Which of an optimizer's settings move weights without a gradient."""
    found: dict[str, float] = {}
    for group in optimizer.param_groups:
        for name in ("weight_decay", "momentum", "betas"):
            value = group.get(name)
            value = value[0] if isinstance(value, tuple) else value
            if isinstance(value, (int, float)) and value:
                found["momentum" if name == "betas" else name.replace("_", " ")] = float(value)
    return found


def _frames() -> list[FrameType]:
    """The call stack, innermost first."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames
