"""Curves over widths, batches, environments, seeds and buffer sizes, as a table and as pictures."""

import copy
import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gymnasium.spaces import Box
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ddpg.base.progress import fleeting
from ddpg.benchmark.buffer import BOUND, SAMPLES, PlainRows
from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report, sizes
from ddpg.benchmark.subjects import (
    EndlessTraining,
    agent_and_buffer,
    compiled_update,
    kinds,
    random_transitions,
    threads_of,
)
from ddpg.benchmark.turns import Spread, Turn, take_turns, timed
from ddpg.replay_buffer import ReplayBuffer

WIDTHS = (32, 64, 128, 256, 512)
BATCHES = (32, 64, 128, 256, 512, 1024)
ENVIRONMENTS = (1, 2, 4, 8, 16)
SEEDS = (1, 2, 4, 8, 16)
BUFFER_SIZES = (1_000, 10_000, 100_000, 1_000_000)
STEPS = 128  # of all environments of a seed, in a turn

Point = tuple[str, int]
"""A line of a curve, and where on the x axis."""


@dataclass(frozen=True)
class Curve:
    """What was measured over one axis.

    Attributes:
        axis: what varies.
        quantity: what is shown of it.
        rate: whether that is units a second, and not seconds a unit.
        seconds: of a unit, one entry a round, for each point.
    """

    axis: str
    quantity: str
    rate: bool
    seconds: dict[Point, list[float]]

    def relative(self, point: Point) -> Spread:
        """The quantity at a point, relative to that at the first, round by round."""
        base = next(iter(self.seconds.values()))
        pairs = zip(self.seconds[point], base, strict=True)
        return Spread.of(first / own if self.rate else own / first for own, first in pairs)

    def lines(self) -> dict[str, list[int]]:
        """For each line its x values."""
        return {line: [x for each, x in self.seconds if each == line] for line, _ in self.seconds}


def measure(options: Options) -> Report:
    """The table of all curves; with an output folder, the picture `scaling.png` too."""
    curves = [
        curve for measured in (width, batch, environments, several_seeds, buffer_size) for curve in measured(options)
    ]
    notes = ["relative: to the first row of each curve, in the same round."]
    if options.output is None:
        notes.append("--output keeps a picture of the curves.")
    else:
        draw(curves, options.output / "scaling.png")
    return Report(
        f"scaling: {options.env}, {sizes(options)} where they are fixed, on {options.device}, rounds: {options.rounds}",
        ("", "us a unit", "", "relative"),
        [
            (
                f"{curve.axis} {x:,}, {line}",
                f"{Spread.of(times).median * 1e6:,.1f}",
                curve.quantity,
                str(curve.relative((line, x))),
            )
            for curve in curves
            for (line, x), times in curve.seconds.items()
        ],
        {curve.axis: {f"{line}, {x}": times for (line, x), times in curve.seconds.items()} for curve in curves},
        notes,
    )


def width(options: Options) -> list[Curve]:
    """Seconds of an update over the width of the networks."""
    return [_of_update("network width", [(x, dataclasses.replace(options, hidden=x)) for x in WIDTHS])]


def batch(options: Options) -> list[Curve]:
    """Seconds of an update over the batch."""
    return [_of_update("batch", [(x, dataclasses.replace(options, batch=x)) for x in BATCHES])]


def environments(options: Options) -> list[Curve]:
    """Environment steps a second over the number of environments, one update an environment step."""
    return _of_training(options, "environments", [(x, f"env.num_envs={x}", 1) for x in ENVIRONMENTS])


def several_seeds(options: Options) -> list[Curve]:
    """Environment steps a second, of all seeds together, over the number of seeds in one process."""
    return _of_training(options, "seeds", [(x, f"seeds={x}", x) for x in SEEDS])


def _of_training(options: Options, axis: str, variants: list[tuple[int, str, int]]) -> list[Curve]:
    """For each x the override that sets it, and how many environment steps one step of the training is."""
    points: dict[Point, Turn] = {}
    with ExitStack() as stack:
        for x, override, count in fleeting(variants, f"starting {axis}"):
            for line in kinds(options):
                compiled = f"compile={str(line == 'compiled').lower()}"
                endless = stack.enter_context(EndlessTraining(options, override, compiled))
                # The number of threads is the process's: each sets its own again.
                run = partial(_advance, endless, torch.get_num_threads())
                points[line, x] = _per(STEPS * count, timed(run, device=options.device))
        return [Curve(axis, "steps/s", True, _turns(points, options))]


def _advance(endless: EndlessTraining, threads: int) -> None:
    torch.set_num_threads(threads)
    endless.advance(STEPS)


def buffer_size(options: Options) -> list[Curve]:
    """Seconds of a sample over the number of stored transitions, beside plain rows of one array."""
    points: dict[Point, Turn] = {}
    space, actions = Box(-1, 1, (3,)), Box(-2, 2, (1,))
    for x in BUFFER_SIZES:
        buffer = ReplayBuffer(x, space, actions, device=options.device)
        buffer.add(*random_transitions(x))
        plain = PlainRows(x, sum(each[0].numel() for each in buffer.sample(1)), options.batch, options.device)
        sample = buffer.sampler(options.batch)
        points["sample", x] = timed(sample, repetitions=SAMPLES, device=options.device, threads=1)
        points[BOUND, x] = _per(SAMPLES, timed(plain.sample, options.batch, SAMPLES, threads=1))
    return [Curve("buffer size", "time of a sample", False, _turns(points, options))]


def _of_update(axis: str, variants: list[tuple[int, Options]]) -> Curve:
    points: dict[Point, Turn] = {}
    for x, options in variants:
        threads = threads_of(options)
        torch.set_num_threads(threads)
        agent, buffer = agent_and_buffer(options)
        batch = buffer.sample(options.batch)
        updates: dict[str, Callable[..., Any]] = {"eager": agent.update}
        if "compiled" in kinds(options):
            updates["compiled"] = compiled_update(copy.deepcopy(agent), batch)
        for line, update in updates.items():
            points[line, x] = timed(update, batch, repetitions=20, device=options.device, threads=threads)
    return Curve(axis, "time of an update", False, _turns(points, variants[0][1]))


def _per(units: int, turn: Turn) -> Turn:
    return lambda: turn() / units


def _turns(points: dict[Point, Turn], options: Options) -> dict[Point, list[float]]:
    named = {f"{line}, {x}": turn for (line, x), turn in points.items()}
    return dict(zip(points, take_turns(named, options.rounds).values(), strict=True))


def draw(curves: list[Curve], path: Path) -> None:
    """A panel a curve, medians as lines and ranges as bands around them."""
    columns = 3 if len(curves) > 4 else 2
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained")
    for index, curve in enumerate(curves):
        _panel(figure.add_subplot(rows, columns, index + 1), curve)
    figure.savefig(path, dpi=150)


def _panel(axes: Axes, curve: Curve) -> None:
    for line, xs in curve.lines().items():
        spreads = [curve.relative((line, x)) for x in xs]
        (drawn,) = axes.plot(xs, [each.median for each in spreads], marker="o", markersize=4, label=line)
        axes.fill_between(
            xs, [each.least for each in spreads], [each.most for each in spreads], color=drawn.get_color(), alpha=0.2
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(xs, [f"{x:,}" for x in xs])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.margins(y=0.2)  # for the legend
    axes.set_xlabel(curve.axis)
    axes.set_title(f"{curve.quantity}, relative to {next(iter(curve.seconds))[0]} at {xs[0]:,}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
