"""The record of one audit while it is open."""

import gc
import inspect
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from ddpg.gradient_flow import graph as graphs
from ddpg.gradient_flow.diagram import Diagram
from ddpg.gradient_flow.places import call_stack, caller
from ddpg.gradient_flow.records import Backward, Contribution, ParameterStep, Step
from ddpg.gradient_flow.tensors import differ, is_blend, is_zero, norm
from ddpg.gradient_flow.trace import Tracer

_REMEMBERED = 8
_OPTIMIZER = inspect.getfile(Optimizer)


@dataclass
class _Parameter:
    """A parameter of the audited modules: its key, and what each module calls it."""

    tensor: Tensor
    key: str
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class _Account:
    """Where the gradient of a leaf tensor came from."""

    contributions: list[Contribution] = field(default_factory=list)
    explained: TensorWeakRef | None = None  # the tensor in `.grad` that they add up to
    pending: bool = False  # a pass is about to add to it


@dataclass
class _OpenStep:
    step: Step
    optimizer: Optimizer
    frame: FrameType
    held: dict[int, Tensor]
    before: dict[int, Tensor]
    outer: "_OpenStep | None"
    inside: dict[int, list[Contribution]] = field(default_factory=lambda: defaultdict(list))


@contextmanager
def _aside() -> Iterator[None]:
    """The audit's own arithmetic: recorded in no graph and seen by no mode."""
    with torch.no_grad(), torch._C.DisableTorchFunction():
        yield


