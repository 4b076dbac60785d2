"""The graph of a loss, operation by operation, with what lies behind its stops."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from torch.autograd.graph import Node

from ddpg.gradient_flow.graph import Graph, is_leaf
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.records import Backward, Call, Finding, Loss, Operation, Stepping

GRADIENT = "autograd.grad"  # the name of what makes the gradients that it returns
_LONGEST_TITLE = 22


class Link(Enum):
    """What a line between two operations carries back from the loss."""

    GRADIENT = "the gradient"
    UNASKED = "no gradient: the pass was asked for others only"
    CUT = "no gradient: a stop stands here"
    BEHIND = "no gradient: nothing to carry, or behind a stop"


class Fate(Enum):
    """What became of the gradient of an operation's parameters."""

    NONE = "no gradient"
    APPLIED = "gradient applied by a step"
    UNUSED = "gradient not applied"


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


@dataclass
class Diagram:
    """What is drawn of a graph.

    Attributes:
        names: of the audit's modules.
        links: from each operation to those that its arguments came from, the loss first.
        parameters: keys of the parameters that an operation uses, for those that the graph leads to.
        operations: all that is drawn.
        roots: those that made what was sent backward.
        behind: those of them that lie behind a stop.
    """

    names: tuple[str, ...]
    links: dict[tuple[Operation, Operation], Link]
    parameters: dict[Operation, list[str]]
    operations: list[Operation]
    roots: tuple[Operation, ...] = ()
    behind: set[Operation] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        names: Iterable[str],
        graph: Graph,
        keys: Mapping[Node, str | None],
        operation: Callable[[Node], Operation],
        roots: Iterable[Node] = (),
    ) -> "Diagram":
        """The diagram of a graph; `keys` of its leaves, `operation` tells what made a node."""
        links: dict[tuple[Operation, Operation], Link] = {}
        parameters: dict[Operation, list[str]] = {}
        for node in graph.nodes:
            here = operation(node)
            own = parameters.setdefault(here, [])
            for child, _ in node.next_functions:
                if child is None:
                    continue
                if is_leaf(child):
                    own += [key for key in [keys[child]] if key is not None and key not in own]
                elif operation(child) is not here:
                    wanted = bool(graph.reach[child] & graph.wanted)
                    link = Link.GRADIENT if wanted else Link.UNASKED
                    links.setdefault((here, operation(child)), link)
        tops = tuple(operation(node) for node in roots if not is_leaf(node))
        diagram = cls(tuple(names), links, parameters, list(parameters), tops)
        diagram._look_behind()
        return diagram

    def _look_behind(self) -> None:
        """Add what the graph does not record though parameters stand behind it."""
        seen, queue = set(self.operations), list(self.operations)
        while queue:
            here = queue.pop()
            for other in here.inputs:
                if other.rooted and (here, other) not in self.links:
                    self.links[here, other] = Link.CUT if _stops(here, other) else Link.BEHIND
                    if other not in seen:
                        seen.add(other)
                        self.operations.append(other)
                        queue.append(other)
        connected: dict[Operation, list[Operation]] = {each: [] for each in self.operations}
        for (one, other), link in self.links.items():
            connected[one] += [other] if link is not Link.CUT else []
        front, queue = set(self.parameters), list(self.parameters)
        while queue:
            new = [each for each in connected[queue.pop()] if each not in front]
            front.update(new)
            queue += new
        self.behind = {each for each in self.operations if each not in front}

    def calls(self) -> dict[Call | None, list[Operation]]:
        """The operations, by the call of a named module that they are part of."""
        found: dict[Call | None, list[Operation]] = {}
        for each in self.operations:
            found.setdefault(each.calls[0] if each.calls else None, []).append(each)
        return found

    def cut_off(self) -> dict[Operation, list[Operation]]:
        """For each detach on the way to the loss, the recorded operations that it keeps from it."""
        found: dict[Operation, list[Operation]] = {}
        for stop in self.stops():
            recorded = [each for each in stop.behind if each.recorded]
            if stop.by is not None and recorded:
                found[stop.by] = recorded
        return found

    def stops(self) -> list["Stop"]:
        """What keeps the gradient from operations behind which there are parameters."""
        found = []
        for (here, other), link in self.links.items():
            if link is Link.CUT:
                behind = self.closure([other])
                if other.recorded:  # by a detach, or what else leaves the graph
                    found.append(Stop(here.name.strip("_"), here.place, here, here, tuple(behind)))
                else:
                    found.append(Stop("no_grad", other.place, here, None, tuple(behind)))
        return found

    def closure(self, operations: Iterable[Operation]) -> list[Operation]:
        """These operations and all that their values come from."""
        found = dict.fromkeys(operations)
        queue = list(found)
        while queue:
            for each in queue.pop().inputs:
                if each not in found and (each.rooted or each.recorded):
                    found[each] = None
                    queue.append(each)
        return list(found)

    @cached_property
    def onwards(self) -> dict[Operation, list[Operation]]:
        """For each operation of the graph, those that it hands its gradient on to."""
        found: dict[Operation, list[Operation]] = {}
        for (one, other), link in self.links.items():
            if link in (Link.GRADIENT, Link.UNASKED):
                found.setdefault(one, []).append(other)
        return found

    def before(self, operation: Operation) -> set[Operation]:
        """The operations through which the gradient comes to this one."""
        above: dict[Operation, list[Operation]] = {}
        for one, other in self.links:
            above.setdefault(other, []).append(one)
        found, queue = {operation}, [operation]
        while queue:
            new = [each for each in above.get(queue.pop(), ()) if each not in found]
            found.update(new)
            queue += new
        return found

    def gets_gradient(self, operation: Operation) -> bool:
        """Whether the graph of the loss leads to an operation."""
        return operation in self.parameters


