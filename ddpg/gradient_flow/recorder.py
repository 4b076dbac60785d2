"""The record of one audit while it is open."""

import gc
import inspect
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from ddpg.gradient_flow import private
from ddpg.gradient_flow.discovery import Discovery, subclasses
from ddpg.gradient_flow.graph import leaves_behind
from ddpg.gradient_flow.history import History
from ddpg.gradient_flow.interception import held_by, unwatch_calls, watch_calls
from ddpg.gradient_flow.levels import levels
from ddpg.gradient_flow.origins import Origins
from ddpg.gradient_flow.parts import Part
from ddpg.gradient_flow.passes import Pass
from ddpg.gradient_flow.places import Lines, Place, Site, call_stack, innermost
from ddpg.gradient_flow.records import (
    Backward,
    Contribution,
    Held,
    Loss,
    Lost,
    Rows,
    Step,
    Stepping,
    Structure,
    note,
)
from ddpg.gradient_flow.tensors import (
    aside,
    differ,
    has_values,
    norm,
    norms,
    rows_of,
)
from ddpg.gradient_flow.trace import Tracer
from ddpg.gradient_flow.weights import Parameter, Weights

_OPTIMIZER = inspect.getfile(Optimizer)
_MOST_UNNAMED = 100
_MOST_ALIKE = 4


@dataclass
class _OpenStep:
    step: Step
    optimizer: Optimizer
    frame: FrameType
    outer: "_OpenStep | None"
    held: dict[int, Tensor] = field(default_factory=dict)
    before: dict[int, Tensor] = field(default_factory=dict)  # of those that no audited module has
    start: dict[int, list[Contribution]] = field(default_factory=dict)
    gradients: dict[int, float] = field(default_factory=dict)  # their norms, of those that had one at the start
    inside: dict[int, list[Contribution]] = field(default_factory=lambda: defaultdict(list))