class Recorder:
    """What happens to named modules between `open` and `close`.

    Attributes:
        backwards, steps: in order.
        writes: for each parameter changed outside any step, whether each such change was a blend towards, or a copy
            of, another parameter.
        owners: for each parameter, the modules that have it.
        held: keys of the parameters that some optimizer holds, stepping or not; known after `close`.
    """

    def __init__(self, modules: Mapping[str, nn.Module], trace: bool) -> None:
        self.modules = dict(modules)
        self.backwards: list[Backward] = []
        self.steps: list[Step] = []
        self.writes: dict[str, list[bool]] = defaultdict(list)
        self.owners: dict[str, tuple[str, ...]] = {}
        self.held: set[str] = set()
        self.tracer = Tracer(self.modules) if trace else None
        self._events = 0
        self._accounts = WeakTensorKeyDictionary()
        self._returned = WeakTensorKeyDictionary()  # what autograd.grad gave: it may become a `.grad`
        self._unnamed = WeakTensorKeyDictionary()  # keys of parameters outside the named modules
        self._numbers = itertools.count()
        self._weights: dict[str, Tensor] = {}
        self._open_steps: list[_OpenStep] = []

    def open(self) -> None:
        """Note the weights as they are."""
        with _aside():
            self._observe_writes()
        if self.tracer is not None:
            self.tracer.open()

    def close(self) -> None:
        """Note what is pending, and let go of every tensor and module."""
        if self.tracer is not None:
            self.tracer.close()
        with _aside():
            self._observe_writes()
            self.held = self.held_by_optimizers()
        self.modules = dict.fromkeys(self.modules, nn.Module())
        self._weights.clear()
        self._open_steps.clear()
        self._accounts, self._returned = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()

    def held_by_optimizers(self) -> set[str]:
        """Keys of the parameters that optimizers hold: those that stepped, and where it matters any that exist."""
        held = {key for step in self.steps for key in step.parameters}
        seen = {key for each in self.backwards for key in each.graph_keys()} & self.owners.keys()
        if seen <= held:
            return held
        ids = {id(each.tensor): each.key for each in self._named().values()}
        kinds = _subclasses(Optimizer)
        for optimizer in (each for each in gc.get_objects() if type(each) in kinds):
            held |= {ids[id(each)] for each in _held(optimizer) if id(each) in ids}
        return held

    # Backward passes

    def open_pass(
        self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge], accumulate: bool
    ) -> "Pass":
        """A backward pass begins."""
        with _aside():
            self._observe_writes()
            return Pass(self, outputs, inputs, accumulate)

    def next_index(self) -> int:
        """The next event's place in the order."""
        self._events += 1
        return self._events - 1

    def key_of(self, tensor: Tensor, named: Mapping[int, _Parameter]) -> str:
        """What identifies a parameter in the record."""
        if id(tensor) in named:
            return named[id(tensor)].key
        if tensor not in self._unnamed:
            self._unnamed[tensor] = f"#{next(self._numbers)}"
        key: str = self._unnamed[tensor]
        return key

    def arrived(self, tensor: Tensor, contribution: Contribution) -> None:
        """A pass is about to add to `.grad` of a leaf."""
        contributions = self.explain(tensor)
        applied = [each for each in contributions if each.applied]
        for each in applied[:-_REMEMBERED]:  # where nobody ever clears the gradient
            contributions.remove(each)
        contributions.append(contribution)
        self._accounts[tensor].pending = True
        for opened in self._open_steps:
            if id(tensor) in opened.held:
                contribution.applied.append(opened.step.index)
                opened.inside[id(tensor)].append(contribution)

    def settle(self, tensor: Tensor) -> None:
        """The pass has added to `.grad`: it is now what the contributions make up."""
        account = self._accounts[tensor]
        if account.pending:
            account.pending = False
            account.explained = None if tensor.grad is None else TensorWeakRef(tensor.grad)

    def handed_out(self, gradient: Tensor, contribution: Contribution) -> None:
        """`torch.autograd.grad` returned a gradient, which the user may put into `.grad`."""
        self._returned[gradient] = contribution

    def explain(self, tensor: Tensor) -> list[Contribution]:
        """The contributions that make up `.grad` of a leaf as it is now."""
        account: _Account = self._accounts.setdefault(tensor, _Account())
        gradient = tensor.grad
        if gradient is None:
            account.contributions = []
        elif account.pending or (account.explained is not None and account.explained() is gradient):
            if is_zero(gradient) and any(each.norm for each in account.contributions):
                account.contributions = []  # zeroed in place
            elif not account.contributions and not is_zero(gradient):
                account.contributions = [Contribution(None)]  # filled in place
        else:  # another tensor than the passes left there
            if is_zero(gradient):
                account.contributions = []
            else:
                for each in account.contributions:
                    each.replaced = True
                account.contributions = [self._returned.get(gradient) or Contribution(None)]
        account.explained = None if gradient is None else TensorWeakRef(gradient)
        account.pending = False
        return account.contributions

    # Steps

    def before_step(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""
        running = _frames()
        frame = next(each for each in running if each.f_code.co_filename == _OPTIMIZER)
        self._open_steps = [each for each in self._open_steps if each.frame in running]  # others ended in an error
        outer = self._open_steps[0] if self._open_steps else None
        held = {id(each): each for each in _held(optimizer)}
        with _aside():
            if outer is not None:  # an optimizer inside an optimizer: one step
                new = {key: each for key, each in held.items() if key not in outer.held}
                self._hold(outer, new)
                self._open_steps.append(_OpenStep(outer.step, optimizer, frame, {}, {}, outer))
                return
            self._observe_writes()
            step = Step(self.next_index(), caller(), type(optimizer).__name__, id(optimizer), _settings(optimizer))
            opened = _OpenStep(step, optimizer, frame, {}, {}, None)
            self._hold(opened, held)
            self._open_steps.append(opened)
            for backward in reversed(self.backwards):
                if backward.next_step is not None:
                    break
                backward.next_step = step

    def after_step(self, optimizer: Optimizer) -> None:
        """An optimizer has stepped."""
        while self._open_steps:
            opened = self._open_steps.pop()
            if opened.optimizer is optimizer:
                break
        else:
            return
        if opened.outer is None:
            with _aside():
                self._finish(opened)

    def _hold(self, opened: _OpenStep, held: dict[int, Tensor]) -> None:
        named = self._named()
        for key, tensor in held.items():
            if is_lazy(tensor):
                continue
            opened.held[key] = tensor
            opened.before[key] = tensor.detach().clone()
            state = ParameterStep(tensor.numel(), contributions=list(self.explain(tensor)))
            state.gradient = None if tensor.grad is None else norm([tensor.grad])
            opened.step.parameters[self.key_of(tensor, named)] = state
        names = {name for key in opened.step.parameters for name in self.owners.get(key, ())}
        opened.step.holds = tuple(name for name in self.modules if name in names)

    def _finish(self, opened: _OpenStep) -> None:
        step, named = opened.step, self._named()
        changes: dict[str, list[Tensor]] = defaultdict(list)
        applied: dict[str, list[float]] = defaultdict(list)
        sources: dict[str, dict[int, Backward | None]] = defaultdict(dict)
        for key, tensor in opened.held.items():
            state = step.parameters[self.key_of(tensor, named)]
            if opened.inside[key]:  # a closure has run backward passes: what counts is what is there now
                earlier = [each for each in state.contributions if each in self.explain(tensor)]
                state.contributions = earlier + opened.inside[key]
                state.gradient = None if tensor.grad is None else norm([tensor.grad])
            state.moved = differ(opened.before[key], tensor)
            for contribution in state.contributions if state.gradient is not None else ():
                contribution.applied.append(step.index)
            for name in named[key].names if key in named else ():
                applied[name].append(state.gradient or 0.0)
                if state.gradient:
                    sources[name] |= {id(each.backward): each.backward for each in state.contributions}
        for each in named.values():
            if each.key in self._weights and differ(self._weights[each.key], each.tensor):
                for name in each.names:
                    changes[name].append(each.tensor.detach() - self._weights[each.key])
                self._weights[each.key] = each.tensor.detach().clone()
        step.moved = {name: norm(changes[name]) for name in self.modules if name in changes}
        step.applied = {name: sum(each**2 for each in applied[name]) ** 0.5 for name in step.holds}
        step.sources = {name: tuple(sources[name].values()) for name in step.holds if name in sources}
        self.steps.append(step)

    # Weights

    def _named(self) -> dict[int, _Parameter]:
        """The audited modules' parameters as they are now, by id."""
        found: dict[int, _Parameter] = {}
        for name, module in self.modules.items():
            for inner, tensor in module.named_parameters(remove_duplicate=False):
                if not is_lazy(tensor):
                    qualified = f"{name}.{inner}".replace("_orig_mod.", "")
                    found.setdefault(id(tensor), _Parameter(tensor, qualified)).names.setdefault(name, qualified)
        self.owners |= {each.key: tuple(each.names) for each in found.values()}
        return found

    def _observe_writes(self) -> None:
        """Note which parameters have changed since the last look, which no step has done."""
        named = self._named()
        candidates = [each.tensor for each in named.values()] + list(self._unnamed.keys())
        for each in named.values():
            before = self._weights.get(each.key)
            if before is not None and before.shape == each.tensor.shape:
                if not differ(before, each.tensor):
                    continue
                alike = (
                    other
                    for other in candidates
                    if other is not each.tensor and other.shape == before.shape and other.dtype == before.dtype
                )
                is_copy = any(is_blend(before, each.tensor, other) for other in alike)
                self.writes[each.key].append(is_copy)
                if not is_copy and each.tensor in self._accounts:  # an update by hand: it applied what was there
                    for contribution in self._accounts[each.tensor].contributions:
                        contribution.applied.append(self._events)
            self._weights[each.key] = each.tensor.detach().clone()

    # Modules

    def call_module(self, module: nn.Module) -> None:
        """A module is called."""
        if self.tracer is not None:
            self.tracer.call(module)

    def leave_module(self, output: object) -> None:
        """The call ends, with its output, or with None after an error."""
        if self.tracer is not None:
            with _aside():
                self.tracer.leave(output)


class Pass:
    """One backward pass, from the graph that it finds to the gradients that it leaves."""

    def __init__(
        self,
        recorder: Recorder,
        outputs: Sequence[Tensor | GradientEdge],
        inputs: Sequence[Tensor | GradientEdge],
        accumulate: bool,
    ) -> None:
        self._recorder = recorder
        self._named = recorder._named()
        self._accumulate = accumulate
        self._inputs = inputs
        self._hooks = ExitStack()
        self._arrivals: list[Tensor] = []
        roots = graphs.edges_of(outputs)
        graph = graphs.read(roots, graphs.edges_of(inputs))
        names = frozenset(graphs.name_of(node) for node in graph.nodes)
        keys = frozenset(recorder.key_of(leaf, self._named) for _, leaf in graph.leaves)
        stack = call_stack()
        self.entry = Backward(
            recorder.next_index(),
            stack,
            _value(outputs),
            bytes=graph.bytes(),
            outputs=[TensorWeakRef(each) for each in outputs if isinstance(each, Tensor)],
            kind=(stack[0], tuple(graphs.name_of(edge.node) for edge in roots), names, keys),
            leaves=[self._named[id(leaf)].key if id(leaf) in self._named else None for _, leaf in graph.leaves],
            bytes_by_reach=dict(graph.bytes_by_reach),
            work_by_reach=dict(graph.work_by_reach),
            beside=graph.beside,
        )
        recorder.backwards.append(self.entry)
        if recorder.tracer is not None:
            self.entry.crossings = recorder.tracer.crossings(roots, self._named_leaves(graph))
            by_node = {node: self.entry.leaves[bit] for bit, (node, _) in enumerate(graph.leaves)}
            self.entry.diagram = Diagram.of(recorder.modules, graph, by_node, recorder.tracer.operation)
        if accumulate:
            self._hook(graph)

    def _named_leaves(self, graph: graphs.Graph) -> dict[str, set[int]]:
        """For each named module in the graph, the ids of its leaves."""
        found: dict[str, set[int]] = defaultdict(set)
        for _, leaf in graph.leaves:
            for name in self._named[id(leaf)].names if id(leaf) in self._named else ():
                found[name].add(id(leaf))
        return found

    def _hook(self, graph: graphs.Graph) -> None:
        for bit, (node, leaf) in enumerate(graph.leaves):
            if graph.wanted >> bit & 1:
                # A hook of the node, not of the tensor: it sees also what reaches a parameter frozen meanwhile.
                self._hooks.callback(node.register_prehook(partial(self._arrived, leaf)).remove)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._hooks.close()
        for leaf in self._arrivals:
            self._recorder.settle(leaf)
        self._arrivals.clear()
        norms: dict[str, list[float]] = defaultdict(list)
        parameters: dict[str, list[str]] = defaultdict(list)
        for contribution in self.entry.contributions.values():
            contribution.gradient = None
        for each in self._named.values():
            for name, qualified in each.names.items() if each.key in self.entry.contributions else ():
                norms[name].append(self.entry.contributions[each.key].norm)
                parameters[name].append(qualified)
        for name in self._recorder.modules:
            if name in norms:
                self.entry.reached[name] = sum(each**2 for each in norms[name]) ** 0.5
                self.entry.parameters[name] = tuple(parameters[name])

    def include(self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge]) -> None:
        """Another graph runs inside this pass: its gradients are this pass's."""
        with _aside():
            if self._accumulate:
                self._hook(graphs.read(graphs.edges_of(outputs), graphs.edges_of(inputs)))

    def returned(self, gradients: Sequence[Tensor | None]) -> None:
        """What `torch.autograd.grad` gives back, one for each input."""
        if self._accumulate:
            return
        with _aside():
            for tensor, gradient in zip(self._inputs, gradients, strict=True):
                if isinstance(tensor, Tensor) and tensor.is_leaf and gradient is not None:
                    contribution = self._contribution(tensor, gradient)
                    self._recorder.handed_out(gradient, contribution)
                    contribution.replaced = True  # the user's to use

    def _arrived(self, leaf: Tensor, gradients: tuple[Tensor | None, ...]) -> None:
        gradient = gradients[0]
        if gradient is None:
            return
        with _aside():
            seen = self._recorder.key_of(leaf, self._named) in self.entry.contributions
            contribution = self._contribution(leaf, gradient)
            if leaf.requires_grad and not seen:  # PyTorch drops what reaches a leaf frozen meanwhile
                self._recorder.arrived(leaf, contribution)
                self._arrivals.append(leaf)

    def _contribution(self, leaf: Tensor, gradient: Tensor) -> Contribution:
        key = self._recorder.key_of(leaf, self._named)
        contribution = self.entry.contributions.setdefault(key, Contribution(self.entry))
        earlier = contribution.gradient
        contribution.gradient = gradient if earlier is None else earlier + gradient
        contribution.norm = norm([contribution.gradient])
        return contribution


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


def _value(outputs: Sequence[Tensor | GradientEdge]) -> float | None:
    loss = outputs[0] if len(outputs) == 1 else None
    if isinstance(loss, Tensor) and loss.numel() == 1 and not loss.is_complex():
        return float(loss.detach())
    return None


def _frames() -> list[FrameType]:
    """The call stack, innermost first."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames
