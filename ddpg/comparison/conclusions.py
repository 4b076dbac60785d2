"""What the runs show, in sentences whose every number is theirs."""

import math
import statistics as middle
from collections.abc import Iterator, Mapping, Sequence

from ddpg.comparison.comparison import Comparison, Place, Value, is_size
from ddpg.comparison.measures import BIAS_OVER_RUN, GAP, LEAK, LEARNING, MEASURES, RETURN
from ddpg.comparison.reading import Run
from ddpg.comparison.statistics import Estimate, estimate
from ddpg.comparison.words import interval, listed, named, number, shown

Effects = Mapping[str, Mapping[Place, Estimate]]


def conclusions(comparison: Comparison) -> Iterator[str]:
    """One paragraph for each thing that the runs show."""
    yield from identity(comparison)
    yield from costs(comparison)
    yield from consequences(comparison, effects(comparison))


def figures(runs: Mapping[int, Run], measure: str) -> list[float]:
    """Of each seed's run."""
    return [MEASURES[measure].figure(run) for run in runs.values()]


def effects(comparison: Comparison) -> Effects:
    """For each measure, how far each place lies from the baseline, seed by seed; not of lines with equal weights."""
    same = next(group for group in comparison.identical if comparison.baseline in group)
    places = [each for each in comparison.against_baseline() if each[0].line not in same]
    return {
        name: {place: _paired(name, runs, base) for place, runs, base in places if runs.keys() & base.keys()}
        for name in MEASURES
        if name != LEAK
    }


def _paired(measure: str, runs: Mapping[int, Run], base: Mapping[int, Run]) -> Estimate:
    """The difference seed by seed: both had the same weights, starts and noise to begin with."""
    figure = MEASURES[measure].figure
    return estimate([figure(runs[seed]) - figure(base[seed]) for seed in sorted(runs.keys() & base.keys())])


def identity(comparison: Comparison) -> Iterator[str]:
    """Which lines ended in the same weights."""
    sound = [line for line in comparison.lines if comparison.sound(line)]
    for group in comparison.identical:
        others = [line for line in group if line != group[0]]
        if others:
            pairs = min(len(list(comparison.pairs(group[0], line))) for line in others)
            all_sound = len(sound) > 1 and set(group) == set(sound)
            algorithm = " All sound ways are the same algorithm." if all_sound else ""
            yield (
                f"**The same weights, bit for bit:** {listed(map(shown, group))} end in one and the same set of "
                f"weights in each of {pairs} combinations of seed and other settings.{algorithm}"
            )
    for line in comparison.lines:
        pairs_here = list(comparison.pairs(line, comparison.baseline))
        equal = sum(one.result["weights_digest"] == other.result["weights_digest"] for one, other in pairs_here)
        if line != comparison.baseline and equal < len(pairs_here):
            surprise = (
                " **It is sound and should not differ.**" if line in sound and comparison.baseline in sound else ""
            )
            yield (
                f"**Other weights:** `{shown(line)}` ends in other weights than `{shown(comparison.baseline)}` in "
                f"{len(pairs_here) - equal} of {len(pairs_here)} combinations.{surprise}"
            )


