"""The six kinds of finding: what each one means, decided from the record alone."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, takewhile

from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Backward, Contribution, Finding, Step

_PHASE = 3  # steps that make a phase of training


def findings(record: Recorder, shared: frozenset[str]) -> list[Finding]:
    """What is wrong, worst first."""
    return [
        *_leaks(record, shared),
        *_moved_targets(record, shared),
        *_stale_gradients(record),
        *_dead_links(record),
        *_drifts(record),
        *_wastes(record),
        *_tracked_targets(record),
    ]


def _leaks(record: Recorder, shared: frozenset[str]) -> Iterator[Finding]:
    """Modules moved by the steps of two optimizers on different losses."""
    found: dict[tuple[str, ...], list[tuple[str, list[Step], list[Step]]]] = defaultdict(list)
    for key, owners in record.owners.items():
        if shared.isdisjoint(owners):
            for one, other in combinations(_by_optimizer(record, key), 2):
                if _losses(key, one).isdisjoint(_losses(key, other)) and not _phases(one, other):
                    found[_specific(record, key)].append((key, one, other))
    for modules, cases in found.items():
        keys = {key for key, _, _ in cases}
        key, *sides = cases[0]
        # Which of the two is not meant to is a judgement: the one for which these modules are more of a by-way.
        culprit, owner = sorted(sides, key=lambda steps: _by_way(record, steps, key, keys), reverse=True)
        source, own = _source(culprit[0], key), _source(owner[0], key)
        place, other_place = _entrance(source, modules), _entrance(own, modules)
        what = _subject(record, modules, keys)
        if _feeds_trained(record, source, modules):
            mend = (
                f"Take its parameters out of that optimizer, or let them require no gradient at {place}; a stop there "
                "would end the training of what lies behind."
            )
        else:
            mend = (
                f"Stop the gradient where {what} enters that loss, {place}: {modules[0]}(…).detach(), or take its "
                "parameters out of that optimizer."
            )
        yield _finding(
            "leak",
            modules,
            place,
            f"{what} is trained by the loss at {own.place} ({owner[0].optimizer} at {owner[0].place}), yet "
            f"{culprit[0].optimizer} at {culprit[0].place} moves it too, by the loss at {source.place}"
            f"{_times(culprit)}. {mend} (If it is the loss at {own.place} that should not train it, the place is "
            f"{other_place}; if both are meant to, say shared={modules}.)",
        )


def _moved_targets(record: Recorder, shared: frozenset[str]) -> Iterator[Finding]:
    """Modules that follow trained weights by copies, and that a step moves together with what it trains."""
    trained = {key for step in record.steps for key, state in step.parameters.items() if state.moved}
    found: dict[tuple[str, ...], list[tuple[Step, Contribution]]] = defaultdict(list)
    for key, writes in record.writes.items():
        follows = all(write.source in trained for write in writes) and shared.isdisjoint(record.owners[key])
        for step in record.steps if follows else ():
            company = (
                state.moved and other not in record.writes
                for other, state in step.parameters.items()
                if _specific(record, other) != _specific(record, key)
            )
            fresh = _fresh(step, key)
            # A copy after the step, for one before may be a start from given weights.
            if fresh and any(write.index > step.index for write in writes) and any(company):
                found[_specific(record, key)].append((step, fresh[0]))
    for modules, cases in found.items():
        step, contribution = cases[0]
        assert contribution.backward is not None
        place = _entrance(contribution.backward, modules)
        yield _finding(
            "leak",
            modules,
            place,
            f"{_list(modules)} is written outside any optimizer, as a copy of other weights, yet {step.optimizer} at "
            f"{step.place} moves it too, by the loss at {contribution.backward.place}"
            f"{_times({id(each): each for each, _ in cases})}. Take its parameters out of that optimizer, and call it "
            f"under torch.no_grad() at {place}. (If it is meant to be trained as well as copied, say "
            f"shared={modules}.)",
        )


def _stale_gradients(record: Recorder) -> Iterator[Finding]:
    """Steps that apply what a pass left before an earlier step."""
    found: dict[tuple[tuple[str, ...], Place], list[tuple[Step, Contribution]]] = defaultdict(list)
    for step in record.steps:
        for key, state in step.parameters.items():
            for contribution in state.stale if key in record.owners else ():
                found[_specific(record, key), step.place].append((step, contribution))
    for (modules, place), cases in found.items():
        step, contribution = cases[0]
        assert contribution.backward is not None
        again = " again" if any(each < step.index for each in contribution.applied) else ""
        yield _finding(
            "stale_gradient",
            modules,
            place,
            f"{step.optimizer} at {place} applies{again} to {_list(modules)} a gradient left over from the loss at "
            f"{contribution.backward.place}, from before an earlier step{_times({id(each): 0 for each, _ in cases})}. "
            "Clear the gradient after that step, before the next backward pass: optimizer.zero_grad(), or "
            f"{modules[0]}.zero_grad().",
        )


def _dead_links(record: Recorder) -> Iterator[Finding]:
    """Optimizers whose steps have nothing to apply, and whose losses reach nothing that they hold."""
    optimizers: dict[int, list[Step]] = defaultdict(list)
    dead: dict[int, bool] = defaultdict(lambda: True)
    last = -1
    for step in record.steps:
        optimizers[step.optimizer_id].append(step)
        latest = [each for each in record.backwards if each.index > last]
        reached = any(not step.parameters.keys().isdisjoint(each.contributions) for each in latest)
        dead[step.optimizer_id] &= not reached and not any(each.gradient for each in step.parameters.values())
        last = step.index
    found: dict[tuple[tuple[str, ...], Place], list[Step]] = defaultdict(list)
    for key, steps in optimizers.items():
        if dead[key]:
            found[steps[0].holds, steps[0].place] += steps
    for (modules, place), steps in found.items():
        if modules:
            held = _list(modules)
            mend = f"Look for a detach, no_grad, .data or .item() between {held} and the loss that should train it."
        else:
            held = "anything that it holds, which is none of the audited modules' parameters"
            mend = "Was the optimizer made before the modules were copied, replaced or loaded? Then make it anew."
        yield _finding(
            "dead_link",
            modules,
            place,
            f"{steps[0].optimizer} at {place} has nothing to apply: no backward pass before it reached {held}"
            f"{_times(steps)}. {mend}",
        )


def _drifts(record: Recorder) -> Iterator[Finding]:
    """Steps that move a module whose gradient is zero."""
    found: dict[tuple[str, Place], list[Step]] = defaultdict(list)
    for step in record.steps:
        for name in step.holds:
            moved = [each for key, each in step.parameters.items() if name in record.owners.get(key, ()) and each.moved]
            if moved and all(each.gradient == 0 for each in moved):
                found[name, step.place].append(step)
    for (name, place), steps in found.items():
        causes = " and ".join(f"{setting} {value:g}" for setting, value in steps[0].settings.items())
        yield _finding(
            "drift",
            (name,),
            place,
            f"{steps[0].optimizer} at {place} moves {name} though its gradient is zero{_times(steps)}"
            f"{f', by its {causes}' if causes else ''}. A zero gradient is not no gradient: set it to None, "
            f"{name}.zero_grad(set_to_none=True), or take the module out of the optimizer.",
        )


def _wastes(record: Recorder) -> Iterator[Finding]:
    """Gradients that no step applied."""
    found: dict[tuple[tuple[object, ...], tuple[str, ...]], list[tuple[Backward, float]]] = defaultdict(list)
    for backward in record.backwards:
        unused = {
            key
            for key, each in backward.contributions.items()
            if key in record.owners and not each.applied and not each.replaced
        }
        for modules in dict.fromkeys(_specific(record, key) for key in backward.contributions if key in unused):
            own = {key for key in unused if _specific(record, key) == modules}
            share = _part(backward.work_by_reach, backward.leaves, unused, own)
            found[backward.kind, modules].append((backward, share))
    for (kind, modules), cases in found.items():
        backward, _ = cases[0]
        passes = sum(each.kind == kind for each in record.backwards)
        share = sum(each for _, each in cases) / len(cases)
        yield _finding(
            "waste",
            modules,
            backward.place,
            f"the gradient that the loss at {backward.place} computes into {_list(modules)} is never applied "
            f"({len(cases)} of {passes} passes): {share:.0%} of the pass's work, by operations. "
            f"{_why_wasted(backward, modules)} If it is not wanted, let {_list(modules)} require no gradient during "
            f"that forward pass, or name the others in backward(inputs=…)"
            # Where something that is trained lies behind the module, a stop would end its training.
            + (
                "." if _feeds_trained(record, backward, modules) else f", or stop it at {_entrance(backward, modules)}."
            ),
        )


def _why_wasted(backward: Backward, modules: tuple[str, ...]) -> str:
    step = backward.next_step
    if step is None:
        return "No step has followed."
    if set(modules) <= set(step.holds):
        return (
            f"{step.optimizer} at {step.place} holds it, but it was cleared before that step: zero_grad() belongs "
            "before the backward pass."
        )
    return f"The step that followed, {step.place}, was of an optimizer that does not hold it."


def _tracked_targets(record: Recorder) -> Iterator[Finding]:
    """Modules in a loss's graph that no optimizer holds."""
    held = record.held or record.held_by_optimizers()
    by_hand = {
        name
        for key, writes in record.writes.items()
        if not all(each.source for each in writes)
        for name in record.owners[key]
    }
    trained = by_hand | {name for key in held for name in record.owners.get(key, ())}
    loose = {key for key, owners in record.owners.items() if trained.isdisjoint(owners)}
    found: dict[tuple[tuple[object, ...], tuple[str, ...]], list[tuple[Backward, int]]] = defaultdict(list)
    for backward in record.backwards if trained else ():
        inside = [key for key in backward.graph_keys() if key in loose]
        for modules in dict.fromkeys(_specific(record, key) for key in inside):
            own = {key for key in loose if _specific(record, key) == modules}
            if any(each.applied for key, each in backward.contributions.items() if key in own):
                continue  # an optimizer of other weights applies its gradient, as asynchronous workers do
            found[backward.kind, modules].append((backward, _bytes_through(backward, own)))
    for (_, modules), cases in found.items():
        backward, size = max(cases, key=lambda case: case[1])
        place = _entrance(backward, modules)
        yield _finding(
            "tracked_target",
            modules,
            place,
            f"no optimizer holds {_list(modules)}, yet the graph of the loss at {backward.place} is recorded through "
            f"it, which keeps {size:,} bytes. Call it under torch.no_grad() at {place}, or let its "
            "parameters require no gradient.",
        )


