"""The operations of a traced forward pass, and the graph of a loss drawn from them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TypeVar

from torch.autograd.graph import Node

from ddpg.gradient_flow.graph import Graph, is_leaf
from ddpg.gradient_flow.places import Place, Site, Sited

K = TypeVar("K")

GRADIENT = "autograd.grad"  # the name of the operation that makes the gradients which it returns


@dataclass(frozen=True)
class Call(Sited):
    """One call of a named module by the user's code; `number` counts the calls of all modules."""

    name: str
    site: Site
    number: int


@dataclass(eq=False)
class Operation(Sited):
    """One operation of a traced forward pass.

    Attributes:
        name: the function's.
        module: the innermost named module that it ran in, "critic.2"; empty outside all.
        calls: the calls that it is part of, one for each named module, the latest last.
        site, place: the user's line.
        inputs: the operations that made its arguments.
        parameters: keys of the named parameters among its arguments.
        recorded: whether the autograd graph has it.
        grad_mode: whether it ran with gradients enabled.
        rooted: whether its value depends on a named parameter.
        trainable: whether it depends on one that required a gradient.
        bytes: held by the graph behind its arguments, if it is a detach from them.
        age: how many operations lie behind it.
        scalar: whether it made a single number.
        data: whether a floating-point tensor among its arguments comes from none of these operations.
        number: whether a Python number other than 0 is among its arguments.
    """

    name: str
    module: str
    calls: tuple[Call, ...]
    site: Site
    inputs: tuple["Operation", ...] = ()
    parameters: tuple[str, ...] = ()
    recorded: bool = False
    grad_mode: bool = True
    rooted: bool = False
    trainable: bool = False
    bytes: int = 0
    age: int = 0
    scalar: bool = False
    data: bool = False
    number: bool = False

    def call_of(self, name: str) -> Call | None:
        """Return the call of the named module that it is part of."""
        return next((call for call in self.calls if call.name == name), None)

    @property
    def label(self) -> str:
        """What a path calls it: its submodule, or else its function."""
        return self.module if self.module and (self.parameters or "." in self.module) else self.name


class Link(Enum):
    """What an edge between two operations carries back from the loss."""

    GRADIENT = "the gradient"
    UNASKED = "no gradient: the pass was asked for others only"
    CUT = "no gradient: a stop stands here"
    BEHIND = "no gradient: nothing to carry, or behind a stop"


@dataclass(frozen=True)
class Stop:
    """What keeps a gradient from something.

    Attributes:
        name: "detach", or what else leaves the graph; "no_grad".
        place: the line.
        here: the operation at which the gradient ends.
        by: the detach; None for no_grad.
        behind: the operations behind, the nearest first.
    """

    name: str
    place: Place
    here: Operation
    by: Operation | None
    behind: tuple[Operation, ...]


