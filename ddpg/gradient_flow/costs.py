"""Costs: gradients that no step applies, and graphs through what is not trained."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from ddpg.gradient_flow import private
from ddpg.gradient_flow.cases import (
    Case,
    by_hand,
    by_modules,
    copies,
    entrance,
    feeds_trained,
    keys_of,
    mask,
    needed_at,
    subjects,
)
from ddpg.gradient_flow.diagram import Operation
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Loss, Lost, Stepping, Structure, Use, size_of
from ddpg.gradient_flow.unused import unheld


def wastes(record: Recorder, least: float) -> Iterator[Case]:
    """Find gradients that no step applied, from this share of a pass's work on."""
    copied, forgotten = copies(record), _unheld_by_mistake(record)
    for loss in record.losses.values() if private.knows_work else ():
        unused = {key for key, use in loss.uses.items() if key in record.weights.owners and _unused(record, use)}
        groups = by_modules(record, unused)
        shares = _shares(loss, unused, groups)
        for modules, keys in groups.items():
            passes = max(_unused(record, loss.uses[key]) for key in keys)
            shares[modules] *= passes / loss.passes
            if shares[modules] < least or keys <= forgotten:
                continue
            lost = _commonest(loss.uses[key] for key in keys)
            why, mend = _why(record, loss, lost, keys)
            if not mend:
                mend = _mend(record, loss, modules, keys)
                if keys.isdisjoint(record.held | copied):
                    mend = f"Give {{it}} to an optimizer if it is to learn. {mend}"
            times: dict[Loss | Stepping, tuple[int, int]] = {loss: (passes, loss.passes)}
            yield Case(
                "waste",
                "cost",
                modules,
                loss.place,
                subjects(record, modules, keys),
                "gradients of {it} are computed and never applied",
                why,
                mend,
                "By {losses} ({times}; {share} of the work of a pass, by operations).",
                times,
                {loss: shares[modules]},
            )


def _mend(record: Recorder, loss: Loss, modules: tuple[str, ...], keys: set[str]) -> str:
    """Say how not to compute these gradients, without harm to what the loss trains."""
    if not any(use.applied for use in loss.uses.values()):
        return "If it is not wanted, leave that pass out: nothing that it reaches is moved by it."
    if any(loss.uses[key].applied for key in keys):
        return "In other passes they are applied. In these, name the others in backward(inputs=…), or leave them out."
    mend = (
        "If it is not wanted, let {it} require no gradient during that forward pass, or name the others in "
        "backward(inputs=…)"
    )
    place = entrance(loss, modules)
    known = any(loss.crossings.get(name) for name in modules) and not needed_at(record, modules, keys, place, loss)
    return f"{mend}; or stop it at {place}." if known and not feeds_trained(record, loss, keys) else f"{mend}."


def _unused(record: Recorder, use: Use) -> int:
    """Count passes whose gradient was not applied; not those still waiting when the script was ended."""
    return use.unused - (use.waiting if record.cut_short and use.applied else 0)


def _unheld_by_mistake(record: Recorder) -> set[str]:
    """Return the parameters of which another finding says that an optimizer has to hold them."""
    found = [case for case in unheld(record) if case.severity == "fault"]
    return keys_of(record, {name for case in found for name in case.modules}) - record.held


def _commonest(uses: Iterator[Use]) -> Lost | None:
    """Return how most of these gradients were lost; None if they are still there."""
    counts: dict[Lost | None, int] = defaultdict(int)
    for use in uses:
        counts[None] += use.waiting
        for lost, count in use.lost.items():
            if lost.how != "skipped":
                counts[lost] += count
    return max(counts, key=lambda each: (counts[each], each is not None))


def _why(record: Recorder, loss: Loss, lost: Lost | None, keys: set[str]) -> tuple[str, str]:
    """Return how these gradients were lost, and what to do if they are meant to be applied."""
    holder = next((each for each in record.steppings.values() if not keys.isdisjoint(each.held)), None)
    where = f" at {lost.site}" if lost is not None and lost.site is not None else ""
    if lost is None:
        latest = [each.followed_by for each in record.backwards.entries() if each.of is loss][-1:]
        if latest == [None] or not latest or latest[0] is None:
            return "No step has followed.", ""
        return f"The step that followed, {latest[0]}, does not hold it." if keys.isdisjoint(latest[0].held) else "", ""
    if lost.how == "frozen":
        return "It was frozen between the forward and the backward pass.", "Freeze it before the forward pass."
    if lost.before is not None:
        gone = f"{lost.before} holds it, but it was {lost.how}{where} before that step."
        return gone, "Clear before the backward pass, or after the step." if lost.how == "cleared" else ""
    if lost.after is not None:
        held = "does not hold it" if keys.isdisjoint(lost.after.held) else "did not apply it"
        return f"The step that followed, {lost.after}, {held}, and then it was {lost.how}{where}.", ""
    if holder is not None and lost.how == "cleared":
        return (
            f"It was {lost.how}{where} before any step, and {holder} holds it.",
            "If they are to be applied together, clear once for each step; if not, backward(inputs=…) spares them.",
        )
    then = "; what is to learn is cleared after its step" if holder is None and lost.how == "cleared" else ""
    return f"It was {lost.how}{where} before any step{then}.", ""


