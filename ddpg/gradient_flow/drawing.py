"""What a drawing says of a loss's graph: titles, what became of gradients, what findings are about; and Mermaid."""

from collections.abc import Iterable, Mapping
from enum import Enum

from ddpg.gradient_flow.diagram import GRADIENT, Diagram, Link, Operation
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.records import Backward, Finding, Stepping

_LONGEST_TITLE = 22


class Fate(Enum):
    """What became of the gradient of an operation's parameters."""

    NONE = "no gradient"
    APPLIED = "gradient applied by a step"
    UNUSED = "gradient not applied"


def fate(backward: Backward, diagram: Diagram, operation: Operation) -> Fate:
    """Return what became of the gradient of an operation's parameters."""
    contributions = [backward.contributions.get(key) for key in diagram.parameters.get(operation, ())]
    if not any(contributions):
        return Fate.NONE
    return Fate.APPLIED if any(each is not None and each.applied for each in contributions) else Fate.UNUSED


def blamed(backward: Backward, findings: Iterable[Finding]) -> dict[Operation, str]:
    """Return the operations that faults and hints are about, with their kinds: calls of modules, gradients returned."""
    diagram, found = backward.diagram, dict[Operation, str]()
    for finding in findings if diagram is not None else ():
        here = backward.of in finding.at
        no_loss = all(isinstance(each, Stepping) for each in finding.at)
        if diagram is None or finding.severity == "cost" or not (here or no_loss):
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


def way(diagram: Diagram, blame: Mapping[Operation, str]) -> set[tuple[Operation, Operation]]:
    """Return the links along which a leak's gradient comes."""
    on = {before for each, kind in blame.items() if kind == "leak" for before in diagram.before(each)}
    return {link for link, what in diagram.links.items() if what is Link.GRADIENT and on.issuperset(link)}


def title(operation: Operation) -> str:
    """Return what a box says: the function, and the submodule whose parameters it uses."""
    name = operation.name.strip("_")
    name = {"getitem": "[ ]", "radd": "add", "rmul": "mul", "rsub": "sub", "rtruediv": "div"}.get(name, name)
    inner = operation.module.partition(".")[2]
    text, half = f"{inner} · {name}" if inner and operation.parameters else name, _LONGEST_TITLE // 2
    return text if len(text) <= _LONGEST_TITLE else f"{text[:half]}…{text[-half + 1 :]}"


def mermaid(backward: Backward, findings: Iterable[Finding] = ()) -> str:
    """Return the graph as a Mermaid flowchart, arrows in the gradient's direction; what findings are about in red."""
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
    for name, style, members in (
        ("behind", "fill:#eee,stroke:#aaa,color:#777", diagram.behind),
        ("fault", "fill:#fdd,stroke:#c1121f,color:#900", blame),
    ):
        listed = ",".join(f"n{each}" for each in sorted(number[member] for member in members))
        lines += [f"  classDef {name} {style}", f"  class {listed} {name}"] if listed else []
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