class Diagram:
    """The graph of a loss, operation by operation, with what lies behind its stops.

    Args:
        names: the audit's modules.
        graph: the autograd graph.
        keys: of its leaves; None for data.
        operation: tells what made a node.
        roots: the nodes that were sent backward.

    Attributes:
        names: as given.
        links: from each operation to those that made its arguments, the loss first.
        parameters: for each operation in the graph, keys of the parameters that it uses.
        operations: those in the graph, then those behind its stops.
        roots: those that made what was sent backward.
        behind: those that lie behind a stop.
    """

    def __init__(
        self,
        names: Iterable[str],
        graph: Graph,
        keys: Mapping[Node, str | None],
        operation: Callable[[Node], Operation],
        roots: Iterable[Node],
    ) -> None:
        self.names = tuple(names)
        self.links: dict[tuple[Operation, Operation], Link] = {}
        self.parameters: dict[Operation, list[str]] = {}
        self.roots = tuple(operation(node) for node in roots if not is_leaf(node))
        for node in graph.nodes:
            here = operation(node)
            own = self.parameters.setdefault(here, [])
            for child, _ in node.next_functions:
                if child is None:
                    continue
                if is_leaf(child):
                    own += [key for key in [keys[child]] if key is not None and key not in own]
                elif operation(child) is not here:
                    wanted = graph.reach[child] & graph.wanted
                    self.links.setdefault((here, operation(child)), Link.GRADIENT if wanted else Link.UNASKED)
        self.operations = _reachable(self.parameters, self._unrecorded)
        connected = _grouped((one, other) for (one, other), link in self.links.items() if link is not Link.CUT)
        self.behind = {*self.operations}.difference(_reachable(self.parameters, lambda each: connected[each]))

    def _unrecorded(self, here: Operation) -> Iterable[Operation]:
        """Link an operation to those that depend on parameters and that the graph does not lead to."""
        for other in here.inputs:
            if other.rooted and (here, other) not in self.links:
                self.links[here, other] = Link.CUT if _stops(here, other) else Link.BEHIND
                yield other

    def calls(self) -> dict[Call | None, list[Operation]]:
        """Return the operations by the call of a named module that they are part of."""
        return _grouped((each.calls[0] if each.calls else None, each) for each in self.operations)

    def cut_off(self) -> dict[Operation, list[Operation]]:
        """Return for each detach on the way to the loss the recorded operations that it keeps from it."""
        behind = {stop.by: [each for each in stop.behind if each.recorded] for stop in self.stops()}
        return {by: recorded for by, recorded in behind.items() if by is not None and recorded}

    def stops(self) -> list[Stop]:
        """Return what keeps the gradient from operations that depend on parameters."""
        found = []
        for here, other in (link for link, what in self.links.items() if what is Link.CUT):
            behind = tuple(self.closure([other]))
            if other.recorded:  # by a detach, or what else leaves the graph
                found.append(Stop(here.name.strip("_"), here.place, here, here, behind))
            else:
                found.append(Stop("no_grad", other.place, here, None, behind))
        return found

    def closure(self, operations: Iterable[Operation]) -> list[Operation]:
        """Return these operations and all that their values come from."""
        return _reachable(operations, lambda here: (each for each in here.inputs if each.rooted or each.recorded))

    @cached_property
    def onwards(self) -> dict[Operation, list[Operation]]:
        """For each operation of the graph, those that it hands its gradient on to."""
        links = (link for link, what in self.links.items() if what in (Link.GRADIENT, Link.UNASKED))
        return dict(_grouped(links))

    def before(self, operation: Operation) -> set[Operation]:
        """Return the operations through which the gradient comes to this one, itself included."""
        above = _grouped((other, one) for one, other in self.links)
        return {*_reachable([operation], lambda each: above[each])}

    def gets_gradient(self, operation: Operation) -> bool:
        """Whether the autograd graph of the loss has an operation."""
        return operation in self.parameters


def _reachable(start: Iterable[Operation], onwards: Callable[[Operation], Iterable[Operation]]) -> list[Operation]:
    """Return these operations and all that can be reached from them, each once."""
    found = dict.fromkeys(start)
    queue = list(found)
    while queue:
        for each in onwards(queue.pop()):
            if each not in found:
                found[each] = None
                queue.append(each)
    return list(found)


def _grouped(pairs: Iterable[tuple[K, Operation]]) -> dict[K, list[Operation]]:
    found: dict[K, list[Operation]] = defaultdict(list)
    for key, operation in pairs:
        found[key].append(operation)
    return found


def _stops(here: Operation, other: Operation) -> bool:
    """Whether a gradient was kept from going from one operation on to another that made its argument.

    A detach is recorded up to its argument; what ran without gradients is recorded nowhere up to its value.
    """
    detached = other.recorded and not here.recorded and here.grad_mode and here.name != GRADIENT
    ungraphed = other.trainable and not other.grad_mode and here.grad_mode
    return detached or ungraphed
