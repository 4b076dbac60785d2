"""The page: what the runs show, what was left out, and for each setting its curves and figures."""

import statistics as middle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from matplotlib.figure import Figure

from ddpg.comparison import pictures
from ddpg.comparison.comparison import Comparison, Place, Value, is_size
from ddpg.comparison.conclusions import Effects, conclusions, effects, figures
from ddpg.comparison.measures import BIAS, BIAS_OVER_RUN, GAP, LEAK, MEASURES, RETURN
from ddpg.comparison.page import Block, Picture, Prose, Section, Table
from ddpg.comparison.reading import harmless
from ddpg.comparison.statistics import FEWEST, estimate, probability_of_improvement
from ddpg.comparison.words import interval, listed, named, number, shown

PAGE = "comparison"


def sections(comparison: Comparison, left_out: Sequence[str]) -> list[Section]:
    """All of the page; the first section is what a reader in a hurry needs."""
    found = effects(comparison)
    made = [
        Section("What the runs show", [Prose(each) for each in conclusions(comparison)]),
        Section("What was compared", list(_compared(comparison, left_out))),
    ]
    if found[RETURN]:
        made.append(Section("Where it matters", list(_where(comparison, found))))
    for number_, section in enumerate(comparison.sections, 1):
        made.append(_figures(comparison, section, "" if len(comparison.sections) == 1 else f"-{number_}"))
    return made


def _compared(comparison: Comparison, left_out: Sequence[str]) -> Iterator[Block]:
    keys = [comparison.line_key, *[comparison.panel_key] * bool(comparison.panel_key)]
    seeds = Counter(len(runs) for runs in comparison.places.values())
    counts = " or ".join(str(count) for count in sorted(seeds))
    yield Prose(
        f"{len(comparison.runs)} runs by {listed(map(str, keys))}, each with {counts} "
        f"seed{'s' * (set(seeds) != {1})}. A figure is the interquartile mean over seeds, with its 95% bootstrap "
        "interval in brackets; runs that differ in any other setting than their seed are never put together. The "
        f"baseline is `{named(comparison.line_key, comparison.baseline)}`."
    )
    shared = {
        key: value
        for key, value in comparison.runs[0].settings.items()
        if all(run.settings.get(key) == value for run in comparison.runs)
    }
    yield Prose("In all runs: " + ", ".join(f"`{named(key, value)}`" for key, value in shared.items()) + ".")
    if comparison.sections[0]:
        yield Prose(
            f"The runs differ in {listed(key for key, _ in comparison.sections[0])} too: each combination has a "
            "section of its own."
        )
    unequal = [key for key in comparison.differing_too if not key.startswith(f"{comparison.line_key}.")]
    if unequal:
        yield Prose(f"**Unequal:** with these settings {listed(unequal)} change as well; what is seen may be theirs.")
    for problem in [*_uneven(comparison), *_circumstances(comparison)]:
        yield Prose(f"**Unequal:** {problem}")
    if left_out:
        yield Prose(f"**Left out**, {len(left_out)}:\n\n" + "\n".join(f"- {each}" for each in left_out))


def _uneven(comparison: Comparison) -> Iterator[str]:
    """Places that lack seeds which others have."""
    everywhere = sorted({seed for runs in comparison.places.values() for seed in runs})
    for place, runs in comparison.places.items():
        lacking = [str(seed) for seed in everywhere if seed not in runs]
        if lacking:
            yield f"{pictures.label(comparison, place)} lacks seed {', '.join(lacking)}."


def _circumstances(comparison: Comparison) -> Iterator[str]:
    """What settings do not say, and weights may depend on."""
    for name, of in (
        ("versions", lambda run: str(harmless(str(run.result.get("versions"))))),
        ("numbers of threads", lambda run: str(harmless(str(run.result.get("threads"))))),
    ):
        kinds = Counter(map(of, comparison.runs))
        if len(kinds) > 1:
            yield (
                f"the runs were made with {len(kinds)} different {name}, "
                f"{', '.join(f'{count} with {kind}' for kind, count in kinds.items())}: bits may differ by that alone."
            )


