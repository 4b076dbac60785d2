"""Writes the record of one audit while it is open."""

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from ddpg.gradient_flow import private
from ddpg.gradient_flow.discovery import Discovery, subclasses
from ddpg.gradient_flow.graph import leaves_behind
from ddpg.gradient_flow.interception import held_by, unwatch_calls, watch_calls
from ddpg.gradient_flow.levels import levels
from ddpg.gradient_flow.parts import Part, unwrapped
from ddpg.gradient_flow.passes import Pass
from ddpg.gradient_flow.record import Record
from ddpg.gradient_flow.records import Lost
from ddpg.gradient_flow.steps import OpenSteps
from ddpg.gradient_flow.tensors import aside, has_values
from ddpg.gradient_flow.trace import Tracer

_MOST_IDLE = 100


class Recorder(Record):
    """A record that is told of every event between `open` and `close`.

    Args:
        parts, frozen, shared, discovery: as of the record.
        trace: whether to follow the forward pass too.

    Attributes:
        tracer: what follows it.
        untraced: whether it was to be followed, and this PyTorch does not let it.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        trace: bool,
        frozen: Iterable[str] = (),
        shared: Iterable[str] = (),
        discovery: Discovery | None = None,
    ) -> None:
        super().__init__(parts, frozen, shared, discovery)
        self._steps = OpenSteps(self)
        self.tracer = Tracer(self, self._steps) if trace and private.can_trace else None
        self.untraced = trace and self.tracer is None
        self.stack: list[object] = []  # the tracer has one that matters
        self._open = False
        if discovery is not None:
            discovery.was_trained = self._was_trained

    def open(self) -> None:
        """Note the weights as they are."""
        with aside():
            self.weights.add()
        self._open = True
        if self.discovery is not None:
            watch_calls(self)
        if self.tracer is not None:
            self.tracer.open()

    def close(self) -> None:
        """Note what is pending, and let go of every tensor and module."""
        self._stop_following()
        self.refresh()
        self._open = False
        if self.discovery is not None:
            self._keep_what_is_shown()
        self.weights.close()
        self._steps.close()
        self.structures.clear()

    def abandon(self) -> None:
        """Record no more, in a process that was forked."""
        self._stop_following()
        self._open = False

    def _stop_following(self) -> None:
        if self.tracer is not None:
            self.tracer.close()
        if self.discovery is not None:
            unwatch_calls(self)

    def refresh(self) -> None:
        """Note what has changed since the latest pass or step; once closed, there is nothing more."""
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

    def _held_by_optimizers(self) -> set[str]:
        """Return keys of the parameters that optimizers hold: those that stepped, and where it matters any."""
        held = {key for stepping in self.steppings.values() for key in stepping.held}
        seen = {key for each in self.losses.values() for key in each.uses}
        seen |= {
            key for each in self.losses.values() for structure in each.structures for key in structure.graph_keys()
        }
        if seen & self.weights.owners.keys() <= held:
            return held
        ids = {id(each.tensor): each.key for each in self.weights.named().values()}
        kinds = {Optimizer, *subclasses(Optimizer)}
        for optimizer in [each for each in gc.get_objects() if type(each) in kinds]:
            held |= {ids[id(each)] for each in held_by(optimizer) if id(each) in ids}
        return held

    # What nobody has named

    def _keep_what_is_shown(self) -> None:
        kept: list[dict[str, Any]] = []
        for backward in self.backwards.entries():
            kept += [backward.reached, backward.parameters, backward.structure.crossings]
        for step in self.steps.entries():
            kept += [step.moved, step.applied, step.sources]
        for by_name in kept:
            for name in by_name.keys() - set(self.names):
                del by_name[name]

    def call(self, module: nn.Module) -> None:
        """Look at a module that is called, if it is new."""
        module = unwrapped(module)
        if self.discovery is not None and not self.discovery.knows(module):
            with aside():
                self._search(lambda discovery: discovery.around(module))

    def leave(self, output: object) -> None:
        """Do nothing when the call ends."""

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

    # Events

    def open_pass(
        self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge], accumulate: bool
    ) -> Pass:
        """Record a backward pass that begins."""
        with aside():
            self._find(leaves_behind(outputs), reached=True)
            return Pass(self, self._steps, self.tracer, outputs, inputs, accumulate)

    def made(self, optimizer: Optimizer) -> None:
        """Note where an optimizer was made."""
        with aside():
            self.made_at[optimizer] = self.lines.site()
            if len(self.idle) < _MOST_IDLE:
                self.idle[id(optimizer)] = type(optimizer).__name__, self.made_at[optimizer]
            self._find(held_by(optimizer))

    def before_step(self, optimizer: Optimizer) -> None:
        """Record a step that begins."""
        with aside():
            held = [each for each in held_by(optimizer) if not is_lazy(each) and has_values(each)]
            self._find(held)
            self._steps.begin(optimizer, held)

    def after_step(self, optimizer: Optimizer) -> None:
        """Record what the step has done."""
        with aside():
            self._steps.end(optimizer)

    def settled(self) -> None:
        """Do nothing when a pass or step is over."""

    def about_to_clear(self, tensors: Iterable[Tensor]) -> None:
        """Note what is gone before `zero_grad`: it did not go there."""
        with aside():
            for tensor in tensors:
                if tensor.grad is None:
                    self._steps.origins.look(tensor, "gone", None)

    def cleared(self, tensors: Iterable[Tensor]) -> None:
        """Note what `zero_grad` of an optimizer or a module has cleared."""
        with aside():
            site = self.lines.site()
            for tensor in tensors:
                self._steps.origins.look(tensor, "cleared", site)

    def left_out(self, optimizer: Optimizer) -> None:
        """Note that a gradient scaler has left out a step."""
        with aside():
            self.skipped += 1
            lost = Lost("skipped", self.lines.site())
            for tensor in held_by(optimizer):
                for contribution in self._steps.origins.of(tensor):
                    contribution.lose(lost)

    def ran_elsewhere(self, thread: str) -> None:
        """Count a pass or step of another thread."""
        self.elsewhere[thread] += 1