def _by_optimizer(record: Recorder, key: str) -> list[list[Step]]:
    """The steps that moved a parameter by a gradient of known origin, a list for each optimizer."""
    found: dict[int, list[Step]] = defaultdict(list)
    for step in record.steps:
        if _fresh(step, key):
            found[step.optimizer_id].append(step)
    return list(found.values())


def _fresh(step: Step, key: str) -> list[Contribution]:
    """What moved a parameter in a step: recorded, not zero, and not left over."""
    state = step.parameters.get(key)
    if state is None or not state.moved or not state.gradient:
        return []
    return [each for each in state.contributions if each.backward is not None and each.norm and each not in state.stale]


def _losses(key: str, steps: Iterable[Step]) -> set[tuple[object, ...]]:
    return {each.backward.kind for step in steps for each in _fresh(step, key) if each.backward is not None}


def _phases(one: Sequence[Step], other: Sequence[Step]) -> bool:
    """Whether one optimizer had finished for good when the other began: pretraining, then training."""
    first, second = sorted((one, other), key=lambda steps: steps[0].index)
    return first[-1].index < second[0].index and min(len(one), len(other)) >= _PHASE


def _source(step: Step, key: str) -> Backward:
    """The pass by which a step moved a parameter."""
    backward = _fresh(step, key)[0].backward
    assert backward is not None
    return backward