def _where(comparison: Comparison, found: Effects) -> Iterator[Block]:
    yield Prose(
        f"Differences from `{named(comparison.line_key, comparison.baseline)}` with the same other settings, seed by "
        f"seed; **bold** where the interval, of {FEWEST} seeds or more, is all on one side of 0. Where there is no "
        "difference, intervals of five seeds miss 0 in about one of ten all the same."
    )
    yield Table(
        ["setting", *(f"{name}: difference" for name in found), "leak"],
        [
            [
                pictures.label(comparison, place),
                *(
                    f"**{interval(each[place])}**" if each[place].beyond_zero else interval(each[place])
                    for each in found.values()
                ),
                number(estimate(figures(comparison.places[place], LEAK)).value),
            ]
            for place in found[RETURN]
        ],
    )
    numeric = [key for key, values in _section_values(comparison).items() if len(values) > 2 and _numbers(values)]
    for key in numeric:
        yield Picture(
            f"over-{key.replace('.', '-')}.png",
            f"Differences from the baseline over {key}",
            lambda key=key: pictures.over(key, found, comparison),  # type: ignore[misc]
        )
    if not numeric:
        yield Picture(
            "differences.png",
            "Differences from the baseline, with intervals",
            lambda: pictures.forest(found, comparison),
        )


def _section_values(comparison: Comparison) -> dict[str, set[Value]]:
    values: dict[str, set[Value]] = {}
    for section in comparison.sections:
        for key, value in section:
            values.setdefault(key, set()).add(value)
    return values


def _numbers(values: set[Value]) -> bool:
    return all(is_size(value) and value > 0 for value in values)  # type: ignore[operator]


def _figures(comparison: Comparison, section: tuple[tuple[str, Value], ...], suffix: str) -> Section:
    title = ", ".join(named(key, value) for key, value in section) or "Curves and figures"
    drawn: Callable[[], Figure] = lambda: pictures.curves(comparison, section)  # noqa: E731
    rows = [_row(comparison, place) for place in comparison.places if place.section == section]
    panel = [comparison.panel_key] * bool(comparison.panel_key)
    return Section(
        title,
        [
            Picture(f"curves{suffix}.png", f"Learning curves of each {comparison.line_key}", drawn),
            Table(
                [
                    comparison.line_key,
                    *map(str, panel),
                    "seeds",
                    "mean return",
                    f"better than {shown(comparison.baseline)}",
                    BIAS,
                    BIAS_OVER_RUN,
                    GAP,
                    LEAK,
                    "seconds",
                    "MiB",
                ],
                rows,
            ),
            Prose(
                "*Better than*: the probability that a run with a seed of its own has a higher mean return. "
                + " ".join(f"*{name}*: {MEASURES[name].says}." for name in (BIAS, BIAS_OVER_RUN, GAP, LEAK))
                + " *Seconds* of training, evaluations included, and *MiB* of the whole process at its peak: medians."
            ),
        ],
    )


def _row(comparison: Comparison, place: Place) -> list[str]:
    runs = comparison.places[place]
    base = comparison.places.get(Place(place.section, place.panel, comparison.baseline))
    better = "–"
    if any(comparison.baseline in group and place.line in group for group in comparison.identical):
        better = "same weights" if place.line != comparison.baseline else "–"
    elif base:
        better = interval(probability_of_improvement(figures(runs, RETURN), figures(base, RETURN)))
    return [
        f"`{shown(place.line)}`",
        *[shown(place.panel)] * bool(comparison.panel_key),
        str(len(runs)),
        interval(estimate(figures(runs, RETURN))),
        better,
        *(interval(estimate(figures(runs, measure))) for measure in (BIAS, BIAS_OVER_RUN, GAP)),
        number(estimate(figures(runs, LEAK)).value),
        *(
            number(middle.median(run.result[key] for run in runs.values()))
            for key in ("training_seconds", "peak_memory_mib")
        ),
    ]
