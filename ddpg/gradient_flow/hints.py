"""What may be meant, and often is not; it takes tracing to see. Each is a hint, for only meaning tells."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ddpg.gradient_flow.cases import Case
from ddpg.gradient_flow.diagram import GRADIENT, Diagram, Operation, Stop
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Loss

_REGRESSIONS = {"mse_loss", "smooth_l1_loss", "huber_loss", "l1_loss"}
_POWERS = {"pow", "square", "abs", "norm", "vector_norm"}
_SUMS = {"add", "radd", "iadd", "sub", "rsub", "isub", "subtract"}
_PRODUCTS = {"mul", "rmul", "imul", "div", "truediv", "rtruediv", "multiply", "divide"}
_TERMS = _SUMS | {"sum", "mean", "stack", "cat", "neg", "mul", "rmul", "div", "truediv"}


def self_targets(record: Recorder) -> Iterator[Case]:
    """Regressions whose target is computed from the network that they train, in the same graph.

    The module enters the squared difference by two ways, of which one alone goes through arithmetic with data:
    r + γ V(s') beside V(s). A consistency of two calls has none.
    """
    for loss, diagram in _diagrams(record):
        for regression in diagram.operations:
            operands = _operands(regression, diagram)
            for name in record.names if operands else ():
                entries = [entry for operand in operands for entry in _entries(operand, name, diagram)]
                plain = [each for each in entries if not each.scaled and not each.shifted]
                target = [each for each in entries if each.scaled or each.shifted]
                shifted = any(each.shifted for each in entries) or _shifted_beside(operands, diagram)
                applied = any(
                    use.applied for key, use in loss.uses.items() if name in record.weights.owners.get(key, ())
                )
                if plain and target and shifted and applied and name in _specific_names(record, loss):
                    place, other = target[0].place, plain[0].place
                    stop = f"compute it under torch.no_grad() at {place}"
                    if place == other:  # one call gives both
                        stop = "detach what of it goes into the target"
                    yield Case(
                        "self_target",
                        "hint",
                        (name,),
                        place,
                        (name,),
                        "the prediction and the target of one regression train {it}",
                        f"The regression at {regression.place} compares what {{it}} computes at {other} with what it "
                        f"computes at {place}, and the loss at {loss.place} pulls at both.",
                        f"If the target is to stand still, {stop}. (A consistency of two outputs looks the same: only "
                        "meaning tells.)",
                        at=(loss,),
                    )
                    break


@dataclass(frozen=True)
class _Entry:
    """A way by which a module's output enters an expression: the call's line, and what happens to it on the way."""

    place: Place
    scaled: bool
    shifted: bool


def _specific_names(record: Recorder, loss: Loss) -> set[str]:
    return {name for key in loss.uses for name in record.weights.specific(key)}


def _operands(operation: Operation, diagram: Diagram) -> list[Operation]:
    """The sides of a regression in a loss's graph, or the one expression that is squared."""
    name = operation.name.strip("_")
    return diagram.onwards.get(operation, []) if name in _REGRESSIONS | _POWERS else []


def _entries(top: Operation, name: str, diagram: Diagram) -> list[_Entry]:
    """How the module enters an expression, outside all of its own calls."""
    found: list[_Entry] = []
    seen: set[tuple[int, bool, bool]] = set()
    queue = [(top, False, False)]
    while queue and len(seen) < 5000:
        operation, scaled, shifted = queue.pop()
        if (id(operation), scaled, shifted) in seen:
            continue
        seen.add((id(operation), scaled, shifted))
        call = operation.call_of(name)
        if call is not None:
            found.append(_Entry(call.place, scaled, shifted))
            continue
        word = operation.name.strip("_")
        alone = len(operation.inputs) + len(operation.parameters) < 2
        scaled, shifted = scaled or (word in _PRODUCTS and alone), shifted or _adds_data(operation)
        if not _only_arithmetic(operation):
            continue
        queue += [(each, scaled, shifted) for each in diagram.onwards.get(operation, ())]
    return found


def _adds_data(operation: Operation) -> bool:
    return operation.name.strip("_") in _SUMS and (operation.data or operation.number)


def _only_arithmetic(operation: Operation) -> bool:
    """Whether an operation passes values on, rather than computing others by weights."""
    return not operation.calls


def _shifted_beside(operands: list[Operation], diagram: Diagram) -> bool:
    """Whether data enter the difference itself."""
    return any(
        _adds_data(operation) for operand in operands for operation in _onwards(operand, diagram) if not operation.calls
    )


def cut_terms(record: Recorder) -> Iterator[Case]:
    """Terms of a loss that reach nothing that the steps move, cut off by a stop from what those do move."""
    for loss, diagram in _diagrams(record):
        moved = {key for key, use in loss.uses.items() if use.applied}
        for term, stop in _cut(loss, diagram):
            keys = {key for each in stop.behind for key in each.parameters if each.name != GRADIENT} & moved
            gradient = next((each for each in stop.behind if each.name == GRADIENT), None)
            names = tuple(name for name in record.names if any(name in record.weights.specific(key) for key in keys))
            if not names or gradient is not None:
                continue
            calls = [call for each in stop.behind for call in each.calls if call.name in names]
            place = calls[0].place if calls else stop.place
            yield Case(
                "cut_term",
                "hint",
                names,
                place,
                names,
                "a term of a loss gives nothing to {it}",
                f"The term at {term.place}, in the loss at {loss.place}, reaches nothing that a step moves: the "
                f"{stop.name} at {stop.place} cuts it off.",
                "If it is to train {it}, take that stop away; if it is only to be seen, leave it out of the loss.",
                at=(loss,),
            )


def _cut(loss: Loss, diagram: Diagram) -> Iterator[tuple[Operation, Stop]]:
    """The terms of a loss that give no step anything, each with the stop nearest to it."""
    terms = [term for root in diagram.roots for term in _terms(root)]
    moved = {key for key, use in loss.uses.items() if use.applied}
    stops = diagram.stops()
    for term in terms if len(terms) > 1 and moved else ():
        reached = {key for each in _onwards(term, diagram) for key in diagram.parameters.get(each, ())}
        if reached.isdisjoint(moved):
            behind = set(diagram.closure([term]))
            for stop in stops:
                if stop.here in behind or term in stop.behind:
                    yield term, stop
                    break


def _terms(operation: Operation) -> list[Operation]:
    """The single numbers that a loss is the sum of."""
    parts = [each for each in operation.inputs if each.scalar]
    if operation.scalar and operation.name.strip("_") in _TERMS and parts and len(parts) == len(operation.inputs):
        word = operation.name.strip("_")
        if word in _PRODUCTS and len(parts) > 1:  # a product is one term
            return [operation]
        return [term for part in parts for term in _terms(part)]
    return [operation]


def _onwards(operation: Operation, diagram: Diagram) -> set[Operation]:
    """The operations that the gradient goes on to."""
    found, queue = {operation}, [operation]
    while queue:
        new = [each for each in diagram.onwards.get(queue.pop(), ()) if each not in found]
        found.update(new)
        queue += new
    return found


def constant_gradients(record: Recorder) -> Iterator[Case]:
    """Gradients that were returned without a graph and enter a later loss as constants, without a detach."""
    for loss, diagram in _diagrams(record):
        for operation in _undetached(diagram):
            if operation.name != GRADIENT:
                continue
            names = _names(record, operation.parameters)
            if not names:  # of something else: only where a term of the loss is nothing but that
                names = _of_a_term(record, loss, diagram, operation)
            if names:
                yield Case(
                    "constant_gradient",
                    "hint",
                    names,
                    operation.place,
                    names,
                    "a gradient of {it} enters a loss as a constant",
                    f"It was returned at {operation.place} without a graph, and enters the loss at {loss.place}: "
                    "nothing is trained through it.",
                    "If the second order is meant, as in MAML and gradient penalties, say create_graph=True; if not, "
                    "detach() says so.",
                    at=(loss,),
                )


def _undetached(diagram: Diagram) -> Iterator[Operation]:
    """The operations that a loss comes from without an explicit detach on the way."""
    found = dict.fromkeys(diagram.parameters)
    queue = list(found)
    while queue:
        operation = queue.pop()
        yield operation
        for each in operation.inputs:
            if each not in found and each.name.strip("_") != "detach":
                found[each] = None
                queue.append(each)


def _of_a_term(record: Recorder, loss: Loss, diagram: Diagram, gradient: Operation) -> tuple[str, ...]:
    """The modules that a term would train, if the gradient that it is made of had a graph."""
    terms = [term for root in diagram.roots for term in _terms(root)]
    for term in terms if len(terms) > 1 else ():
        if not diagram.gets_gradient(term) and gradient in diagram.closure([term]):
            keys = {key for each in diagram.closure([gradient]) for key in each.parameters}
            return _names(record, keys)
    return ()


def _names(record: Recorder, keys: Iterable[str]) -> tuple[str, ...]:
    owners = {name for key in keys for name in record.weights.owners.get(key, ())}
    return tuple(name for name in record.names if name in owners)


def _diagrams(record: Recorder) -> Iterator[tuple[Loss, Diagram]]:
    for loss in record.losses.values():
        for structure in loss.structures:
            if structure.diagram is not None:
                yield loss, structure.diagram
