"""Any small training program: the audit says of it what finite differences and an account kept by hand say.

A hundred programs, always the same. Others, and more of them:
`GRADIENT_FLOW_PROGRAMS=1500 pytest -n 0 tests/gradient_flow/test_random_graphs.py`
"""

import math
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
import torch
from conftest import identical
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ddpg.gradient_flow import GradientFlow

PROGRAMS = int(os.environ.get("GRADIENT_FLOW_PROGRAMS", "0"))
MOST_PASSES = 8  # as many as an audit remembers of a gradient that is never cleared
DATA = torch.tensor([[0.3, -0.8], [1.1, 0.4], [-0.6, 0.9]], dtype=torch.float64)
STOPS = ["none"] * 30 + ["detach", "data", "no_grad", "inference_mode"]
OPERATIONS = {
    "tanh": lambda one, _: one.tanh(),
    "add": lambda one, other: one + other,
    "mul": lambda one, other: one * other.tanh(),
    "cat": lambda one, other: torch.cat([one, other], -1)[:, 1:3],  # half of each
}
OPTIMIZERS = {
    "SGD": lambda held: torch.optim.SGD(held, lr=0.05),
    "momentum": lambda held: torch.optim.SGD(held, lr=0.05, momentum=0.9),
    "decay": lambda held: torch.optim.SGD(held, lr=0.05, weight_decay=0.1),
    "Adam": lambda held: torch.optim.Adam(held, lr=0.01),
}
MODULES = {
    "linear": lambda _: nn.Linear(2, 2),
    "mlp": lambda _: nn.Sequential(nn.Linear(2, 1), nn.Tanh(), nn.Linear(1, 2)),
    "around": lambda first: nn.Sequential(first, nn.Tanh()),
    "beside": lambda first: nn.Sequential(first, nn.Linear(2, 2, bias=False)),
    "parameter": lambda _: nn.ParameterList([torch.tensor([1.1, 0.8])]),
}
# Every loss and every optimizer has a line of its own.
BACKWARD = [
    lambda loss, **options: loss.backward(**options),
    lambda loss, **options: loss.backward(**options),
    lambda loss, **options: loss.backward(**options),
]
STEP = [
    lambda optimizer: optimizer.step(),
    lambda optimizer: optimizer.step(),
    lambda optimizer: optimizer.step(),
]


class Edge(NamedTuple):
    source: int  # 0 for the data, or a node's number
    stop: str


class Node(NamedTuple):
    what: str  # a module's name, or an operation's
    inputs: tuple[Edge, Edge]  # of which a module and tanh take the first


@dataclass(frozen=True)
class Program:
    modules: dict[str, str]  # kinds by name
    frozen: frozenset[str]
    nodes: tuple[Node, ...]  # in order, from 1
    losses: tuple[tuple[tuple[float, Edge], ...], ...]  # sums, each of terms with a factor
    optimizers: tuple[tuple[str, frozenset[str]], ...]  # their kinds and what they hold
    events: tuple[tuple, ...]  # "zero", optimizer, to none; "backward", loss, for which modules; "step", optimizer
    iterations: int
    one_forward: bool  # between two steps all losses are of one forward pass, otherwise each has its own


