"""Faults of steps: leaks, stale gradients, dead links, drifts, gradients applied twice."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations

from ddpg.gradient_flow.cases import Case, by_modules, entrance, feeds_trained, keys_of, moved, optimizers, subjects
from ddpg.gradient_flow.diagram import Stop
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Loss, Span, Stepping, listed

_PHASE = 3  # steps that make a phase of training


@dataclass(frozen=True)
class _Side:
    """Steps of one optimizer that moved a parameter by gradients of known origin.

    Attributes:
        steppings: the lines where it steps.
        sources: the losses by whose gradients, and in which of the steps.
    """

    steppings: list[Stepping]
    sources: list[tuple[Loss, Span]]

    @property
    def losses(self) -> dict[Loss, None]:
        """Losses by whose gradients it moved the parameter, in order."""
        return dict.fromkeys(loss for loss, _ in self.sources)

    @property
    def count(self) -> int:
        """Number of steps."""
        return sum(span.count for _, span in self.sources)


def leaks(record: Recorder, shared: frozenset[str]) -> Iterator[Case]:
    """Find modules moved by two optimizers on different losses, or by one step on two that are to be kept apart."""
    found: dict[tuple[str, ...], list[tuple[str, _Side, _Side]]] = defaultdict(list)
    for key in _not_shared(record, shared):
        for one, other in combinations(_sides(record, key), 2):
            pretrained = _in_turn(one, other) and min(one.count, other.count) >= _PHASE
            if one.losses.keys().isdisjoint(other.losses) and not pretrained:
                found[record.weights.specific(key)].append((key, one, other))
    for modules, cases in found.items():
        keys = {key for key, _, _ in cases}
        key, *sides = cases[0]
        # Which of the two is not meant to is a judgement: the one for which these modules are more of a by-way.
        culprit, owner = sorted(sides, key=lambda side: _by_way(record, side, key, keys), reverse=True)
        source, own = next(iter(culprit.losses)), next(iter(owner.losses))
        mover, holder = culprit.steppings[0], owner.steppings[0]
        it, place = listed(subjects(record, modules, keys)), entrance(source, modules)
        take = "take its parameters out of that optimizer"
        other_place = entrance(own, modules)
        mend = (
            f"{take.capitalize()}, or let them require no gradient at {place}; a stop there would end the training of "
            "what lies behind."
            if feeds_trained(record, source, keys)
            else f"Stop it where {it} enters that loss, {place}: {_stop(it, modules, place, other_place)}, or {take}."
        )
        yield Case(
            "leak",
            # In a single update, where each optimizer steps once, one always comes after the other.
            "hint" if all(_in_turn(a, b) and max(a.count, b.count) > 1 for _, a, b in cases) else "fault",
            modules,
            place,
            (it,),
            "a loss that is not its own moves {it}",
            f"It is trained by the loss at {own.place} ({holder}), yet {mover} moves it too, by the loss at "
            f"{source.place} ({culprit.count} of {sum(each.steps for each in culprit.steppings)} steps).",
            f"{mend} (If it is the loss at {own.place} that should not train it, the place is {other_place}; if both "
            f"are meant to, declare it: {_shared(modules)}.)",
            at=(source, *culprit.steppings),
        )
    yield from _together(record, shared)


def _together(record: Recorder, shared: frozenset[str]) -> Iterator[Case]:
    """Find modules to which one step applies two losses that went backward before it, one of which is not their own.

    Either part of the first loss's gradient was cleared before the second went backward; or the one reaches nothing but
    what this optimizer holds, and the other only passes through to what another optimizer trains.
    """
    found: dict[tuple[tuple[str, ...], Loss, Loss, Stepping], set[str]] = defaultdict(set)
    for stepping in record.steppings.values():
        for key, held in stepping.held.items():
            for one, other, parted in held.together if key in record.weights.owners else ():
                if not shared.isdisjoint(record.weights.owners[key]) or not held.moved:
                    continue
                for own, foreign in ((one, other), (other, one)):
                    through = {
                        each
                        for structure in foreign.structures
                        for each in record.behind(structure, record.weights.kin(key))
                        if each not in stepping.held and each in foreign.uses and foreign.uses[each].applied
                    }
                    alone = own.uses.keys() <= stepping.held.keys()
                    only = all(each is foreign or through.isdisjoint(each.uses) for each in record.losses.values())
                    if (alone and through and only) or (parted and through):
                        found[record.weights.specific(key), own, foreign, stepping].add(key)
                        break
                else:
                    if parted:
                        found[record.weights.specific(key), other, one, stepping].add(key)
    for (modules, own, foreign, stepping), keys in found.items():
        it, place = listed(subjects(record, modules, keys)), entrance(foreign, modules)
        count = max(
            sum(number for pair, number in stepping.held[key].together.items() if {own, foreign} <= {*pair})
            for key in keys
        )
        mend = (
            f"Let it require no gradient at {place}, or send that loss backward first and clear what it leaves in it "
            "before the other; a stop there would end the training of what lies behind."
            if feeds_trained(record, foreign, keys)
            else f"Stop it where {it} enters that loss, {place}: {_stop(it, modules, place, entrance(own, modules))}."
        )
        yield Case(
            "leak",
            "fault",
            modules,
            place,
            (it,),
            "a loss that is not its own moves {it}",
            f"{stepping} applies to it what the loss at {foreign.place} has added to the gradient of the loss at "
            f"{own.place} ({count} of {stepping.steps} steps): both went backward before that step.",
            f"{mend} (If both are meant to, declare it: {_shared(modules)}.)",
            at=(foreign, stepping),
        )


def moved_targets(record: Recorder, shared: frozenset[str]) -> Iterator[Case]:
    """Find copies of trained weights (target networks) that a step moves together with what it trains."""
    trained = moved(record)
    found: dict[tuple[tuple[str, ...], Stepping, Loss], set[str]] = defaultdict(set)
    for key in _not_shared(record, shared):
        writes = record.weights.writes.get(key)
        if writes is None or not all(source in trained for source in writes.sources):
            continue
        for stepping in record.steppings.values():
            held = stepping.held.get(key)
            company = any(
                other.moved
                and each not in record.weights.writes
                and record.weights.specific(each) != record.weights.specific(key)
                for each, other in stepping.held.items()
            )
            # A copy after the step, for one before may be a start from given weights.
            if held is not None and company:
                for loss, span in held.sources.items():
                    if writes.last > span.first:
                        found[record.weights.specific(key), stepping, loss].add(key)
                        break
    for (modules, stepping, loss), keys in found.items():
        place = entrance(loss, modules)
        yield Case(
            "leak",
            "fault",
            modules,
            place,
            subjects(record, modules, keys),
            "a loss moves {it}, a copy of other weights",
            f"It is written outside any optimizer, as a copy of other weights, yet {stepping} moves it too, by the "
            f"loss at {loss.place} ({{times}}).",
            f"Take its parameters out of that optimizer, and call it under torch.no_grad() at {place}. (If it is meant "
            f"to be trained as well as copied, declare it: {_shared(modules)}.)",
            times={stepping: (max(stepping.held[key].sources[loss].count for key in keys), stepping.steps)},
            at=(loss,),
        )


def stale_gradients(record: Recorder, shared: frozenset[str]) -> Iterator[Case]:
    """Find steps that apply a gradient left over from before an earlier step."""
    for stepping in record.steppings.values():
        stale: dict[tuple[str, ...], dict[tuple[Loss, bool], set[str]]] = defaultdict(lambda: defaultdict(set))
        for key, held in stepping.held.items():
            for source in held.stale if key in record.weights.owners else ():
                stale[record.weights.specific(key)][source].add(key)
        for modules, sources in stale.items():
            keys = {key for each in sources.values() for key in each}
            own = {loss for key in keys for loss in stepping.held[key].sources}
            # Another's gradient teaches it something else; its own once more is the smaller evil.
            order = sorted(sources, key=lambda each: (each[0] in own, each[1]))
            if all(not again for _, again in order) and not shared.isdisjoint(modules):
                continue
            again = {loss for loss, repeated in order if repeated}
            parts = [
                f"{'again ' if loss in again else ''}what the loss at {loss.place} has left"
                for loss in dict.fromkeys(loss for loss, _ in order)
            ]
            counts = [stepping.held[key].stale[source] for source, each in sources.items() for key in each]
            foreign = [loss for loss, again in order if loss not in own]
            mend = f"Clear the gradient after that step, before the next backward pass: {_clearing(stepping, modules)}."
            if foreign and feeds_trained(record, foreign[0], keys):
                after = "clear it after that step, and " if not own.isdisjoint(again) else ""
                mend = (
                    f"Clear it before the passes that it is to learn from: {_clearing(stepping, modules)}. Or {after}"
                    f"let {{it}} require no gradient where it enters that loss, {entrance(foreign[0], modules)}."
                )
            yield Case(
                "stale_gradient",
                "fault",
                modules,
                stepping.place,
                subjects(record, modules, keys),
                "gradients left over from before an earlier step move {it}",
                f"{stepping} applies {' and '.join(dict.fromkeys(parts))} in it ({{times}}).",
                mend,
                times={stepping: (min(max(counts), stepping.steps), stepping.steps)},
                at=tuple(foreign or dict.fromkeys(loss for loss, _ in order)),
            )


def _shared(modules: tuple[str, ...]) -> str:
    return f"shared={modules[0] if len(modules) == 1 else modules!r}, or --shared {','.join(modules)}"


def _clearing(stepping: Stepping, modules: tuple[str, ...]) -> str:
    return f"{stepping.name or 'optimizer'}.zero_grad()" + (
        f", or {modules[0]}.zero_grad()" if len(modules) == 1 else ""
    )


def dead_links(record: Recorder) -> Iterator[Case]:
    """Find optimizers whose steps never have a gradient to apply."""
    for steppings in optimizers(record):
        if any(each.dead < each.steps for each in steppings):
            continue
        stepping = steppings[0]
        held = listed(stepping.holds) or "anything that it holds, which is none of the audited modules' parameters"
        severity, why = "fault", ""
        mend = f"Look for a detach, no_grad, .data or .item() between {held} and the loss that should train it."
        if not stepping.holds:
            mend = "Was the optimizer made before the modules were copied, replaced or loaded? Then make it anew."
        elif _never_ran(record, stepping):
            severity, why = "hint", f" {held} was not called meanwhile."
            mend = "If it is meant to rest, leave out the step; if not, look for what should call it."
        elif (cut := _stop_before(record, stepping.held.keys())) is not None:
            why = f" The {cut.name} at {cut.place} cuts off what it computes."
            mend = "Take that stop away, if the module is to learn."
        yield Case(
            "dead_link",
            severity,
            stepping.holds,
            stepping.place,
            (held,),
            f"{stepping.optimizer} has nothing to apply to {{it}}",
            f"No backward pass before {stepping} reached it ({{times}}).{why}",
            mend,
            times={each: (each.dead, each.steps) for each in steppings},
        )


def drifts(record: Recorder, frozen: frozenset[str]) -> Iterator[Case]:
    """Find what moves though no gradient moves it, or though it is declared frozen."""
    yield from _declared(record, frozen)
    for stepping in record.steppings.values():
        causes = " and ".join(f"{setting} {value:g}" for setting, value in stepping.settings.items())
        by = f", by its {causes}" if causes else ""
        for name in stepping.holds:
            if name in frozen:
                continue
            sudden, plain = stepping.drifts[name, True], stepping.drifts[name, False]
            if sudden + plain:
                certain = plain == stepping.steps
                if record.weights.parts[name].inside and not certain:
                    continue  # a part may rightly have none for a while, as one of two factors that starts at 0
                certain = certain or plain > 1
                yield Case(
                    "drift",
                    "fault" if certain else "hint",
                    (name,),
                    stepping.place,
                    (name,),
                    f"{stepping.optimizer} moves {{it}} by a gradient of zeros",
                    f"{stepping} moves it{by} ({{times}}).",
                    f"A zero gradient is not no gradient: set it to None, {name}.zero_grad(set_to_none=True), or take "
                    "the module out of the optimizer." + ("" if certain else " (One batch may rightly have none.)"),
                    times={stepping: (sudden + plain, stepping.steps)},
                )
        # An optimizer that never has a gradient moves by something else, as one that perturbs.
        moves = any(held.gradients for held in stepping.held.values())
        alone = {key for key, held in stepping.held.items() if moves and held.drifted}
        for modules, keys in by_modules(record, alone).items():
            if frozen.isdisjoint(modules):
                yield Case(
                    "drift",
                    "fault",
                    modules,
                    stepping.place,
                    subjects(record, modules, keys),
                    f"{stepping.optimizer} moves {{it}} without a gradient",
                    f"{stepping} moves it{by} ({{times}}).",
                    "Take {it} out of the optimizer, or of its weight decay.",
                    times={stepping: (max(stepping.held[key].drifted for key in keys), stepping.steps)},
                )
        for key, held in stepping.held.items():
            rows = held.rows.drifted if held.rows is not None and key in record.weights.owners else 0
            if held.rows is not None and rows and frozen.isdisjoint(record.weights.owners[key]):
                yield Case(
                    "drift",
                    "fault",
                    record.weights.specific(key),
                    stepping.place,
                    (key,),
                    f"{rows} of {len(held.rows.moved)} rows of {{it}} move, and their gradient is zeroed",
                    f"{held.rows.site} zeroes it, and {stepping} moves them{by}.",
                    "Put the rows back after the step, or have them moved by gradients alone: no decay, no momentum.",
                    at=(stepping,),
                )
    yield from _statistics(record, frozen)


def _declared(record: Recorder, frozen: frozenset[str]) -> Iterator[Case]:
    """Find what is declared frozen and has changed."""
    for name in frozen:
        own = keys_of(record, (name,))
        for stepping in record.steppings.values():
            keys = {key for key in own if key in stepping.held and stepping.held[key].moved}
            if keys:
                yield Case(
                    "drift",
                    "fault",
                    (name,),
                    stepping.place,
                    subjects(record, (name,), keys),
                    f"{stepping.optimizer} moves {{it}}, declared frozen",
                    f"{stepping} moves it ({{times}}).",
                    f"Take it out of that optimizer, or let it require no gradient: {name}.requires_grad_(False).",
                    times={stepping: (max(stepping.held[key].moved for key in keys), stepping.steps)},
                )
        written = {key for key in own if key in record.weights.writes}
        changed = [f"{name}.{path}" for path in record.weights.changed_buffers.get(name, ())]
        if written or changed:
            parts = (*subjects(record, (name,), written), *changed) if written else tuple(changed)
            yield Case(
                "drift",
                "fault",
                (name,),
                _called_at(record, name),
                parts,
                "something other than a step moves {it}, declared frozen",
                "",
                f"{name}.eval() keeps running statistics still." if changed else "Look for what writes to it.",
            )


def _statistics(record: Recorder, frozen: frozenset[str]) -> Iterator[Case]:
    """Find normalisation layers that go on averaging in a part that is not trained."""
    touched = moved(record)
    still = record.weights.owners.keys() - record.weights.asked - touched - record.weights.writes.keys()
    for name in record.names if touched else ():
        paths = record.weights.moving.get(name, ())
        parts = dict.fromkeys(
            part
            for part in subjects(record, (name,), keys_of(record, (name,)) & still)
            for path in paths
            if f"{name}.{path}.".startswith(f"{part}.") and f"{name}.{path}" != part
        )
        if parts and name not in frozen:
            yield Case(
                "drift",
                "fault",
                (name,),
                _called_at(record, name),
                tuple(parts),
                "the forward pass moves running statistics of {it}, otherwise frozen",
                f"The statistics belong to {listed((f'{name}.{path}' for path in paths), 3)}.",
                "A frozen module in train mode goes on averaging: call eval() on it, and again after every train() of "
                "what contains it.",
            )


def applied_twice(record: Recorder, shared: frozenset[str]) -> Iterator[Case]:
    """Find gradients that two optimizers apply, one after the other."""
    found: dict[tuple[tuple[str, ...], Stepping, Stepping, Loss], dict[str, int]] = defaultdict(dict)
    for stepping in record.steppings.values():
        for key, held in stepping.held.items():
            for (loss, by), count in held.twice.items() if key in record.weights.owners else ():
                if shared.isdisjoint(record.weights.owners[key]):
                    found[record.weights.specific(key), stepping, by, loss][key] = count
    for (modules, stepping, by, loss), counts in found.items():
        yield Case(
            "applied_twice",
            "fault",
            modules,
            stepping.place,
            subjects(record, modules, set(counts)),
            "one gradient moves {it} twice",
            f"{stepping} applies to it the gradient of the loss at {loss.place} that {by} has applied already "
            "({times}).",
            f"Take it out of one of the two. (If two rates are meant, declare it: {_shared(modules)}.)",
            times={stepping: (max(counts.values()), stepping.steps)},
            at=(by,),
        )


def _stop_before(record: Recorder, keys: Collection[str]) -> Stop | None:
    """Return the stop between a loss and what these parameters compute; needs tracing."""
    for loss in record.losses.values():
        for structure in loss.structures:
            for stop in structure.diagram.stops() if structure.diagram is not None else ():
                if any(not set(keys).isdisjoint(each.parameters) for each in stop.behind):
                    return stop
    return None


def _stop(it: str, modules: tuple[str, ...], place: Place, other: Place) -> str:
    """Say how to stop a gradient at a call; where one call serves both losses, only on the way to the one."""
    return (
        f"{modules[0]}(…).detach()" if place != other and it == modules[0] else "detach what of it goes into that loss"
    )


def _never_ran(record: Recorder, stepping: Stepping) -> bool:
    """Whether tracing shows that what an optimizer holds was neither called nor copied to what was."""
    modules = [name for name in stepping.holds if record.weights.parts[name].is_module]
    copied = {source for writes in record.weights.writes.values() for source in writes.sources}
    return (
        record.tracer is not None
        and bool(modules)
        and record.ran.keys().isdisjoint(modules)
        and (copied | record.weights.twins.keys()).isdisjoint(stepping.held)
    )


def _called_at(record: Recorder, name: str) -> Place:
    """Return where a module was last called; without tracing, the first step."""
    return record.ran[name].place if name in record.ran else next(each.place for each in record.steppings.values())


def _not_shared(record: Recorder, shared: frozenset[str]) -> list[str]:
    return [key for key, owners in record.weights.owners.items() if shared.isdisjoint(owners)]


def _sides(record: Recorder, key: str) -> list[_Side]:
    """Group the steps that moved a parameter by gradients of known origin by optimizer."""
    found: dict[int, list[Stepping]] = defaultdict(list)
    for stepping in record.steppings.values():
        if key in stepping.held and stepping.held[key].sources:
            found[stepping.number].append(stepping)
    return [_Side(own, [pair for each in own for pair in each.held[key].sources.items()]) for own in found.values()]


def _in_turn(one: _Side, other: _Side) -> bool:
    """Whether one optimizer had finished for good when the other began: pretraining, then training."""
    (_, end), (start, _) = sorted(
        (min(span.first for _, span in side.sources), max(span.last for _, span in side.sources))
        for side in (one, other)
    )
    return end < start


def _by_way(record: Recorder, side: _Side, key: str, keys: set[str]) -> tuple[float, ...]:
    """Rank how much these parameters are a by-way of an optimizer's loss rather than what it is there to train.

    First, whether the gradient passes through them to something else that is trained; then, whether the optimizer
    moves anything else; how many other trained modules lie before them; how little they are of what it moves.
    """
    loss = next(iter(side.losses))
    structure = next((each for each in loss.structures if key in each.leaves), None)
    away = structure.away[structure.leaves.index(key)] if structure is not None else 0
    held = [pair for stepping in side.steppings for pair in stepping.held.items()]
    share = _share([(each, state.size * state.moved) for each, state in held], keys)
    return feeds_trained(record, loss, keys), share < 1, away, -share


def _share(amounts: list[tuple[str, float]], keys: set[str]) -> float:
    total = sum(amount for _, amount in amounts)
    return sum(amount for key, amount in amounts if key in keys) / total if total else 0.0
