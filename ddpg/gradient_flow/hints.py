"""Hints: what may be meant and often is not. They need tracing."""

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
    """Find regressions whose target is computed from the network that they train, in the same graph.

    The module enters the squared difference twice, and only one of the ways goes through arithmetic with data:
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
                own = any(name in record.weights.specific(key) for key in loss.uses)
                if plain and target and shifted and applied and own:
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
    """Way by which a module's output enters an expression: the call, and whether data scale or shift it on the way."""

    place: Place
    scaled: bool
    shifted: bool


def _operands(operation: Operation, diagram: Diagram) -> list[Operation]:
    """Return the two sides of a regression, or the one expression that is squared; else nothing."""
    name = operation.name.strip("_")
    return diagram.onwards.get(operation, []) if name in _REGRESSIONS | _POWERS else []


def _entries(top: Operation, name: str, diagram: Diagram) -> list[_Entry]:
    """Return the ways by which the module enters an expression."""
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
        if operation.calls:  # another module computes with it
            continue
        queue += [(each, scaled, shifted) for each in diagram.onwards.get(operation, ())]
    return found


def _adds_data(operation: Operation) -> bool:
    return operation.name.strip("_") in _SUMS and (operation.data or operation.number)


def _shifted_beside(operands: list[Operation], diagram: Diagram) -> bool:
    """Whether data enter the difference itself."""
    return any(
        _adds_data(operation) for operand in operands for operation in _onwards(operand, diagram) if not operation.calls
    )


def cut_terms(record: Recorder) -> Iterator[Case]:
    """Find terms of a loss that reach nothing that a step moves, because a stop cuts them off from it."""
    for loss, diagram in _diagrams(record):
        moved = {key for key, use in loss.uses.items() if use.applied}
        terms = _terms(diagram.roots)
        for term in terms if len(terms) > 1 and moved else ():
            stop = _cut(term, diagram, moved)
            if stop is None or any(each.name == GRADIENT for each in stop.behind):
                continue
            keys = {key for each in stop.behind for key in each.parameters} & moved
            names = tuple(name for name in record.names if any(name in record.weights.specific(key) for key in keys))
            if not names:
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


def _cut(term: Operation, diagram: Diagram, moved: set[str]) -> Stop | None:
    """Return the stop that cuts a term off, if the term reaches nothing that a step moves."""
    if any(not moved.isdisjoint(diagram.parameters.get(each, ())) for each in _onwards(term, diagram)):
        return None
    behind = set(diagram.closure([term]))
    return next((stop for stop in diagram.stops() if stop.here in behind or term in stop.behind), None)


def _terms(operations: Iterable[Operation]) -> list[Operation]:
    """Return the single numbers that a loss is the sum of."""
    found: list[Operation] = []
    for each in operations:
        word = each.name.strip("_")
        product = word in _PRODUCTS and len(each.inputs) > 1
        sums = word in _TERMS and not product and bool(each.inputs) and all(part.scalar for part in each.inputs)
        found += _terms(each.inputs) if sums and each.scalar else [each]
    return found


def _onwards(operation: Operation, diagram: Diagram) -> set[Operation]:
    """Return the operations that the gradient of an operation goes on to."""
    found, queue = {operation}, [operation]
    while queue:
        new = [each for each in diagram.onwards.get(queue.pop(), ()) if each not in found]
        found.update(new)
        queue += new
    return found


def constant_gradients(record: Recorder) -> Iterator[Case]:
    """Find gradients that were returned without a graph and enter a later loss without a detach."""
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
    """Yield the operations that a loss comes from without a detach on the way."""
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
    """Return the modules that a term would train if the gradient that it is made of had a graph."""
    terms = _terms(diagram.roots)
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