def _by_way(record: Recorder, steps: Sequence[Step], key: str, keys: set[str]) -> tuple[float, ...]:
    """How much less these parameters are the business of one optimizer's loss than of another's.

    First, whether the gradient passes through them to something else that is trained; then, whether the optimizer
    moves anything else; how many other trained modules lie before them; how little they are of what it moves, and of
    the gradient that it applies.
    """
    backward = _source(steps[0], key)
    through = _feeds_trained(record, backward, _specific(record, key))
    away = backward.away[backward.leaves.index(key)] if key in backward.leaves else 0
    share = _share(steps, keys)
    return through, share < 1, away, -share, -_gradient_share(record, steps, keys)


def _subject(record: Recorder, modules: tuple[str, ...], keys: set[str]) -> str:
    """What to call these parameters: their modules, or the part of one that has them all."""
    if all({key for key, owners in record.owners.items() if name in owners} == keys for name in modules):
        return _list(modules)
    parts = list(takewhile(lambda same: len(set(same)) == 1, zip(*(key.split(".") for key in keys), strict=False)))
    part = ".".join(same[0] for same in parts)
    return f"{part} (of {_list(modules)})" if len(parts) > 1 else f"a part of {_list(modules)}"


def _share(steps: Iterable[Step], keys: set[str]) -> float:
    """Of all that these steps moved, the share that are parameters with these keys."""
    moved = [(key, each.size) for step in steps for key, each in step.parameters.items() if each.moved]
    return sum(size for key, size in moved if key in keys) / max(sum(size for _, size in moved), 1)