def _stops(here: Operation, other: Operation) -> bool:
    """Whether a gradient could have gone from one operation on to another that made its argument, and was kept from it.

    A detach is recorded up to its argument; what ran without gradients is recorded nowhere up to its value.
    """
    detached = other.recorded and not here.recorded and here.grad_mode and here.name != GRADIENT
    ungraphed = other.trainable and not other.grad_mode and here.grad_mode
    return detached or ungraphed


def fate(backward: Backward, diagram: Diagram, operation: Operation) -> Fate:
    """What became of the gradient of an operation's parameters."""
    contributions = [backward.contributions.get(key) for key in diagram.parameters.get(operation, ())]
    if not any(contributions):
        return Fate.NONE
    return Fate.APPLIED if any(each is not None and each.applied for each in contributions) else Fate.UNUSED


def blamed(backward: Backward, findings: Iterable[Finding]) -> dict[Operation, str]:
    """What in a loss's graph the faults and hints are about, with their kinds: calls of modules, gradients returned."""
    diagram, found = backward.diagram, dict[Operation, str]()
    for finding in findings if diagram is not None else ():
        here = backward.of in finding.at
        if diagram is None or finding.severity == "cost" or not (here or all(map(_steps, finding.at))):
            continue
        own: dict[Operation, Place] = {}
        for each in diagram.operations:
            calls = [call.place for call in each.calls if call.name in finding.modules]
            if finding.kind == "constant_gradient":
                calls = [each.place] if each.name == GRADIENT else []
            if calls and (here or each in diagram.behind):  # what no loss has to do with lies behind a stop
                own[each] = calls[0]
        exact = [each for each, place in own.items() if (place.file, place.line) == (finding.file, finding.line)]
        found = dict.fromkeys(exact or own, finding.kind) | found  # the worst is first
    return found


def _steps(event: Loss | Stepping) -> bool:
    return isinstance(event, Stepping)


def way(diagram: Diagram, blame: Mapping[Operation, str]) -> set[tuple[Operation, Operation]]:
    """The lines along which a leak's gradient comes."""
    on = {before for each, kind in blame.items() if kind == "leak" for before in diagram.before(each)}
    return {link for link, what in diagram.links.items() if what is Link.GRADIENT and on.issuperset(link)}


def title(operation: Operation) -> str:
    """What a box says: the operation, and the submodule whose parameters it uses."""
    name = operation.name.strip("_")
    name = {"getitem": "[ ]", "radd": "add", "rmul": "mul", "rsub": "sub", "rtruediv": "div"}.get(name, name)
    inner = operation.module.partition(".")[2]
    return _shortened(f"{inner} · {name}" if inner and operation.parameters else name)


def _shortened(text: str) -> str:
    half = _LONGEST_TITLE // 2
    return text if len(text) <= _LONGEST_TITLE else f"{text[:half]}…{text[-half + 1 :]}"


def mermaid(backward: Backward, findings: Iterable[Finding] = ()) -> str:
    """The diagram as a Mermaid flowchart, arrows in the gradient's direction; what findings are about in red."""
    blame = blamed(backward, findings)
    diagram = backward.diagram
    assert diagram is not None
    number = {each: position for position, each in enumerate(diagram.operations)}
    lines = ["flowchart TD"]
    for call, operations in diagram.calls().items():
        if call is not None:
            kinds = dict.fromkeys(blame[each] for each in operations if each in blame)
            heading = " · ".join((call.name, str(call.place), *kinds))
            lines.append(f'  subgraph call{call.number}["{_escaped(heading)}"]')
        for each in operations:
            end = {Fate.APPLIED: " ✓", Fate.UNUSED: " ✂", Fate.NONE: ""}[fate(backward, diagram, each)]
            lines.append(f'    n{number[each]}["{_escaped(title(each))}{end}"]')
        lines += ["  end"] if call is not None else []
    arrows = {Link.GRADIENT: "-->", Link.UNASKED: "-.-", Link.CUT: "-. ✂ .-x", Link.BEHIND: "-.-"}
    lines += [f"  n{number[one]} {arrows[link]} n{number[other]}" for (one, other), link in diagram.links.items()]
    lines += _class("behind", "fill:#eee,stroke:#aaa,color:#777", number, diagram.behind)
    lines += _class("fault", "fill:#fdd,stroke:#c1121f,color:#900", number, blame)
    return "\n".join(lines)


def _class(name: str, style: str, number: Mapping[Operation, int], members: Iterable[Operation]) -> list[str]:
    listed = ",".join(f"n{number[each]}" for each in members)
    return [f"  classDef {name} {style}", f"  class {listed} {name}"] if listed else []


def _escaped(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
