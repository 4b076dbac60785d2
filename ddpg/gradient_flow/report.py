"""Report as text, coloured on a terminal."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.records import Finding, listed
from ddpg.gradient_flow.summary import Row, Summary, place_of

WIDTH = 100
_NARROWEST, _WIDEST = 60, 120
_STYLES = {"fault": "bold red", "hint": "bold yellow", "cost": "bold cyan"}

Line = Sequence[tuple[str, str]]
"""Pairs of text and style, as rich names it."""


def plain(summary: Summary, width: int | None = None) -> str:
    """Return the report without colours; as wide as the terminal, if there is one."""
    if width is None:
        width = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout and sys.stdout.isatty() else WIDTH
    return "\n".join("".join(text for text, _ in line).rstrip() for line in _lines(summary, width))


def show(summary: Summary, file: TextIO | None = None, width: int | None = None) -> None:
    """Print the report into a file, coloured if that is a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file)
    wide = width or (console.width if console.is_terminal else WIDTH)
    for line in _lines(summary, wide):
        shown = Text.assemble(*line)
        shown.rstrip()
        console.print(shown, soft_wrap=True)


def _lines(summary: Summary, width: int) -> Iterator[Line]:
    """Yield what is wrong, worst first and costs in short; then what was seen."""
    width = min(max(width, _NARROWEST), _WIDEST)
    verdicts = [summary.verdict(most) for most in (3, 2, 1, 0)]
    verdict = next((each for each in verdicts if len(each) <= width), verdicts[-1])
    yield [(verdict, _STYLES[summary.findings[0].severity] if summary.findings else "bold")]
    yield from _under("modules", " · ".join(summary.whereabouts()), width, "dim", 12)
    yield from _under("optimizers", " · ".join(dict.fromkeys(map(_optimizer, summary.steps))), width, "dim", 12)
    costs = [each for each in summary.findings if each.severity == "cost"]
    shown: set[Place] = set()
    short = len(costs) < len(summary.findings)
    for finding in summary.findings:
        if finding.severity != "cost" or not short or finding is costs[0]:
            yield []
        yield from _head(finding, width)
        if finding.severity == "cost" and short:
            for text in (finding.cause.partition(". ")[0].rstrip(".") + ".", finding.mend):
                yield from ([(f"       {each}", "")] for each in _wrapped(text, width - 7, 2))
            continue
        if place_of(finding) not in shown:
            yield from _snippet(summary, finding, width)
        shown.add(place_of(finding))
        for word, text in summary.advice(finding):
            yield from _under(f"  {word}", text, width, "", 9)
    if summary.rows:
        yield []
        yield from _table(summary, width)
    if summary.notes:
        yield []
    for each in summary.notes:
        yield from _under("note:", each, width, "", 6)


def _optimizer(row: Row) -> str:
    kind = f" ({row.kind})" if row.kind != row.title else ""
    made = f", made at {row.made}," if row.made is not None else ""
    return f"{row.title}{kind}{made} steps at {row.place}: {listed(row.holds) or 'none of these'}"


def _head(finding: Finding, width: int) -> Iterator[Line]:
    style, place = _STYLES[finding.severity], str(place_of(finding))
    title, room = f"{finding.kind}: {finding.headline}", width - 9 - len(place)
    apart = room < min(36, len(title))
    first, *others = _wrapped(title, width - 7 if apart else room)
    line = [(f"{finding.severity.upper():<7}", style), (first, "bold")]
    yield line if apart else [*line, (" " * (room - len(first) + 2), ""), (place, "cyan")]
    for each in others:
        yield [(" " * 7 + each, "bold")]
    if apart:
        yield [(_shortened(place, width).rjust(width), "cyan")]


def _snippet(summary: Summary, finding: Finding, width: int) -> Iterator[Line]:
    marked, last = summary.marked(finding), 0
    for number, code in summary.source(place_of(finding), *marked).items():
        if last and number > last + 1:
            yield [("        ⋮", "dim")]
        text = f"  {'▸' if number in marked else ' '} {number:>4} │ {code}"
        yield [(text if len(text) <= width else f"{text[: width - 1]}…", "bold" if number in marked else "dim")]
        last = number


def _under(label: str, text: str, width: int, style: str, indent: int) -> Iterator[Line]:
    """Yield a paragraph beside its label."""
    for place, each in enumerate(_wrapped(text, width - indent)):
        yield [(f"{'' if place else label:<{indent}}", style or "bold"), (each, style)]


def _wrapped(text: str, room: int, most: int | None = None) -> list[str]:
    words = " ".join(_shortened(each, room) for each in text.split(" "))
    return textwrap.wrap(words, room, max_lines=most, placeholder=" …", break_long_words=False, break_on_hyphens=False)


def _shortened(word: str, room: int) -> str:
    """Return the end of a word that is too long, which of a path is its name."""
    return word if len(word) <= room else f"…{word[1 - room :]}"


def _table(summary: Summary, width: int) -> Iterator[Line]:
    """Yield a row for each loss and step, a column for each module; lists if the columns do not fit."""
    title = "What reaches and what moves each module, with the norm of the latest gradient or change:"
    for each in _wrapped(title, width):
        yield [(each, "bold")]
    legend = (f"{sign} {meaning}".replace(" ", "\xa0") for sign, meaning in summary.signs().items())
    for each in _wrapped(" ".join(f"{entry};" for entry in legend).rstrip(";"), width):
        yield [(each.replace("\xa0", " "), "dim")]
    names, wide = summary.touched, max((len(row.title) for row in summary.rows), default=0)
    for long, norms in ((True, True), (False, True), (True, False), (False, False)):
        labels = [_label(row, wide, long) for row in summary.rows]
        cells = [[row.cells[name].text(norms) if name in row.cells else "" for name in names] for row in summary.rows]
        widths = [max(map(len, column)) + 2 for column in zip(names, *cells, strict=True)]
        first = max(map(len, labels))
        if first + sum(widths) <= width:
            yield [(" " * first, ""), *((name.rjust(wide), "bold") for name, wide in zip(names, widths, strict=True))]
            for row, label, texts in zip(summary.rows, labels, cells, strict=True):
                styles = [_style(row, name) for name in names]
                yield [
                    (label.ljust(first), ""),
                    *((t.rjust(w), s) for t, w, s in zip(texts, widths, styles, strict=True)),
                ]
            break
    else:
        for row in summary.rows:
            yield [(_shortened(_label(row, wide, len(_label(row, wide)) <= width), width), "")]
            yield from _under("", " · ".join(f"{name} {each.text()}" for name, each in row.cells.items()), width, "", 8)
    if summary.idle:
        yield from _under("", summary.idle, width, "dim", 0)


def _label(row: Row, wide: int, long: bool = True) -> str:
    function = f" in {row.place.function}" if long and not row.place.function.startswith("<") else ""
    value = f", value {row.value:.4g}" if long and row.value is not None else ""
    return f"{row.title:<{wide}}  {row.place}{function}{f' ×{row.times}' if row.times > 1 else ''}{value}"


def _style(row: Row, name: str) -> str:
    finding = row.cells[name].finding if name in row.cells else None
    return _STYLES[finding.severity] if finding is not None else ""