def _gradient_share(record: Recorder, steps: Iterable[Step], keys: set[str]) -> float:
    """Of the squared gradient that these steps applied, the share of these keys."""
    squares = [(key, (each.gradient or 0.0) ** 2) for step in steps for key, each in step.parameters.items()]
    total = sum(square for _, square in squares)
    return sum(square for key, square in squares if key in keys) / total if total else 0.0


def _specific(record: Recorder, key: str) -> tuple[str, ...]:
    """The modules that have a parameter, without those that wholly contain another of them."""
    owners = record.owners.get(key, ())
    if len(owners) < 2:
        return owners
    contents = {name: {each for each, names in record.owners.items() if name in names} for name in owners}
    return tuple(name for name in owners if not any(contents[other] < contents[name] for other in owners))


def _entrance(backward: Backward, modules: Iterable[str]) -> Place:
    """Where the modules' output entered a loss; without tracing, where the loss was sent backward."""
    crossings = [each.place for name in modules for each in backward.crossings.get(name, ())]
    cut_off = backward.diagram.cut_off().values() if backward.diagram is not None else ()
    operations = [each for behind in cut_off for each in behind]
    calls = [operation.call_of(name) for operation in operations for name in modules]
    crossings += [call.place for call in calls if call is not None]
    return crossings[0] if crossings else backward.place


def _mask(leaves: Sequence[str | None], keys: set[str]) -> int:
    return sum(1 << bit for bit, key in enumerate(leaves) if key in keys)


def _only(reach: int, allowed: int, some: int) -> bool:
    """Whether a set of leaves lies within one and touches the other."""
    return not reach & ~allowed and bool(reach & some)


def _part(work: Mapping[int, float], leaves: Sequence[str | None], unused: set[str], own: set[str]) -> float:
    """The share of a pass's work that serves nothing but unused gradients, some of these keys among them."""
    allowed, some = _mask(leaves, unused), _mask(leaves, own)
    return sum(each for reach, each in work.items() if _only(reach, allowed, some)) / max(sum(work.values()), 1.0)


def _finding(kind: str, modules: tuple[str, ...], place: Place, message: str) -> Finding:
    return Finding(kind, modules, place.file, place.line, message)


def _feeds_trained(record: Recorder, backward: Backward, modules: tuple[str, ...]) -> bool:
    """Whether a gradient that steps applied has come through the modules."""
    through = 0
    for bit, key in enumerate(backward.leaves):
        through |= backward.beside[bit] if key is not None and _specific(record, key) == modules else 0
    behind = [key for bit, key in enumerate(backward.leaves) if through >> bit & 1 and key is not None]
    found = [backward.contributions.get(key) for key in behind if _specific(record, key) != modules]
    return any(each is not None and each.applied for each in found)


def _bytes_through(backward: Backward, keys: set[str]) -> int:
    """Bytes that the graph through these parameters holds: their operations', and those that feed these alone."""
    some, through = _mask(backward.leaves, keys), 0
    for bit, key in enumerate(backward.leaves):
        through |= backward.beside[bit] if key in keys else 0
    in_graph = sum(each for reach, each in backward.bytes_by_reach.items() if _only(reach, through, some))
    return in_graph + sum(
        detach.bytes
        for detach, operations in (backward.diagram.cut_off() if backward.diagram is not None else {}).items()
        if any(not keys.isdisjoint(each.parameters) for each in operations)
    )


def _list(names: Sequence[str]) -> str:
    return " and ".join(names)


def _times(cases: Collection[object]) -> str:
    return f" ({len(cases)} times)" if len(cases) > 1 else ""
