"""What the notebooks of the tour show: graphs, what moved, verdicts, tables, costs. And how a notebook is run."""

import contextlib
import io
import statistics
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.markdown import Markdown
from torch import Tensor, nn

from ddpg import GradientFlow

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("[0-9]_*.py"))
CLAIMS = tomllib.loads((HERE / "claims.toml").read_text(encoding="utf-8"))
MARKS = {"as meant": "✓", "not as meant": "✗", "holds": "✓", "holds in part": "(✓)", "does not hold": "✗"}

Range = tuple[float, float, float]  # median, least and greatest value over the rounds of a measurement


@dataclass(frozen=True)
class Verdict:
    """What a run came to: `name` is what was tried, or a claim's number; `text` what was seen, or stands against it."""

    name: str
    verdict: str
    text: str = ""

    def __str__(self) -> str:
        return f"{MARKS[self.verdict]} {self.verdict}"


verdicts: list[Verdict] = []
_quiet = False


def show(name: str, flow: GradientFlow, modules: nn.Module | Mapping[str, nn.Module], learns: str) -> None:
    """Show what one step came to, the gradients, and the graph.

    Args:
        name: of the way.
        flow: its audit.
        modules: those that it names; of a module its children.
        learns: the names of those that the step is to move.
    """
    named = dict(modules.named_children()) if isinstance(modules, nn.Module) else modules
    moved = {each for step in flow.steps for each in step.moved}
    rest = [f"{each} (.grad: {_gradient(next(named[each].parameters()))})" for each in named if each not in moved]
    text = f"moved: {listed(each for each in named if each in moved)}; not moved: {listed(rest)}"
    verdict(name, moved == set(learns.split()), text)
    rows = [(f"{key}.{each}.grad", value) for key in named for each, value in named[key].named_parameters()]
    for label, parameter in rows:
        print(f"{label:{max(len(each) for each, _ in rows)}}  {_gradient(parameter)}")
    if _pictures():
        draw(flow.figure(heading=name))


def verdict(name: str, as_meant: bool, text: str) -> None:
    """Keep and show whether something did what it was meant to do."""
    kept = judged(name, as_meant, text)
    say(f"> **{kept}.** {name}: {text}.")


def judged(name: str, as_meant: bool, text: str) -> Verdict:
    """Keep whether something did what it was meant to do, for a table."""
    verdicts.append(kept := Verdict(name, "as meant" if as_meant else "not as meant", text))
    return kept


