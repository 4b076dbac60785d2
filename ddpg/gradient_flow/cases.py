"""Cases and how they are merged into findings, and what the kinds of finding ask of a record."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ddpg.gradient_flow.diagram import Call
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Crossing, Finding, Loss, Stepping, listed


@dataclass
class Case:
    """One observation of something wrong; those of one kind at one line are merged into a finding.

    Texts may contain `{it}`, the subjects; `{losses}`, the lines that send the losses backward; `{times}`, in how many
    of how many passes or steps; and `{share}`.

    Attributes:
        kind, severity, modules, place, headline, mend: as in a `Finding`.
        subjects: the modules or parts of them that are meant.
        why: cause, where it is known.
        lead: beginning of the cause, common to all that are merged.
        times: for each loss or stepping, in how many of how many passes or steps.
        shares: for each loss, the share of its passes' work.
        at: further losses and steppings in which it shows.
    """

    kind: str
    severity: str
    modules: tuple[str, ...]
    place: Place
    subjects: tuple[str, ...]
    headline: str
    why: str = ""
    mend: str = ""
    lead: str = ""
    times: dict[Loss | Stepping, tuple[int, int]] = field(default_factory=dict)
    shares: dict[Loss, float] = field(default_factory=dict)
    at: tuple[Loss | Stepping, ...] = ()


def merged(cases: Iterable[Case], order: Sequence[str]) -> list[Finding]:
    """Merge cases of one kind at one line into findings; modules in the given order."""
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.kind, case.severity, case.place.file, case.place.line].append(case)
    return [_finding(group, order) for group in groups.values()]


def _finding(cases: Sequence[Case], order: Sequence[str]) -> Finding:
    first = cases[0]
    modules = tuple(sorted({name for case in cases for name in case.modules}, key=order.index))
    subjects = sorted({each for case in cases for each in case.subjects}, key=lambda it: (_position(it, order), it))
    words = {"it": listed(subjects), **_numbers(cases)}
    texts: dict[str, list[str]] = {"why": [_filled(first.lead, words)], "mend": []}
    for of in ("why", "mend"):
        by_text: dict[str, dict[str, None]] = defaultdict(dict)
        for case in cases:
            by_text[getattr(case, of)] |= dict.fromkeys(case.subjects)
        for text, of_these in by_text.items():
            own = [each for each in subjects if each in of_these]
            of_some = f"{listed(own)}: " if len(by_text) > 1 and len(subjects) > 1 and text else ""
            texts[of].append(of_some + _filled(text, {**words, "it": listed(own)}))
    headline = _filled(first.headline, words)
    cause, mend = (" ".join(filter(None, each)) for each in texts.values())
    at = tuple(dict.fromkeys(each for case in cases for each in (*case.at, *case.times)))
    return Finding(first.kind, first.severity, modules, first.place.file, first.place.line, headline, cause, mend, at)


def _numbers(cases: Sequence[Case]) -> dict[str, str]:
    times: dict[Loss | Stepping, tuple[int, int]] = {}
    shares: dict[Loss, float] = defaultdict(float)
    for case in cases:
        for each, (count, total) in case.times.items():
            times[each] = max(times.get(each, (0, total)), (count, total))
        for loss, share in case.shares.items():
            shares[loss] += share
    losses = dict.fromkeys(str(each.place) for each in times if isinstance(each, Loss))
    count, total = (sum(pair[place] for pair in times.values()) for place in (0, 1))
    noun = ("pass" if total == 1 else "passes") if losses else ("step" if total == 1 else "steps")
    return {
        "losses": f"the loss{'es' if len(losses) > 1 else ''} at {listed(losses, 3)}",
        "times": f"{count} of {total} {noun}",
        "share": f"{sum(shares.values()) / max(len(shares), 1):.0%}",
    }


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text


def _position(subject: str, order: Sequence[str]) -> int:
    names = (
        place for place, name in enumerate(order) if subject == name or subject.startswith((f"{name}.", f"{name} "))
    )
    return next(names, len(order))


def by_modules(record: Recorder, keys: Collection[str]) -> dict[tuple[str, ...], set[str]]:
    """Group parameters by the modules that have them, in the order in which they are known."""
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for key in record.weights.owners:
        if key in keys:
            found[record.weights.specific(key)].add(key)
    return found


def keys_of(record: Recorder, modules: Collection[str]) -> set[str]:
    """Return the parameters of modules."""
    return {key for key, owners in record.weights.owners.items() if not {*owners}.isdisjoint(modules)}


def moved(record: Recorder) -> set[str]:
    """Return the parameters that a step has moved."""
    return {key for stepping in record.steppings.values() for key, held in stepping.held.items() if held.moved}


def subjects(record: Recorder, modules: Collection[str], keys: Collection[str]) -> tuple[str, ...]:
    """Return names for these parameters: their modules, or the largest parts of them that have no others."""
    found: dict[str, None] = {}
    whole = keys_of(record, modules)
    if whole <= set(keys):
        return tuple(modules)
    for key in (key for key in record.weights.owners if key in keys):
        parts = key.split(".")
        for depth in range(1, len(parts) + 1):
            prefix = ".".join(parts[:depth])
            if all(other in keys for other in whole if other == prefix or other.startswith(f"{prefix}.")):
                found[prefix] = None
                break
    several = f" (of {listed(modules)})" if len(modules) > 1 else ""
    return tuple(f"{each}{several}" for each in found)


def entrance(loss: Loss, modules: Iterable[str]) -> Place:
    """Return where the modules' output entered a loss; without tracing, where the loss was sent backward."""
    names = tuple(modules)
    for structure in loss.structures:
        crossings = (each for name in names for each in structure.crossings.get(name, ()))
        cut_off = structure.diagram.cut_off().values() if structure.diagram is not None else ()
        calls = (each.call_of(name) for behind in cut_off for each in behind for name in names)
        found: list[Call | Crossing] = [*crossings, *filter(None, calls)]
        if found:
            return found[0].place
    return loss.place