class Recorder:
    """What happens to named modules and tensors between `open` and `close`.

    Attributes:
        losses: by what tells one from another.
        steppings: likewise, the steps of an optimizer at a line.
        backwards, steps: one by one.
        origins: of every gradient.
        weights: of the audited modules and tensors.
        held: keys of the parameters that some optimizer holds, stepping or not; known after `close`.
        orphans: the shapes of the parameters that optimizers hold and no audited module has, by key.
        reads: keys of the parameters whose gradients the user's code has read, by line; with tracing.
        parents: with tracing, the modules of which audited ones were seen to be parts.
        ran: the modules that were called, and the line of the latest call; with tracing.
        skipped: steps that a gradient scaler left out.
        elsewhere: passes and steps of other threads, by the thread's name.
        declared: names that the user has said something of.
        discovery: finds what to look at, if nobody has named it.
        cut_short: whether the code was ended, so that gradients may be waiting for a step.
        idle: optimizers that were made and not seen stepping: their classes and lines.
        untraced: whether it was to be traced, and this PyTorch does not let it.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        trace: bool,
        frozen: Iterable[str] = (),
        shared: Iterable[str] = (),
        discovery: Discovery | None = None,
    ) -> None:
        self.lines = Lines()
        self.losses: dict[object, Loss] = {}
        self.steppings: dict[object, Stepping] = {}
        self.backwards: History[Backward] = History()
        self.steps: History[Step] = History()
        self.origins = Origins(self._dropped)
        self.weights = Weights(parts, frozen, lambda tensor, event: self.origins.applied_by_hand(tensor, event))
        self.names = self.weights.shown
        self.declared = {*frozen, *shared}
        self.discovery = discovery
        if discovery is not None:
            discovery.was_trained = self._was_trained
        self.idle: dict[int, tuple[str, Site]] = {}
        self.cut_short = False
        self._made: WeakKeyDictionary[Optimizer, Site] = WeakKeyDictionary()
        self.structures: dict[object, tuple[object, Structure]] = {}  # of graphs seen before
        self.held: set[str] = set()
        self.orphans: dict[str, torch.Size] = {}
        self.reads: dict[Site, set[str]] = defaultdict(set)
        self.parents: dict[str, set[int]] = defaultdict(set)
        self.ran: dict[str, Site] = {}
        self.skipped = 0
        self.elsewhere: dict[str, int] = defaultdict(int)
        self.tracer = Tracer(self) if trace and private.can_trace else None
        self.untraced = trace and self.tracer is None
        self._calls = _Calls(self) if discovery is not None and self.tracer is None else None
        self._open = False
        self._numbers = itertools.count()
        self._optimizers: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._alike: dict[object, list[tuple[ref[Optimizer], int]]] = defaultdict(list)
        self._open_steps: list[_OpenStep] = []
        self._reached: set[str] = set()  # by the passes since the latest step before them
        self._stepped = True

    def open(self) -> None:
        """Note the weights as they are."""
        with aside():
            self.weights.open()
        self._open = True
        if self.tracer is not None:
            self.tracer.open()
        if self._calls is not None:
            watch_calls(self._calls)

    def close(self) -> None:
        """Note what is pending, and let go of every tensor and module."""
        if self.tracer is not None:
            self.tracer.close()
        if self._calls is not None:
            unwatch_calls(self._calls)
        self.refresh()
        self._open = False
        if self.discovery is not None:
            self._keep_what_is_shown()
        self.weights.close()
        self._open_steps.clear()
        self.structures.clear()
        self.origins = Origins(self._dropped)

    def abandon(self) -> None:
        """Record no more, and leave it at that: this is another process."""
        if self.tracer is not None:
            self.tracer.close()
        self._open = False

    def refresh(self) -> None:
        """Note what has happened since the latest pass or step; once closed, there is nothing more."""
        if self._open:
            with aside():
                self.weights.refresh()
                for stepping in self.steppings.values():
                    for key, held in stepping.held.items():
                        now = self.weights.before(key) if held.rows is not None else None
                        if held.rows is not None and now is not None:
                            held.rows.look(now)
                self.held = self._held_by_optimizers()
                if self.discovery is not None:
                    self.weights.show(levels(self))

    # What nobody has named

    def _keep_what_is_shown(self) -> None:
        for backward in self.backwards.entries():
            for by_name in (backward.reached, backward.parameters, backward.structure.crossings):
                self._keep(by_name)
        for step in self.steps.entries():
            for each in (step.moved, step.applied, step.sources):
                self._keep(each)

    def _keep(self, by_name: dict[str, Any]) -> None:
        for name in by_name.keys() - set(self.names):
            del by_name[name]

    def made(self, optimizer: Optimizer) -> None:
        """There is a new optimizer."""
        with aside():
            self._made[optimizer] = self.lines.site()
            if len(self.idle) < _MOST_UNNAMED:
                self.idle[id(optimizer)] = type(optimizer).__name__, self._made[optimizer]
            self._find(held_by(optimizer))

    def settled(self) -> None:
        """A pass or a step is over."""

    def called(self, module: nn.Module) -> None:
        """A module is about to be called."""
        if self.discovery is not None and not self.discovery.knows(module):
            with aside():
                self._search(lambda discovery: discovery.around(module))

    def _was_trained(self, name: str) -> bool:
        """Whether an optimizer has stepped that holds some of the part."""
        held = {key for stepping in self.steppings.values() for key in stepping.held}
        return any(name in names and key in held for key, names in self.weights.names.items())

    def _find(self, tensors: Iterable[Tensor], reached: bool = False) -> None:
        self._search(lambda discovery: discovery.of(tensors, reached))

    def _search(self, search: Callable[[Discovery], list[Part]]) -> None:
        if self.discovery is None:
            return
        try:
            parts = search(self.discovery)
        except Exception as error:  # modules of libraries answer in ways of their own: the script is not to suffer
            self.discovery.trouble = f"{type(error).__name__}: {error}"
            return
        if parts:
            self.weights.add(parts)
            for part in parts:
                if part.inside:
                    self.parents[part.name].add(id(self.weights.parts[part.inside]))
            if self.tracer is not None:
                self.tracer.add(parts)

    def _held_by_optimizers(self) -> set[str]:
        """Keys of the parameters that optimizers hold: those that stepped, and where it matters any that exist."""
        held = {key for stepping in self.steppings.values() for key in stepping.held}
        seen = {key for each in self.losses.values() for key in each.uses}
        seen |= {
            key for each in self.losses.values() for structure in each.structures for key in structure.graph_keys()
        }
        if seen & self.weights.owners.keys() <= held:
            return held
        ids = {id(each.tensor): each.key for each in self.weights.named().values()}
        for optimizer in _optimizers():
            held |= {ids[id(each)] for each in held_by(optimizer) if id(each) in ids}
        return held

    # Backward passes

    def open_pass(
        self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge], accumulate: bool
    ) -> Pass:
        """A backward pass begins."""
        with aside():
            self._find(leaves_behind(outputs), reached=True)
            if self._stepped:
                self._reached, self._stepped = set(), False
            return Pass(self, outputs, inputs, accumulate)

    def passed(self, entry: Backward) -> None:
        """A backward pass has ended."""
        self._reached |= entry.contributions.keys()
        self.backwards.append(entry)

    def loss(self, kind: object, stack: tuple[Place, ...]) -> Loss:
        """The loss of this kind."""
        if kind not in self.losses:
            self.losses[kind] = Loss(self.losses, self.lines, len(self.losses) + 1)
        self.losses[kind].meets(stack)
        return self.losses[kind]

    @property
    def stepping(self) -> bool:
        """Whether an optimizer is in the midst of a step."""
        return bool(self._open_steps)

    def next_index(self) -> int:
        """The next event's place in the order."""
        self.weights.event += 1
        return self.weights.event - 1

    def arrived(self, tensor: Tensor, contribution: Contribution) -> None:
        """A pass is about to add to `.grad` of a leaf."""
        self.origins.add(tensor, contribution)
        for opened in self._open_steps:
            if id(tensor) in opened.held:
                contribution.apply(opened.step.index, opened.step.of)
                opened.inside[id(tensor)].append(contribution)

    def behind(self, structure: Structure, keys: Collection[str]) -> list[str]:
        """Keys of the other parameters that a gradient comes to through the operations of these."""
        through = structure.through(keys)
        found = (key for bit, key in enumerate(structure.leaves) if through >> bit & 1 and key is not None)
        return [key for key in found if key not in keys]

    def feeds_others(self, structure: Structure, keys: Collection[str]) -> bool:
        """Whether a gradient comes through these parameters' operations to a tensor that nobody has named."""
        through = structure.through(keys)
        return any(through >> bit & 1 and key is None for bit, key in enumerate(structure.leaves))

    # What the user's code does to gradients

    def about_to_clear(self, tensors: Iterable[Tensor]) -> None:
        """The user's code is about to call `zero_grad`: what has gone already did not go there."""
        with aside():
            for tensor in tensors:
                if tensor.grad is None:
                    self.origins.look(tensor, "gone", None)

    def cleared(self, tensors: Iterable[Tensor]) -> None:
        """The user's code has just called `zero_grad` of an optimizer or a module."""
        with aside():
            site = self.lines.site()
            for tensor in tensors:
                self.origins.look(tensor, "cleared", site)

    def left_out(self, optimizer: Optimizer) -> None:
        """A gradient scaler has left out a step."""
        with aside():
            self.skipped += 1
            lost = Lost("skipped", self.lines.site())
            for tensor in held_by(optimizer):
                for contribution in self.origins.of(tensor):
                    contribution.lose(lost)

    def ran_elsewhere(self, thread: str) -> None:
        """Another thread has run a backward pass or a step."""
        self.elsewhere[thread] += 1

    def _dropped(self, tensor: Tensor, contributions: list[Contribution], how: str, site: Site | None) -> None:
        """Contributions to `.grad` of a leaf are no longer there."""
        if self._open_steps:  # what changes in the midst of a step is the step's doing
            opened = self._open_steps[0]
            if id(tensor) in opened.held and self._moved_meanwhile(tensor, opened):
                for each in contributions:
                    if not each.applied:
                        each.apply(opened.step.index, opened.step.of)
        elif not all(each.applied for each in contributions):
            self.weights.observe()
        for each in contributions:
            if each.backward is not None and not each.applied and not each.replaced and each.lost is None:
                each.backward.parted = self.weights.event
                after = next((step.of for step in self.steps.latest() if step.index > each.backward.index), None)
                each.lose(Lost(how, site, after))

    def _moved_meanwhile(self, tensor: Tensor, opened: _OpenStep) -> bool:
        named = self.weights.named()
        before = self.weights.before(named[id(tensor)].key) if id(tensor) in named else opened.before.get(id(tensor))
        return before is not None and differ(before, tensor)

    # Steps

    def before_step(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""
        running = _frames()[1:]  # without this one, which would hold itself, and all others with it
        frame = next(each for each in running if each.f_code.co_filename == _OPTIMIZER)
        self._open_steps = [each for each in self._open_steps if each.frame in running]  # others ended in an error
        outer = self._open_steps[0] if self._open_steps else None
        with aside():
            held = {id(each): each for each in held_by(optimizer) if not is_lazy(each) and has_values(each)}
            self._find(held.values())
            named = self.weights.named_with(held.values())
            if outer is not None:  # an optimizer inside an optimizer: one step
                self._hold(outer, {key: each for key, each in held.items() if key not in outer.held}, named)
                self._open_steps.append(_OpenStep(outer.step, optimizer, frame, outer))
                return
            self.weights.observe(named)
            opened = _OpenStep(Step(self.next_index(), self._stepping(optimizer, held, named)), optimizer, frame, None)
            self._hold(opened, held, named)
            self._open_steps.append(opened)
            for backward in reversed(self.backwards.latest()):
                if backward.followed_by is not None:
                    break
                backward.followed_by = opened.step.of

    def _stepping(self, optimizer: Optimizer, held: Mapping[int, Tensor], named: Mapping[int, Parameter]) -> Stepping:
        """What this step is one of."""
        keys = [named[key].key for key in held if key in named]
        owners = {name for key in held if key in named for name in named[key].names}
        holds = tuple(name for name in self.weights.parts if name in owners)
        stack = call_stack()
        line = stack[0], innermost(stack)
        if optimizer not in self._optimizers:
            self._optimizers[optimizer] = self._number(optimizer, (type(optimizer), line, tuple(keys), len(held)))
        number = self._optimizers[optimizer]
        kind = number, line, holds
        if kind not in self.steppings:
            self.steppings[kind] = Stepping(
                self.steppings,
                self.lines,
                type(optimizer).__name__,
                number,
                _settings(optimizer),
                self.discovery.word_for(optimizer) if self.discovery is not None else "",
                self._made.get(optimizer),
                self.names,
                holds,
            )
        stepping = self.steppings[kind]
        stepping.meets(stack)
        stepping.steps += 1
        if len(self.orphans) < 1000:
            self.orphans |= {
                self.weights.key_of(each, named): each.shape for key, each in held.items() if key not in named
            }
        return stepping

    def _number(self, optimizer: Optimizer, signature: object) -> int:
        """A number for an optimizer: that of an earlier one made in its place, over the same parameters."""
        alike = self._alike[signature]
        if len(alike) >= _MOST_ALIKE and all(each() is not None for each, _ in alike):
            # Optimizers are parts of circles: most of those let go of lately are found among what is young.
            gc.collect(2 if len(alike) >= 8 * _MOST_ALIKE else 1)
        reused = next((place for place, (each, _) in enumerate(alike) if each() is None), None)
        number = alike.pop(reused)[1] if reused is not None else next(self._numbers)
        alike.append((ref(optimizer), number))
        return number

    def _hold(self, opened: _OpenStep, held: Mapping[int, Tensor], named: Mapping[int, Parameter]) -> None:
        with_gradients = {id_: tensor.grad for id_, tensor in held.items() if tensor.grad is not None}
        lengths = dict(zip(with_gradients, norms(list(with_gradients.values())), strict=True))
        opened.gradients |= lengths
        for id_, tensor in held.items():
            opened.held[id_] = tensor
            if id_ not in named:
                opened.before[id_] = tensor.detach().clone()
            opened.start[id_] = list(self.origins.of(tensor, lengths.get(id_)))
            for each in self.origins.just_dropped(tensor):
                lost = each.lost
                if lost is not None and lost.after is None and lost.how != "skipped":
                    each.lose(Lost(lost.how, lost.site, None, opened.step.of))

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
                self.idle.pop(id(optimizer), None)

    def _finish(self, opened: _OpenStep) -> None:
        step, stepping, named = opened.step, opened.step.of, self.weights.named()
        applied: dict[str, list[float]] = defaultdict(list)
        sources: dict[str, dict[int, Backward | None]] = defaultdict(dict)
        rows = {id_: self._rows(id_, tensor, stepping, named) for id_, tensor in opened.held.items()}
        # What a step moves that its optimizer does not hold shows by the tensor's version, at less cost.
        changed = self.weights.changes(self.weights.may_have_changed(named, opened.held))
        dead = not self._reached & {self.weights.key_of(each, named) for each in opened.held.values()}
        zeros: dict[str, bool] = {}  # of the modules that moved, those that did by a gradient of zeros alone
        sudden: dict[str, bool] = defaultdict(bool)  # and whether a pass gave the zeros that had given more before
        for id_, tensor in opened.held.items():
            key = self.weights.key_of(tensor, named)
            held = stepping.held.setdefault(key, Held(tensor.numel()))
            moved = id_ in changed if id_ in named else differ(opened.before[id_], tensor)
            contributions = opened.start[id_]
            gradient = opened.gradients.get(id_)
            if opened.inside[id_]:  # a closure has run backward passes: what counts is what is there now
                still_there = self.origins.of(tensor)
                contributions = [each for each in contributions if each in still_there] + opened.inside[id_]
                gradient = None if tensor.grad is None else norm([tensor.grad])
            used = gradient is not None or any(each.applied[-1:] == [step.index] for each in opened.start[id_])
            held.moved += moved
            held.gradients += used
            held.frozen += not tensor.requires_grad
            held.squares += (gradient or 0.0) ** 2
            held.drifted += moved and gradient is None and not used
            edited = rows[id_]
            if edited is not None:
                held.rows = edited if held.rows is None else held.rows.together(edited)
            dead = dead and not gradient and not used
            if gradient is not None:
                mixed = self.origins.is_mixed(tensor)
                self._credit(held, key, stepping, step, contributions, moved, gradient, mixed)
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
        step.moved = {name: math.hypot(*changes[name]) for name in self.weights.parts if name in changes}
        step.applied = {name: math.hypot(*applied[name]) for name in stepping.all_held}
        step.sources = {name: tuple(sources[name].values()) for name in stepping.all_held if name in sources}
        self.steps.append(step)
        self._stepped = True
        self._forget()

    def _credit(
        self,
        held: Held,
        key: str,
        stepping: Stepping,
        step: Step,
        contributions: Sequence[Contribution],
        moved: bool,
        gradient: float,
        mixed: bool,
    ) -> None:
        """Count what a step has applied to one parameter; of a gradient that is `mixed` what is left over is meant."""
        if not math.isfinite(gradient) and not moved:  # a fused optimizer has left it out for the scaler
            for each in contributions:
                each.lose(Lost("skipped"))
            return
        known = [each for each in contributions if each.backward is not None and each.norm]
        fresh: list[Contribution] = []
        stale: set[tuple[Loss, bool]] = set()
        for position, each in enumerate(known):
            assert each.backward is not None
            again = any(index < step.index for index in each.applied)
            if not mixed and self._is_stale(key, each, known[position + 1 :], stepping):
                stale.add((each.backward.of, again))
            else:
                fresh.append(each)
                if moved:
                    note(held.sources, each.backward.of, step.index)
                by = each.by
                if (
                    not mixed
                    and by is not None
                    and by.number != stepping.number
                    and moved
                    and position == len(known) - 1
                ):
                    held.twice[each.backward.of, by] = held.twice.get((each.backward.of, by), 0) + 1
        for source in stale:
            held.stale[source] = held.stale.get(source, 0) + 1
        for position, later in enumerate(fresh if not mixed else ()):
            for earlier in fresh[:position]:
                one, other = earlier.backward, later.backward
                if one is not None and other is not None and one.of is not other.of:
                    parted = one.parted is not None and one.parted <= other.index
                    pair = one.of, other.of, parted
                    held.together[pair] = held.together.get(pair, 0) + 1
        for each in contributions:
            if not each.applied or each.applied[-1] != step.index:
                each.apply(step.index, stepping if moved else None)

    def _is_stale(self, key: str, one: Contribution, others: Sequence[Contribution], stepping: Stepping) -> bool:
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
            for step in reversed(self.steps.latest()):
                if step.index < backward.index:
                    break
                if step.index > later.index:
                    continue
                if key in step.of.held:
                    if later.of is not backward.of or step.index in one.applied:
                        return True
                elif later.of is not backward.of:
                    kin = self.weights.kin(key)
                    through = self.behind(backward.structure, kin)
                    moved = {each.key for each in backward.contributions.values() if step.index in each.applied}
                    own = stepping.held.keys() - kin
                    foreign = not own.isdisjoint(later.contributions) and own.isdisjoint(backward.contributions)
                    parted = backward.parted is not None and backward.parted <= later.index
                    if moved and (not moved.isdisjoint(through) or foreign or parted):
                        return True
        return False

    def _rows(self, id_: int, tensor: Tensor, stepping: Stepping, named: Mapping[int, Parameter]) -> Rows | None:
        """Which rows of a gradient the user's code has zeroed, now or before, when a step has been taken."""
        if id_ not in named:
            return None
        key = named[id_].key
        before, known = self.weights.before(key), stepping.held[key].rows if key in stepping.held else None
        if before is None or tensor.grad is None:
            return None
        if known is not None:
            known.look(before)
        found = self.origins.rows(tensor)
        if found is None:
            now = rows_of(tensor.grad) if known is not None else None
            found = (known.site, torch.zeros_like(now), now) if known is not None and now is not None else None
        if found is None:
            return None
        site, zeroed, alive = found
        return Rows(site, zeroed, alive, torch.zeros_like(zeroed), before.clone(), zeroed & ~alive)

    def _forget(self) -> None:
        """Let go of parameters outside the audited modules that are no more, as of learners made anew for each task."""
        counted: list[dict[str, Any]] = [each.held for each in self.steppings.values()]
        counted += [each.uses for each in self.losses.values()]
        if any(len(each) > len(self.weights.owners) + _MOST_UNNAMED for each in counted):
            alive = self.weights.alive()
            for each in (*counted, self.orphans):
                for key in [key for key in each if key.startswith("#") and key not in alive]:
                    del each[key]


class _Calls:
    """Tells of modules that are called, where nothing else follows the forward pass."""

    def __init__(self, recorder: Recorder) -> None:
        self.call = recorder.called
        self.stack: list[object] = []

    def leave(self, output: object) -> None:
        """The call ends."""


def _optimizers() -> list[Optimizer]:
    """All that there are."""
    kinds = {Optimizer, *subclasses(Optimizer)}
    return [each for each in gc.get_objects() if type(each) in kinds]


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