def _shares(
    loss: Loss, unused: Collection[str], groups: Mapping[tuple[str, ...], Collection[str]]
) -> dict[tuple[str, ...], float]:
    """Return for each group the share of the passes' work that serves nothing else; shares of one pass add up."""
    shares: dict[tuple[str, ...], float] = dict.fromkeys(groups, 0.0)
    passes = dict.fromkeys(groups, 0)
    for structure in loss.structures:
        allowed = mask(structure.leaves, unused)
        masks = {modules: mask(structure.leaves, keys) for modules, keys in groups.items()}
        total = max(sum(structure.work_by_reach.values()), 1.0)
        for modules, own in masks.items():
            passes[modules] += structure.passes if own else 0
        for reach, work in structure.work_by_reach.items():
            if reach and not reach & ~allowed:
                sharing = [modules for modules, own in masks.items() if reach & own]
                for modules in sharing:
                    shares[modules] += structure.passes * work / total / len(sharing)
    return {modules: shares[modules] / max(passes[modules], 1) for modules in groups}


def tracked_targets(record: Recorder, least: float) -> Iterator[Case]:
    """Find what no optimizer holds and yet lies in a loss's graph, or in a graph behind a detach."""
    trained = by_hand(record) | {name for key in record.held for name in record.weights.owners.get(key, ())}
    copied = copies(record)
    loose = (record.weights.owners.keys() - keys_of(record, trained)) | (copied - record.held)
    for loss in record.losses.values() if trained else ():
        for structure in loss.structures:
            inside: dict[tuple[str, ...], None] = dict.fromkeys(
                record.weights.specific(key)
                for key in structure.graph_keys()
                # What gets a gradient and is no copy lacks an optimizer: another finding.
                if key in loose and (key not in loss.uses or key in copied)
            )
            for modules in inside:
                own = {key for key in loose if record.weights.specific(key) == modules}
                if any(use.applied for key, use in loss.uses.items() if key in own):
                    continue  # an optimizer of other weights applies its gradient, as asynchronous workers do
                size = _bytes_through(structure, own)
                total = structure.bytes + sum(each.bytes for each in _detaches(structure, loose))
                if total and size < least * total:
                    continue
                place = _nearest(record, structure, own, loose) or entrance(loss, modules)
                passes = sum(each.passes for each in loss.structures if set(each.graph_keys()) & own)
                if needed_at(record, modules, own, place, loss):  # another loss needs that graph
                    continue
                through = feeds_trained(record, loss, own)
                yield Case(
                    "tracked_target",
                    "cost",
                    modules,
                    place,
                    subjects(record, modules, own),
                    "a graph is recorded through {it}, which no optimizer holds",
                    f"It keeps {size_of(size)}." if private.knows_memory else "",
                    "Let its parameters require no gradient: requires_grad_(False)."
                    if through
                    else f"Call it under torch.no_grad() at {place}, or let its parameters require no gradient.",
                    "By {losses} ({times}).",
                    {loss: (passes, loss.passes)},
                )


def _nearest(record: Recorder, structure: Structure, keys: Collection[str], loose: Collection[str]) -> Place | None:
    """Return the call nearest to the loss, among untrained modules that a detach cuts off with these parameters."""
    names = {name for key in loose for name in record.weights.owners[key]}
    calls = (call for behind in _detaches(structure, keys).values() for each in behind for call in each.calls)
    return next((call.place for call in calls if call.name in names), None)


def _detaches(structure: Structure, keys: Collection[str]) -> dict[Operation, list[Operation]]:
    """Return the detaches that cut these parameters off, with the operations behind each."""
    cut_off = structure.diagram.cut_off() if structure.diagram is not None else {}
    return {
        each: behind
        for each, behind in cut_off.items()
        if any(not set(keys).isdisjoint(one.parameters) for one in behind)
    }


def _bytes_through(structure: Structure, keys: Collection[str]) -> int:
    """Count the bytes that the graph holds because of these parameters: their operations and what feeds these alone."""
    some, through = mask(structure.leaves, keys), structure.through(keys)
    in_graph = sum(each for reach, each in structure.bytes_by_reach.items() if not reach & ~through and reach & some)
    return in_graph + sum(each.bytes for each in _detaches(structure, keys))