@st.composite
def programs(draw) -> Program:
    """Any program that runs, and most often trains something."""

    def one(*choices):
        return draw(st.sampled_from(choices))

    def several(least, most, what):
        return tuple(what(number) for number in range(draw(st.integers(least, most))))

    def some(names):
        return draw(st.frozensets(st.sampled_from(names), min_size=1))

    def edge(last):
        return Edge(one(*range(last, max(0, last - 3), -1) or [0]), one(*STOPS))

    def node(last):
        what = one(*names, *names, *(OPERATIONS if last else ()))
        return Node(what, (edge(one(last, last, last, 0)), edge(last)))

    def some_optimizers():
        return several(0, 2, lambda _: one(*range(len(optimizers))))

    def a_round(_):
        first = some_optimizers()
        last = first if one(True, False) else some_optimizers()
        zeros = tuple(("zero", each, one(True, False)) for each in first)
        backward = ("backward", one(*range(len(losses))), some(names) if one(False, False, True) else None)
        orders = [(*zeros, backward), (*zeros, backward), (*zeros, backward), (backward, *zeros)]
        return (*one(*orders), *(("step", each) for each in last))

    kinds = one("linear", "mlp"), *several(1, 4, lambda _: one(*MODULES))
    names = "abcde"[: len(kinds)]
    nodes = several(2, 7, node)
    factors = (1.0, 0.7, -0.3, 0.0)  # a few of these never cancel
    losses = several(1, 3, lambda _: several(1, 2, lambda _: (one(*factors), edge(len(nodes)))))
    optimizers = several(1, 3, lambda _: (one(*OPTIMIZERS), one(frozenset(names), some(names))))
    rounds = several(1, 4, a_round)
    iterations = min(draw(st.integers(2, 4)), MOST_PASSES // len(rounds))
    frozen = some(names) if one(*[False] * 5, True) else frozenset()
    modules = dict(zip(names, kinds, strict=True))
    return Program(modules, frozen, nodes, losses, optimizers, sum(rounds, ()), iterations, one(True, False))


class Training:
    """Runs a program. Parameters go by their numbers."""

    def __init__(self, program: Program) -> None:
        torch.manual_seed(0)
        self.program, self.modules = program, {}
        for name, kind in program.modules.items():
            self.modules[name] = MODULES[kind](self.modules.get("a")).double().requires_grad_(True)
        for name in program.frozen:
            self.modules[name].requires_grad_(False)
        self.parameters = list(dict.fromkeys(each for module in self.modules.values() for each in module.parameters()))
        numbers = {each: number for number, each in enumerate(self.parameters)}
        self.of = {name: {numbers[each] for each in module.parameters()} for name, module in self.modules.items()}
        self.held = [set().union(*(self.of[name] for name in held)) for _, held in program.optimizers]
        held = [[self.parameters[each] for each in sorted(held)] for held in self.held]
        self.optimizers = [OPTIMIZERS[kind](mine) for (kind, _), mine in zip(program.optimizers, held, strict=True)]
        self.values: dict[int, torch.Tensor] = {}

    def value(self, number: int, values: dict, held: dict | None) -> torch.Tensor:
        if number and number not in values:
            what, inputs = self.program.nodes[number - 1]
            one, other = (self.through(edge, (number, place), values, held) for place, edge in enumerate(inputs))
            if what in OPERATIONS:
                values[number] = OPERATIONS[what](one, other)
            else:
                module = self.modules[what]
                values[number] = one * module[0] if isinstance(module, nn.ParameterList) else module(one)
        return values[number] if number else DATA

    def through(self, edge: Edge, key: object, values: dict, held: dict | None) -> torch.Tensor:
        """What an edge lets through; with `held`, behind a stop always what it was the first time."""
        if held is not None and edge.stop != "none":
            if key not in held:
                held[key] = self.value(edge.source, {}, {})
            return held[key]
        if edge.stop in ("no_grad", "inference_mode"):
            with getattr(torch, edge.stop)():
                value = self.value(edge.source, {}, None)
            return value.clone()
        value = self.value(edge.source, values, held)
        return {"none": value, "detach": value.detach(), "data": value.data}[edge.stop]

    def loss(self, number: int, values: dict, held: dict | None = None) -> torch.Tensor:
        terms = enumerate(self.program.losses[number])
        return sum(factor * self.through(edge, place, values, held).sin().mean() for place, (factor, edge) in terms)

    def run(self) -> None:
        for what, *arguments in self.program.events * self.program.iterations:
            getattr(self, what)(*arguments)

    def zero(self, number: int, to_none: bool) -> None:
        self.optimizers[number].zero_grad(set_to_none=to_none)

    def backward(self, number: int, names) -> None:
        loss = self.loss(number, self.values)
        may = set().union(*(self.of[name] for name in names or self.modules))
        may = {each for each in may if self.parameters[each].requires_grad}
        if loss.requires_grad and may:  # else PyTorch refuses
            self.run_backward(number, loss, may, [self.parameters[each] for each in sorted(may)] if names else None)
        if not self.program.one_forward:
            self.values.clear()

    def run_backward(self, number: int, loss: torch.Tensor, may: set[int], inputs) -> None:
        BACKWARD[number](loss, inputs=inputs, retain_graph=self.program.one_forward)

    def step(self, number: int) -> None:
        STEP[number](self.optimizers[number])
        self.values.clear()


@dataclass
class Event:
    """A backward pass or a step as it really is; all dicts by parameter."""

    index: int
    what: str
    number: int
    line: int
    loss: float = 0.0
    slopes: dict[int, float] = field(default_factory=dict)  # of a loss: the norms of its derivatives
    path: set[int] = field(default_factory=set)  # where its gradient comes to
    gradients: dict[int, float] = field(default_factory=dict)  # of a step: the norms of what is in .grad
    account: dict[int, tuple[int, ...]] = field(default_factory=dict)  # the passes that it is made of
    moved: dict[int, float] = field(default_factory=dict)


class Observed(Training):
    """A training without an audit, which keeps account by hand."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.events: list[Event] = []
        self.account: dict[int, list[int]] = defaultdict(list)

    def zero(self, number, to_none):
        super().zero(number, to_none)
        for each in self.held[number]:
            self.account[each].clear()

    def run_backward(self, number, loss, may, inputs):
        event = Event(len(self.events), "backward", number, BACKWARD[number].__code__.co_firstlineno, loss.item())
        event.slopes = {each: self.slope(number, self.parameters[each].data.view(-1)) for each in may}
        event.path = may.intersection(set().union(*(self.path(edge) for _, edge in self.program.losses[number])))
        super().run_backward(number, loss, may, inputs)
        self.events.append(event)
        for each in event.path:
            self.account[each].append(event.index)

    def path(self, edge: Edge) -> set[int]:
        """The parameters that no stop keeps from an edge."""
        if edge.stop != "none" or edge.source == 0:
            return set()
        what, (one, other) = self.program.nodes[edge.source - 1]
        return self.path(one) | (self.path(other) if what in ("add", "mul", "cat") else self.of.get(what, set()))

    @torch.no_grad()
    def slope(self, number: int, values: torch.Tensor, width: float = 1e-5) -> float:
        """The norm of a loss's derivative, by central differences; what lies behind a stop is held constant."""
        held, found = {}, []
        self.loss(number, {}, held)
        for place, at in enumerate(values.tolist()):
            values[place] = at + width
            above = self.loss(number, {}, held).item()
            values[place] = at - width
            found.append((above - self.loss(number, {}, held).item()) / (2 * width))
            values[place] = at
        return math.hypot(*found)

    def step(self, number):
        event = Event(len(self.events), "step", number, STEP[number].__code__.co_firstlineno)
        gradients = {each: self.parameters[each].grad for each in self.held[number]}
        event.gradients = {each: gradient.norm().item() for each, gradient in gradients.items() if gradient is not None}
        event.account = {each: tuple(self.account[each]) for each in event.gradients}
        before = [each.detach().clone() for each in self.parameters]
        super().step(number)
        changes = [(now.detach() - was).norm().item() for now, was in zip(self.parameters, before, strict=True)]
        same = [identical([was], [now.data]) for now, was in zip(self.parameters, before, strict=True)]
        event.moved = {each: change for each, change in enumerate(changes) if not same[each]}
        self.events.append(event)

    def adds(self, index: int, parameters: set[int]) -> bool:
        """Whether a pass adds to these gradients anything but zeros."""
        return any(self.events[index].slopes[each] > 1e-9 for each in parameters & self.events[index].path)


def norms(found: dict[int, float], keys: set[int]):
    return pytest.approx(math.hypot(*(found[key] for key in keys & found.keys())), rel=1e-4, abs=1e-8)


def trains(step: Event, key: int) -> bool:
    return key in step.moved and bool(step.gradients.get(key))


def drifts(step: Event, keys: set[int]) -> bool:
    return not keys.isdisjoint(step.moved) and not any(trains(step, key) for key in keys)


def check_records(truth: Observed, flow: GradientFlow, trace: bool) -> None:
    """Passes and steps."""
    its_events = sorted([*flow.backwards, *flow.steps], key=lambda each: each.index)
    assert [type(each).__name__.lower() for each in its_events] == [each.what for each in truth.events]
    for mine, its in zip(truth.events, its_events, strict=True):
        assert (its.index, its.file, its.line) == (mine.index, __file__, mine.line)
        for name, keys in truth.of.items() if mine.what == "backward" else ():
            assert its.loss == mine.loss
            assert (name in its.reached) == (not keys.isdisjoint(mine.path))
            assert its.reached.get(name, 0.0) == norms(mine.slopes, keys)
            assert len(its.parameters.get(name, ())) == len(keys & mine.path)
            assert name in its.crossings or name not in its.reached or not trace
        for name, keys in truth.of.items() if mine.what == "step" else ():
            assert (name in its.holds) == (not keys.isdisjoint(truth.held[mine.number]))
            assert (name in its.moved) == (not keys.isdisjoint(mine.moved))
            assert its.moved.get(name, 0.0) == norms(mine.moved, keys)
            assert its.applied.get(name, 0.0) == norms(mine.gradients, keys)
            sources = {index for key in keys & mine.account.keys() for index in mine.account[key]}
            found = {each.index for each in its.sources.get(name, ())}
            # Whether a gradient of zeros, to which a pass added zeros, was zeroed in place cannot be told.
            assert all(not truth.adds(index, keys) for index in sources ^ found)


def check_findings(truth: Observed, flow: GradientFlow) -> None:
    """What must be so of any finding, and of what is a drift or a waste that it is found."""
    passes = [each for each in truth.events if each.what == "backward"]
    steps = [each for each in truth.events if each.what == "step"]
    applied = {(index, key) for step in steps for key, indices in step.account.items() for index in indices}
    wasted = {(each.index, key) for each in passes for key in each.path} - applied
    named = defaultdict(set)
    for finding in flow.findings():
        kind, modules = finding.kind, finding.modules
        named[kind] |= {*modules}
        assert modules and {*modules} <= truth.modules.keys()
        assert finding.file == __file__
        assert not re.search(r"\b(None|nan|inf)\b", finding.message.replace("set it to None", ""))
        assert getattr(finding, "severity", "fault") in ("fault", "hint", "cost")
        keys = set().union(*(truth.of[name] for name in modules))
        here = [step for step in steps if step.line == finding.line]
        if kind == "leak":
            trainers = {key: {step.number for step in steps if trains(step, key)} for key in keys}
            losses = {key: {each.number for each in passes if key in each.path} for key in keys}
            assert any(len(trainers[key]) > 1 and len(losses[key]) > 1 for key in keys)
        elif kind == "stale_gradient":  # older than an earlier step, with a pass of after that step on top
            accounts = [step.account[key] for step in here for key in keys & step.account.keys() if step.account[key]]
            assert any(min(each) < earlier.index < max(each) for each in accounts for earlier in steps)
        elif kind == "dead_link":
            assert here and not any(trains(step, key) for step in here for key in step.moved)
        elif kind == "drift":
            assert any(drifts(step, truth.of[name]) for step in here for name in modules)
        elif kind == "waste":
            assert any(truth.events[index].line == finding.line for index, key in wasted if key in keys)
        elif kind == "unreached":
            assert any(key not in each.path for each in passes for key in keys) or not passes
        elif kind == "unheld":
            assert not keys <= set().union(*truth.held)
        elif kind == "applied_twice":
            assert any(sum(key in held for held in truth.held) > 1 for key in keys)
        elif kind in ("cut_term", "self_target"):
            assert flow._record.tracer is not None
        else:
            assert kind == "tracked_target"
            assert not keys <= set().union(*truth.held)
    for name, keys in truth.of.items():
        assert name in named["drift"] or not any(drifts(step, keys) for step in steps)
    for index, key in wasted:
        owners = {name for name, keys in truth.of.items() if key in keys}
        assert owners & named["waste"] or not truth.adds(index, {key})


@pytest.mark.long
@settings(max_examples=PROGRAMS or 100, deadline=None, derandomize=not PROGRAMS)
@given(program=programs(), trace=st.booleans())
def test_any_program_is_recorded_as_it_is(program, trace):
    truth, audited = Observed(program), Training(program)
    truth.run()
    with GradientFlow(audited.modules, trace=trace, least_cost=0.0) as flow:
        audited.run()
    for mine, its in zip(truth.parameters, audited.parameters, strict=True):
        assert identical([mine.data], [its.data])
        assert (mine.grad is None) == (its.grad is None)
        assert mine.grad is None or identical([mine.grad], [its.grad])
    check_records(truth, flow, trace)
    check_findings(truth, flow)
    assert str(flow)
