"""Write a comparison as a Markdown page with pictures."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from matplotlib.figure import Figure

from ddpg.comparison import pictures
from ddpg.comparison.comparison import Comparison, Section, label, shown
from ddpg.comparison.measures import DIFFERENCES, MEASURES, average, difference
from ddpg.comparison.reading import harmless
from ddpg.comparison.statistics import FEWEST, Estimate


def page(comparison: Comparison, left_out: Sequence[str], command: str) -> str:
    """Return the page: what was compared, what the figures mean, and the figures of each section."""
    seeds = " or ".join(map(str, sorted({len(runs) for runs in comparison.places.values()})))
    settings = [run.settings.items() for run in comparison.runs]
    shared = [pair for pair in settings[0] if all(pair in each for each in settings)]
    baseline = label([(comparison.keys[0], comparison.baseline)])
    paragraphs = [
        f"# {len(comparison.runs)} runs by {' and '.join(comparison.keys)}",
        f"Seeds of each: {seeds}. Baseline: `{baseline}`. Made by `{command}`.",
        *(f"**Unequal:** {problem}" for problem in _unequal(comparison)),
        *(f"**Left out:** {problem}" for problem in left_out),
        *(paragraph for section in comparison.sections for paragraph in _section(comparison, section)),
        "## How to read it",
        "A figure is the interquartile mean over seeds, with its 95% bootstrap interval in brackets; runs that differ "
        "in any setting but the seed are never averaged. A difference is paired by seed: runs of the same seed are "
        "subtracted, then averaged. It may be another than that of the two averages, even in sign. **Bold** (in "
        f"the picture: red) is a difference whose interval, of {FEWEST} seeds or more, lies on one side of 0. Where "
        "there is no difference, intervals of five seeds do so in about one of ten cases.",
        "\n".join(f"- *{measure}*: {meaning}" for measure, meaning in MEASURES.items()),
        f"In all runs: `{label(shared)}`.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def draw(comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    """Yield the name of its file and the figure for each picture on the page."""
    for section in comparison.sections:
        yield _file("curves", comparison, section), pictures.curves(comparison, section)
        if comparison.differing(section):
            yield _file("differences", comparison, section), pictures.differences(comparison, section)


def number(value: float) -> str:
    """Return a number with three figures, or one decimal if that is more, and a true minus sign."""
    if math.isnan(value):
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    return f"{value:,.{min(max(digits, int(1 <= abs(value) < 1000)), 6)}f}".replace("-", "−")


def interval(estimate: Estimate) -> str:
    """Return a figure with its interval, if it has one."""
    ends = "" if math.isnan(estimate.low) else f" [{number(estimate.low)}, {number(estimate.high)}]"
    return f"{number(estimate.value)}{ends}"


def _section(comparison: Comparison, section: Section) -> Iterator[str]:
    yield f"## {label(section) or 'Figures'}"
    yield f"![Learning curves]({_file('curves', comparison, section)})"
    baseline = shown(comparison.baseline)
    rows = []
    for place in (each for each in comparison.places if each.section == section):
        runs, same = comparison.places[place], comparison.same_weights(place)
        figures = [interval(average(runs, measure)) for measure in MEASURES]
        seconds = number(median(run.result["training_seconds"] for run in runs.values()))
        rows.append([place.name(), f"seed {' '.join(map(str, same))}" if same else "no seed", *figures, seconds])
    yield _table(["", f"same weights as {baseline}", *MEASURES, "seconds, median"], rows)
    if places := comparison.differing(section):
        yield f"![Differences from {baseline}, paired by seed]({_file('differences', comparison, section)})"
        rows = []
        for place in places:
            found = [difference(comparison.places[place], comparison.baseline_of(place), each) for each in DIFFERENCES]
            rows.append([place.name(), *(f"**{interval(e)}**" if e.beyond_zero else interval(e) for e in found)])
        yield _table([f"difference from {baseline}, paired by seed", *DIFFERENCES], rows)


def _unequal(comparison: Comparison) -> Iterator[str]:
    """Yield a sentence for each thing that may make the comparison unfair."""
    dependent = [key for key in comparison.dependent if not key.startswith(f"{comparison.keys[0]}.")]
    if dependent:
        yield f"with these settings `{', '.join(dependent)}` change as well; what is seen may be theirs."
    seeds = sorted({run.seed for run in comparison.runs})
    for place, runs in comparison.places.items():
        setting = label(comparison.settings(place))
        if lacking := [str(seed) for seed in seeds if seed not in runs]:
            yield f"`{setting}` lacks seed {', '.join(lacking)}."
        if not runs.keys() & comparison.baseline_of(place).keys():
            yield f"`{setting}` has no counterpart: no run of the baseline with the same seed and other settings."
    for key, name in (("versions", "versions"), ("threads", "numbers of threads")):
        kinds = Counter(str(harmless(str(run.result.get(key)))) for run in comparison.runs)
        if len(kinds) > 1:
            counted = ", ".join(f"{count} with {kind}" for kind, count in kinds.items())
            yield f"the runs were made with {len(kinds)} different {name}, {counted}: bits may differ by that alone."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def _file(picture: str, comparison: Comparison, section: Section) -> str:
    several = len(comparison.sections) > 1
    return f"{picture}-{comparison.sections.index(section) + 1}.png" if several else f"{picture}.png"
