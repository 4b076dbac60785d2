"""The comparison's pictures: curves over environment steps, and differences over a setting."""

import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from ddpg.comparison.comparison import Comparison, Place, Value
from ddpg.comparison.measures import CURVES
from ddpg.comparison.reading import Curve, Run
from ddpg.comparison.statistics import Estimate, estimate
from ddpg.comparison.words import named, shown

_COLORS = colormaps["tab10"]
CurveOf = Callable[[Run], Curve | None]


def curves(comparison: Comparison, section: tuple[tuple[str, Value], ...]) -> Figure:
    """A row for each measure, a column for each panel; lines that ended in the same weights are drawn as one."""
    panels = [panel for panel in comparison.panels if comparison.of(section, panel)]
    drawn = [curve for curve in CURVES if _any(comparison, section, curve)]
    figure = Figure((4.6 * len(panels) + 0.8, 2.5 * len(drawn) + 0.9), layout="constrained")
    axes = figure.subplots(len(drawn), len(panels), squeeze=False, sharex=True, sharey="row")
    for row, curve in zip(axes, drawn, strict=True):
        for ax, panel in zip(row, panels, strict=True):
            lines = comparison.of(section, panel)
            for color, group in enumerate(comparison.identical):
                runs = next((lines[line] for line in group if line in lines), {})
                points = common(curve, list(runs.values()))
                if points:
                    steps, found = points
                    label = "\n= ".join(shown(line) for line in group)
                    ax.plot(steps, found.value, color=_COLORS(color % 10), label=label, linewidth=1.4)
                    ax.fill_between(steps, found.low, found.high, color=_COLORS(color % 10), alpha=0.2, linewidth=0)
            ax.grid(alpha=0.3)
        row[0].set_ylabel("\n".join(textwrap.wrap(str(curve.__doc__).rstrip("."), 34)), fontsize=8)
    for ax, panel in zip(axes[0], panels, strict=True):
        ax.set_title(named(comparison.panel_key, panel) if comparison.panel_key else "", fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("environment steps")
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), title=comparison.line_key, loc="outside right upper", fontsize=8)
    return figure


def common(curve_of: CurveOf, runs: Sequence[Run]) -> tuple[np.ndarray, Estimate] | None:
    """The steps at which all runs have a point of the curve, and what they come to there."""
    found = [curve for curve in map(curve_of, runs) if curve is not None]
    if not found or len(found) < len(runs):
        return None
    steps = found[0].steps
    for curve in found[1:]:
        steps = np.intersect1d(steps, curve.steps)
    return (steps, estimate(np.stack([_at(curve, steps) for curve in found]))) if len(steps) else None


def over(key: str, effects: Mapping[str, Mapping[Place, Estimate]], comparison: Comparison) -> Figure:
    """How far each place lies from the baseline, measure by measure, over a setting of its section."""
    figure = Figure((11, 2.7 * -(-len(effects) // 2) + 0.4), layout="constrained")
    axes = iter(figure.subplots(-(-len(effects) // 2), 2, squeeze=False).flat)
    for (name, places), ax in zip(effects.items(), axes, strict=False):
        lines: dict[str, dict[float, Estimate]] = {}
        for place, found in places.items():
            others = [named(each, value) for each, value in place.section if each != key]
            called = ", ".join([shown(place.line), *(shown(place.panel),) * bool(comparison.panel_key), *others])
            lines.setdefault(called, {})[float(dict(place.section)[key] or 0)] = found
        for number, (called, points) in enumerate(lines.items()):
            xs = np.array(sorted(points))
            values, lows, highs = (np.array([points[x][part] for x in xs]) for part in range(3))
            ax.errorbar(
                xs * 1.05 ** (number - len(lines) / 2),  # side by side, where they would hide each other
                values,
                [values - lows, highs - values],
                fmt="o-",
                markersize=4,
                linewidth=1,
                capsize=3,
                color=_COLORS(number % 10),
                label=called,
            )
        if np.nanmax(np.abs([each[:3] for each in places.values()])) > 300:
            ax.set_yscale("symlog", linthresh=10)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set_xscale("log")
        ax.set_title(f"{name}: difference from {shown(comparison.baseline)}", fontsize=9)
        ax.set_xlabel(key)
        ax.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    left_over = next(axes, None)
    if left_over is None:
        figure.legend(handles, labels, loc="outside lower center", fontsize=8)
    else:
        left_over.set_axis_off()
        left_over.legend(handles, labels, loc="center", fontsize=8)
    return figure


def forest(effects: Mapping[str, Mapping[Place, Estimate]], comparison: Comparison) -> Figure:
    """A dot and its interval for each place, measure by measure: how far it lies from the baseline."""
    places = list(next(iter(effects.values())))
    figure = Figure((3.2 * len(effects) + 3.5, 0.27 * len(places) + 1.2), layout="constrained")
    axes = figure.subplots(1, len(effects), squeeze=False, sharey=True)[0]
    for ax, (name, found) in zip(axes, effects.items(), strict=True):
        for height, place in enumerate(places):
            value, low, high, _ = found[place]
            color = "tab:red" if found[place].beyond_zero else "tab:gray"
            ax.plot([low, high], [height, height], color=color, linewidth=2)
            ax.plot(value, height, "o", color=color, markersize=4)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_title(f"{name}: difference from {shown(comparison.baseline)}", fontsize=9)
        ax.grid(alpha=0.3, axis="x")
    axes[0].set_yticks(range(len(places)), [label(comparison, place) for place in places], fontsize=8)
    axes[0].invert_yaxis()
    return figure


def label(comparison: Comparison, place: Place) -> str:
    """A place in words."""
    keys = [(comparison.line_key, place.line), *place.section]
    if comparison.panel_key:
        keys.insert(1, (comparison.panel_key, place.panel))
    return ", ".join(named(key, value) for key, value in keys)


def _any(comparison: Comparison, section: tuple[tuple[str, Value], ...], curve_of: CurveOf) -> bool:
    """Whether some run has such a curve that is not all 0."""
    runs = (run for place, runs in comparison.places.items() if place.section == section for run in runs.values())
    return any((curve := curve_of(run)) is not None and curve.values.any() for run in runs)


def _at(curve: Curve, steps: np.ndarray) -> np.ndarray:
    return curve.values[np.searchsorted(curve.steps, steps)]
