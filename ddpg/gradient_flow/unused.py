"""Parameters that no gradient reaches, and gradients that no optimizer takes."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator

from ddpg.gradient_flow.cases import Case, by_hand, by_modules, copies, entrance, feeds_trained, optimizers, subjects
from ddpg.gradient_flow.diagram import GRADIENT, Diagram, Stop
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Loss, listed

_GIVE = "Give it to an optimizer: make that after it, or add_param_group."
_FEW = 2  # steps that say nothing yet


def unreached(record: Recorder) -> Iterator[Case]:
    """Find what an optimizer holds and no pass has reached in all its steps."""
    reached = _used(record)
    copied = copies(record)
    for steppings in optimizers(record):
        stepping, steps = steppings[0], sum(each.steps for each in steppings)
        if steps < _FEW or all(each.dead == each.steps for each in steppings):
            continue
        keys = {
            key
            for each in steppings
            for key, held in each.held.items()
            if key in record.weights.owners and key not in reached and key not in record.weights.writes
            if not (held.gradients or held.frozen or key in copied)
        }
        losses = {loss for each in steppings for held in each.held.values() for loss in held.sources}
        for modules, own in by_modules(record, keys).items():
            cut: dict[tuple[Stop, ...], set[str]] = defaultdict(set)
            for key in own:
                cut[_cut_off(record, losses, key)].add(key)
            for stops, part in cut.items():
                headline = f"{stepping.optimizer} holds {{it}}, not reached in {steps} steps"
                why = f"{stepping} had nothing to apply to it. Unused, resting, or cut off from the loss?"
                mend = "If it is meant to rest, requires_grad_(False) says so."
                if stops:
                    headline = f"no pass reaches {{it}}, which {stepping.optimizer} holds"
                    why = (
                        f"{_listed(stops)} cuts off what it computes and the loss uses, in all of the {steps} steps of "
                    )
                    why += f"{stepping}."
                    mend = "Take that stop away; or, if it is not to learn, take {it} out of the optimizer."
                yield Case(
                    "unreached",
                    "fault" if stops else "hint",
                    modules,
                    stepping.place,
                    subjects(record, modules, part),
                    headline,
                    why,
                    mend,
                    at=(stepping,),
                )


def _listed(stops: Iterable[Stop]) -> str:
    lines = dict.fromkeys(f"the {stop.name} at {stop.place}" for stop in stops)
    text = listed(lines)
    return f"{text[0].upper()}{text[1:]}"


def _cut_off(record: Recorder, losses: Collection[Loss], key: str) -> tuple[Stop, ...]:
    """Return the stops that cut a parameter off from all graphs of an optimizer's losses, if it must be a mistake.

    Whoever freezes a part runs it in evaluation mode, or before all that is trained: then it is no more than a hint.
    """
    found: tuple[Stop, ...] = ()
    for diagram in [structure.diagram for loss in losses for structure in loss.structures]:
        stops = () if diagram is None else tuple(each for each in diagram.stops() if _uses(each, key))
        if diagram is None or not stops or key in record.weights.resting:
            return ()
        if all(_before_all(diagram, stop) for stop in stops):
            return ()
        found = found or stops
    return found


def _uses(stop: Stop, key: str) -> bool:
    return any(key in each.parameters and each.name != GRADIENT for each in stop.behind)


def _before_all(diagram: Diagram, stop: Stop) -> bool:
    """Whether all that the loss's gradient reaches lies between the loss and the stop."""
    between = diagram.before(stop.here)
    others = [each for each, keys in diagram.parameters.items() if keys and each not in between]
    # What comes from parameters alone, as a penalty or a query, is no branch beside the one that is cut off.
    return not any(each.data for each in diagram.closure(others))


def unheld(record: Recorder) -> Iterator[Case]:
    """Find what gets gradients and no optimizer holds."""
    trained, copied = by_hand(record), copies(record)
    if not record.held and not trained:
        return
    found: dict[tuple[tuple[str, ...], Loss], set[str]] = defaultdict(set)
    for loss in record.losses.values():
        for key, use in loss.uses.items():
            owners = record.weights.owners.get(key, ())
            loose = owners and key not in record.held | copied and trained.isdisjoint(owners)
            if loose and use.unused and not use.applied and not _read_alone(record, key):
                found[record.weights.specific(key), loss].add(key)
    for (modules, loss), keys in found.items():
        evidence = _evidence(record, modules, keys)
        yield Case(
            "unheld",
            "fault" if evidence else "hint",
            modules,
            entrance(loss, modules),
            subjects(record, modules, keys),
            "no optimizer takes the gradients of {it}",
            evidence,
            _GIVE if evidence else _held_or_not(record, loss, keys),
            "The gradients are of {losses} ({times}).",
            {loss: (max(loss.uses[key].passes for key in keys), loss.passes)},
        )


def _held_or_not(record: Recorder, loss: Loss, keys: Collection[str]) -> str:
    mend = "If it is to learn, give it to an optimizer; if not, "
    if not any(use.applied for use in loss.uses.values()):
        return f"{mend}leave that pass out, which reaches nothing else that is trained."
    through = ", which lets the gradient pass to what is trained behind" if feeds_trained(record, loss, keys) else ""
    return f"{mend}let it require no gradient: requires_grad_(False){through}."


def _evidence(record: Recorder, modules: tuple[str, ...], keys: Collection[str]) -> str:
    """Return what shows that an optimizer was meant to hold these parameters; empty if nothing does."""
    used = _used(record)
    held = Counter(shape for key, shape in record.orphans.items() if key not in used)
    if all(count <= held[shape] for shape, count in Counter(record.weights.sizes[key] for key in keys).items()):
        return (
            "An optimizer holds as many parameters of the same shapes that no audited module has and no pass reaches: "
            "it was made before this part was made, replaced or loaded."
        )
    whole = {record.weights.parts[name].inside or name for name in modules}
    hidden = {f"{name}.{path}" for name in whole for path in record.weights.parts[name].unregistered}
    if all(any(key.startswith(f"{path}.") or key == path for path in hidden) for key in keys):
        return (
            "It lies in a plain attribute, a list or a dict, so parameters() does not have it: nn.ModuleList registers."
        )
    if keys and record.weights.made_late.issuperset(keys):
        return "It was made after the optimizer, which so does not hold it."
    family = {
        name
        for name in record.names
        if (record.weights.parts[name].inside or name) in whole
        or any(not record.parents[name].isdisjoint(record.parents[each]) for each in modules)
    }
    parts = {key for key, owners in record.weights.owners.items() if not family.isdisjoint(owners)}
    beside = {key: None for key in record.weights.owners if key in parts and key in record.held}
    loose = {*keys, *(key for key in parts if key in record.weights.asked and key not in record.held | copies(record))}
    tensors = len(beside) / max(len(beside) + len(loose), 1)
    numbers = sum(record.weights.sizes[key].numel() for key in beside)
    share = numbers / max(numbers + sum(record.weights.sizes[key].numel() for key in loose), 1)
    if beside and max(tensors, share) > 0.5:
        return (
            f"Other parts of the same module are held: {listed((key.rpartition('.')[0] or key for key in beside), 3)}."
        )
    return ""


def _used(record: Recorder) -> set[str]:
    return {key for loss in record.losses.values() for key in loss.uses}


def _read_alone(record: Recorder, key: str) -> bool:
    """Whether a line of the user's reads this gradient and none that an optimizer takes."""
    return any(key in keys and keys.isdisjoint(record.held) for keys in record.reads.values())