def costs(comparison: Comparison) -> Iterator[str]:
    """Time of each line relative to the baseline's run with the same seed and settings, and memory."""
    told = []
    for line in comparison.lines:
        ratios = [
            one.result["training_seconds"] / other.result["training_seconds"]
            for one, other in comparison.pairs(line, comparison.baseline)
        ]
        if line != comparison.baseline and ratios:
            told.append(f"`{shown(line)}` {middle.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    memory = [run.result["peak_memory_mib"] for run in comparison.runs]
    if told:
        yield (
            f"**Cost:** in training time relative to `{shown(comparison.baseline)}`, medians and ranges: "
            f"{', '.join(told)}. A process had {number(min(memory))} to {number(max(memory))} MiB at its peak, "
            "libraries included. (Runs side by side disturb each other's times; `benchmark.py strategies` measures "
            "the ways in turn.)"
        )


def consequences(comparison: Comparison, found: Effects) -> Iterator[str]:
    """What came of each line that ended in other weights than the baseline, panel by panel."""
    alone = [line for line in comparison.lines if line != comparison.baseline and not _paired_runs(comparison, line)]
    if alone:
        yield (
            f"**Without a counterpart:** of {listed(map(shown, alone))} no run has the seed and the other settings of "
            f"a run of `{shown(comparison.baseline)}`; --by and --baseline choose others."
        )
    for line in comparison.lines:
        for panel in comparison.panels:
            here = [place for place in found[RETURN] if (place.line, place.panel) == (line, panel)]
            if here:
                at = f" with `{named(comparison.panel_key, panel)}`" if comparison.panel_key else ""
                settings = f", in {len(here)} settings" if len(here) > 1 else ""
                told = [_told(comparison, found, here, measure) for measure in (RETURN, LEARNING, BIAS_OVER_RUN)]
                yield (
                    f"**`{shown(line)}`**{at}, against `{shown(comparison.baseline)}`{settings}: {'; '.join(told)}; "
                    f"{_distance(comparison, here)}.{_why(comparison, found, here)}"
                )


def _paired_runs(comparison: Comparison, line: Value) -> bool:
    return any(True for _ in comparison.pairs(line, comparison.baseline))


def _told(comparison: Comparison, found: Effects, places: Sequence[Place], measure: str) -> str:
    """How a measure lies to the baseline."""
    more, less = ("higher", "lower") if measure == BIAS_OVER_RUN else ("better", "worse")
    if len(places) == 1:
        (place,) = places
        base = Place(place.section, place.panel, comparison.baseline)
        here, there = (interval(estimate(figures(comparison.places[each], measure))) for each in (place, base))
        apart = found[measure][place]
        if math.isnan(apart.value):
            return f"{measure} not recorded"
        direction = (more if apart.value > 0 else less) if apart.beyond_zero else "which these seeds cannot tell from 0"
        return f"{measure} {here} against {there}, by seed a difference of {interval(apart)}, {direction}"
    values = [found[measure][place] for place in places]
    up = [place for place in places if found[measure][place].beyond_zero and found[measure][place].value > 0]
    down = [place for place in places if found[measure][place].beyond_zero and found[measure][place].value < 0]
    counted = [f"{word} in {len(each)}{_where(each, places)}" for word, each in ((less, down), (more, up)) if each]
    rest = len(places) - len(up) - len(down)
    counted += [f"not to be told apart in {rest}"] * bool(rest)
    ends = f"{number(min(each.value for each in values))} to {number(max(each.value for each in values))}"
    return f"{measure} {', '.join(counted)} (differences of {ends})"


def _where(some: Sequence[Place], places: Sequence[Place]) -> str:
    """What tells some places from the rest, if it is one setting's size, or they are but one or two."""
    rest = [place for place in places if place not in some]
    for key, _ in some[0].section:
        if rest and all(is_size(dict(place.section)[key]) for place in places):
            here, there = ([float(dict(each.section)[key] or 0) for each in group] for group in (some, rest))
            if min(here) > max(there):
                return f", exactly where `{key}` is {shown(min(here))} or more"
            if max(here) < min(there):
                return f", exactly where `{key}` is {shown(max(here))} or less"
    if len(some) > 2 or not rest:
        return ""
    return " (" + "; ".join(", ".join(f"`{named(*pair)}`" for pair in place.section) for place in some) + ")"


def _distance(comparison: Comparison, places: Sequence[Place]) -> str:
    """How far apart actor and target actor are, in units of the baseline's distance."""
    ratios = []
    for place in places:
        base = comparison.places[Place(place.section, place.panel, comparison.baseline)]
        there = estimate(figures(base, GAP)).value
        ratios.append(estimate(figures(comparison.places[place], GAP)).value / there if there else math.nan)
    ratios = [ratio for ratio in ratios if math.isfinite(ratio)]
    if not ratios:
        return "no distance between actor and target actor was recorded"
    ends = number(ratios[0]) if len(ratios) == 1 else f"{number(min(ratios))} to {number(max(ratios))}"
    return f"actor and target actor {ends} times as far apart"


def _why(comparison: Comparison, found: Effects, places: Sequence[Place]) -> str:
    """The mechanism, where the figures show it at work."""
    bootstrap = {_setting(comparison, place, "agent.bootstrap_actor") for place in places}
    leaks = any(min(figures(comparison.places[place], LEAK)) > 0 for place in places)
    unsound = comparison.sound(places[0].line) is False
    if not (unsound and leaks):
        return ""
    apart = any(found[GAP][place].low > 0 for place in places)
    changed = any(found[measure][place].beyond_zero for measure in found for place in places)
    if comparison.line_key == "gradient_stop" and bootstrap == {"target"} and apart:
        return (
            " The critic's optimizer moves the target actor at each update, to where the TD error is least and not to "
            "where Q is highest; only the soft update draws it back to the actor. So a' is not what the actor would do."
        )
    if comparison.line_key == "gradient_stop" and bootstrap == {"online"} and changed:
        return (
            " The critic's optimizer moves the actor itself, each time from where its own step has put it: the two "
            "pull against each other, and the target actor follows both."
        )
    if comparison.line_key == "critic_freeze" and any(found[BIAS_OVER_RUN][place].low > 0 for place in places):
        return (
            " The actor's loss −mean Q(s, μ(s)) falls fastest where Q itself is raised, and here its step may do "
            "that; nothing but the TD error holds Q back."
        )
    return ""


def _setting(comparison: Comparison, place: Place, key: str) -> Value:
    return next(iter(comparison.places[place].values())).settings.get(key)