def feeds_trained(record: Recorder, loss: Loss, keys: Collection[str]) -> bool:
    """Whether a gradient that steps applied, or that somebody may want at data, has come through these parameters."""
    return any(
        record.feeds_others(structure, keys)
        or any(key in loss.uses and loss.uses[key].applied for key in record.behind(structure, keys))
        for structure in loss.structures
    )


def needed_at(record: Recorder, modules: tuple[str, ...], keys: Collection[str], place: Place, besides: Loss) -> bool:
    """Whether another loss's gradient comes through this call to something that steps move by it."""
    return any(
        any(crossing.place == place for name in modules for crossing in loss.crossings.get(name, ()))
        and (feeds_trained(record, loss, keys) or any(use.applied for key, use in loss.uses.items() if key in keys))
        for loss in record.losses.values()
        if loss is not besides
    )


def mask(leaves: Iterable[str | None], keys: Collection[str]) -> int:
    """Return the bits of these parameters among a graph's leaves."""
    return sum(1 << bit for bit, key in enumerate(leaves) if key in keys)


def copies(record: Recorder) -> set[str]:
    """Return the parameters that follow others: written outside optimizers as copies, or unheld and equal to a held.

    One that has not changed, or that is too small to tell, goes with the most of its module.
    """
    found = {key for key, writes in record.weights.writes.items() if any(writes.sources)}
    found |= {
        key
        for key, twins in record.weights.twins.items()
        if key not in record.held and not twins.isdisjoint(record.held)
    }
    for modules, keys in by_modules(record, record.weights.owners).items():
        if modules and len(keys & found) > len(keys) / 2:
            found |= keys
    return found


def by_hand(record: Recorder) -> set[str]:
    """Return the modules whose weights the user's code changes itself."""
    return {
        name
        for key, writes in record.weights.writes.items()
        if None in writes.sources
        for name in record.weights.owners[key]
    }


def optimizers(record: Recorder) -> list[list[Stepping]]:
    """Return the steppings of each optimizer, one a line of code."""
    found: dict[int, list[Stepping]] = defaultdict(list)
    for each in record.steppings.values():
        found[each.number].append(each)
    return list(found.values())