@contextlib.contextmanager
def claim(number: int) -> Iterator[Callable[[bool, str], None]]:
    """Judge what the tutorial says: it holds if no assertion within fails, and PyTorch refuses nothing.

    Yields a function `unless(condition, text)`: where the condition is true, the claim holds with that condition.
    """
    says, conditions = CLAIMS[str(number)], list[str]()
    came_to, but = "holds", ""
    try:
        yield lambda condition, text: conditions.append(text) if condition else None
    except (AssertionError, RuntimeError) as error:
        came_to, but = "does not hold", f"`{traceback.extract_tb(error.__traceback__)[-1].line}` fails"
    else:
        if conditions:
            came_to, but = "holds in part", "; ".join(conditions)
    verdicts.append(kept := Verdict(str(number), came_to, but))
    about = f"Claim {number}, section {says['where']}: “{says['says']}.”"
    say(f"> {'≈ ' * says.get('measured', False)}**{kept}.** {about}{f' But: {but}.' * bool(but)}")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Show a table."""
    lines = [header, ["---"] * len(header), *rows]
    say("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


def summary() -> None:
    """Show what was tried and came to in this notebook."""
    header = ["verdict", "what was tried", "what came of it"]
    table(header, [(each, each.name, each.text) for each in verdicts if not each.name.isdigit()])


def claims() -> None:
    """Show the verdicts on all claims, from a run of the other notebooks."""
    found = {each.name: each for notebook in NOTEBOOKS[:-1] for each in run(notebook)}
    table(
        ["verdict", "claim", "section", "what the tutorial says", "but"],
        [
            (
                f"{'≈ ' * says.get('measured', False)}{found[number]}",
                number,
                says["where"],
                says["says"],
                found[number].text,
            )
            for number, says in CLAIMS.items()
        ],
    )


def say(markdown: str) -> None:
    """Show Markdown."""
    if _quiet:
        return
    if _in_notebook():
        from IPython import display

        display.display(display.Markdown(markdown))
    else:
        Console(width=80).print(Markdown(markdown))


def draw(figure: Figure) -> None:
    """Show a picture, in a notebook; a terminal has none."""
    if _pictures():
        from IPython import display

        figure.savefig(drawn := io.BytesIO(), format="png")
        display.display(display.Image(drawn.getvalue()))


def bars(title: str, costs: Mapping[str, Range]) -> Figure:
    """Draw a bar for the median of each cost, with its range."""
    figure = Figure((6, 0.7 + 0.32 * len(costs)), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    medians, least, most = np.array([*costs.values()]).T
    axes.barh([*costs], medians, xerr=[medians - least, most - medians], color="#56B4E9", capsize=3)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def reached(maps: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Draw, for each title, the norm of the gradient that each loss brought to each module, all on one scale."""
    figure = Figure((6, 1.25 * len(maps) + 0.4), dpi=140, layout="constrained")
    most = max(norm for rows in maps.values() for row in rows.values() for norm in row.values())
    for place, (title, rows) in enumerate(maps.items(), 1):
        axes = figure.add_subplot(len(maps), 1, place)
        names = list(dict.fromkeys(name for each in maps.values() for row in each.values() for name in row))
        norms = np.array([[row.get(name, 0.0) for name in names] for row in rows.values()])
        axes.imshow(np.ma.masked_equal(norms, 0), cmap="Blues", vmin=-0.3 * most, vmax=most, aspect="auto")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_title(title, fontsize=10, loc="left")
        for (row, column), norm in np.ndenumerate(norms):
            ink = "white" if norm > 0.5 * most else "black"
            axes.text(column, row, f"{norm:.2g}" if norm else "none", ha="center", va="center", color=ink)
    return figure


def relative_times(
    ways: Mapping[str, Callable[[], object]], control: str, rounds: int = 9, calls: int = 30
) -> dict[str, Range]:
    """Return the time of each way relative to that of the control in the same round, on one thread."""
    threads, seconds = torch.get_num_threads(), {name: list[float]() for name in ways}
    torch.set_num_threads(1)
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            for _ in range(calls):
                way()
            seconds[name].append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    ratios = {
        name: [own / base for own, base in zip(times[1:], seconds[control][1:], strict=True)]
        for name, times in seconds.items()
    }
    return {name: (statistics.median(each), min(each), max(each)) for name, each in ratios.items()}


def cells(text: str) -> Iterator[tuple[bool, str, int]]:
    """Yield the cells of a notebook: whether it is Markdown, its text, and the number of its first line."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        inside = "[markdown]" in lines[start]
        own = [line.removeprefix("#").removeprefix(" ") if inside else line for line in lines[start + 1 : end]]
        yield inside, "\n".join(own).strip("\n"), start + 1


def execute(code: str, start: int, path: Path, names: dict[str, Any]) -> None:
    """Run a cell of a notebook, so that its lines are those of the file."""
    exec(compile("\n" * start + code, str(path), "exec"), names)


def run(path: Path, edited: Callable[[str], str] = lambda text: text) -> list[Verdict]:
    """Run a notebook without showing it; return its verdicts."""
    global verdicts, _quiet
    before, verdicts, quiet, _quiet = verdicts, [], _quiet, True
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for markdown, code, start in cells(edited(path.read_text(encoding="utf-8"))):
                if not markdown:
                    execute(code, start, path, names)
        return verdicts
    finally:
        verdicts, _quiet = before, quiet


def _gradient(parameter: Tensor) -> str:
    if parameter.grad is None:
        return "None"
    norm = float(parameter.grad.norm())
    return f"tensor of norm {norm:.2g}" if norm else "zeros"


def listed(names: Iterable[str]) -> str:
    """Join names for a sentence."""
    *most, last = [*names] or ["nothing"]
    return f"{', '.join(most)} and {last}" if most else last


def _pictures() -> bool:
    return not _quiet and _in_notebook()


def _in_notebook() -> bool:
    return "ipykernel.kernelapp" in sys.modules and sys.modules["ipykernel.kernelapp"].IPKernelApp.initialized()
