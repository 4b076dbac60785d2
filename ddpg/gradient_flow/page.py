"""An audit as a web page of one file that loads nothing, and, shorter, as the output of a notebook's cell."""

import io
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from ddpg.gradient_flow.kinds import KINDS
from ddpg.gradient_flow.notes import counted
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.records import Finding, size_of
from ddpg.gradient_flow.summary import Row, Summary, place_of, shows

_MOST_OPERATIONS = 400  # in a picture that somebody can still read
_HOW = """<details><summary>How to read this</summary><p>A <b>loss</b> is a line that sends a gradient backward, a
<b>step</b> one where an optimizer changes weights. A <b>fault</b> has evidence in what ran; a <b>hint</b> is often a
mistake and may be meant; a <b>cost</b> is computed and never used. Each names the line to look at, its <i>cause</i>,
and what to change (<i>mend</i>). A picture has the loss at the top and below it what it was computed from, and in red
what a finding is about. A click on a module, a loss or a step leaves only what concerns it.</p></details>"""


def page(summary: Summary) -> str:
    """A whole document."""
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>gradient-flow: {escape(summary.verdict(1))}</title>\n<style>\n{style}</style></head>\n"
        f'<body class="page">{"".join(_Body(summary, pictures=True).parts())}'
        f"\n<script>\n{script}</script></body></html>\n"
    )


def cell(summary: Summary) -> str:
    """What a notebook shows."""
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    return f"<style>\n{style}</style>{''.join(_Body(summary, pictures=False).parts())}"


class _Body:
    """What page and notebook share; a graph is drawn once, beside the first finding that shows in it."""

    def __init__(self, summary: Summary, pictures: bool) -> None:
        self._summary, self._pictures = summary, pictures
        self._undrawn = {row.number: row for row in summary.losses if row.drawn is not None}
        self._numbers = {each.name: number for number, each in enumerate(summary.modules)}
        self._missing = "" if summary.traced else "With trace=True there are pictures of the losses, too."

    def parts(self) -> Iterator[str]:
        """From the verdict to the notes, as the report has them."""
        summary = self._summary
        worst = summary.findings[0].severity if summary.findings else ""
        yield f'<div class="gf"><h1 class="{worst}">{escape(summary.verdict())}</h1>'
        if self._pictures:
            buttons = [(f"m{self._numbers[each.name]}", each.name) for each in summary.modules]
            for group in (buttons, [(_tag(row), f"{row.title}, line {row.place.line}") for row in summary.rows]):
                yield f'<p class="choices">{"".join(map(_button, group))}</p>'
            yield f"<p aria-live=polite></p>{_HOW}"
        yield from (self._finding(each) for each in summary.findings)
        if summary.rows:
            yield "<h2>Which loss reaches which module, and which step moves it</h2>"
            yield f'<div class="scroll">{self._table()}</div>'
        idle = [each.name for each in summary.modules if each.name not in summary.touched]
        yield f"<p>No gradient reached and no step moved {escape(', '.join(idle))}.</p>" if idle else ""
        legend = "; ".join(f"<b>{sign}</b> {meaning}" for sign, meaning in summary.signs().items())
        yield f'<p class="dim">{legend}. Numbers are norms of the latest gradients and changes.</p>' if legend else ""
        if self._pictures:
            yield from (self._loss(row) for row in summary.losses)
            yield f'<p class="dim">{self._missing}</p>' if self._missing else ""
        yield f"<h2>What was looked at</h2><ul>{''.join(self._modules())}</ul>"
        yield from (f'<p class="dim">Note: {escape(each)}</p>' for each in summary.notes)
        yield "</div>"

    def _tags(self, names: Iterable[str], rows: Iterable[Row]) -> str:
        tags = [f"m{self._numbers[name]}" for name in names if name in self._numbers]
        return f'data-tags="{" ".join([*tags, *map(_tag, rows)])}"'

    def _finding(self, finding: Finding) -> str:
        summary = self._summary
        rows = [row for row in summary.rows if shows(finding, row)]
        texts = "".join(f"<dt>{word}</dt><dd>{escape(text)}</dd>" for word, text in summary.advice(finding))
        source = self._source(place_of(finding), *summary.marked(finding))
        graph = next(filter(None, map(self._graph, rows)), "") if finding.severity != "cost" else ""
        return (
            f'<article class="{finding.severity}" {self._tags(finding.modules, rows)}><header>'
            f'<b><span class="kind">{finding.severity}: {finding.kind}</span><br>{escape(finding.headline)}</b>'
            f"<code>{escape(str(place_of(finding)))}</code></header><small>{KINDS[finding.kind]}</small>"
            f'<div class="sides"><div>{source}<dl>{texts}</dl></div>{graph}</div></article>'
        )

    def _source(self, place: Place, *marked: int) -> str:
        lines = []
        for number, code in self._summary.source(place, *marked).items():
            own = ' class="marked"' if number in (place.line, *marked) else ""
            lines.append(f"<span{own}><i>{number:>4} </i>{escape(code)}</span>")
        return f"<pre>{''.join(lines)}</pre>" if lines else ""

    def _graph(self, row: Row) -> str:
        """The picture of a loss that has none so far; what keeps it from being made is said once."""
        if not self._pictures or row.drawn is None or self._undrawn.pop(row.number, None) is not row:
            return ""
        diagram = row.drawn.diagram
        if diagram is None or len(diagram.operations) > _MOST_OPERATIONS:
            return f'<p class="dim">The graph of {row.title} has too many operations for a picture.</p>'
        try:
            from matplotlib import rc_context

            from ddpg.gradient_flow.picture import figure
        except ImportError as error:
            self._missing = f"There are no pictures here: {escape(str(error))}"
            return ""
        file = io.StringIO()
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "gradient-flow"}):
            figure(row.drawn, self._summary.findings).savefig(file, format="svg", metadata={"Date": None})
        _, start, rest = file.getvalue().partition("<svg")
        return f'<figure class="scroll" role="img" aria-label="The graph of {row.title}">{start}{rest}</figure>'

    def _table(self) -> str:
        names = self._summary.touched
        rows = [f"<tr><th></th>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr>"]
        for row in self._summary.rows:
            title = f"<b>{escape(row.title)}</b> <code>{escape(str(row.place))}</code>"
            cells = [f"<td>{title}<br><small>{_what(row)}</small></td>"]
            for name in names:
                each = row.cells.get(name)
                alarm = ' class="alarm"' if each is not None and each.alarm else ""
                tone = f' class="{each.finding.severity}"' if each is not None and each.finding is not None else ""
                cells.append(f"<td{tone}><span{alarm}>{each.text() if each is not None else ''}</span></td>")
            causes = [loss for loss in self._summary.losses for each in row.cells.values() if loss.number in each.by]
            rows.append(f"<tr {self._tags(row.cells, [row, *causes])}>{''.join(cells)}</tr>")
        return f"<table>{''.join(rows)}</table>"

    def _loss(self, row: Row) -> str:
        ways = "".join(
            f"<li>{escape(name)} enters at <code>{escape(str(each.place))}</code>: "
            f"{escape(' ← '.join(each.path) or 'sent backward itself')}</li>"
            for name, crossings in row.enters.items()
            for each in crossings
        )
        texts = f"<div>{self._source(row.place)}<ul>{ways}</ul></div>{self._graph(row)}"
        title = f"<summary>{row.title}, {escape(str(row.place))}</summary>"
        return f'<details {self._tags(row.cells, [row])}>{title}<div class="sides">{texts}</div></details>'

    def _modules(self) -> Iterator[str]:
        for each in self._summary.modules:
            holders = [f"{row.title} at {row.place}" for row in self._summary.steps if each.name in row.holds]
            texts = [each.where, f"held by {', '.join(holders)}" if holders else "held by no optimizer"]
            about = escape("; ".join(filter(None, texts)))
            count = counted(self._summary.sizes[each.name], "parameter")
            yield f"<li><b>{escape(each.name)}</b>, {escape(each.kind)}, {count}; {about}</li>"


def _button(choice: tuple[str, str]) -> str:
    tag, text = choice
    return f'<button type="button" data-tag="{tag}" aria-pressed="false">{escape(text)}</button>'


def _tag(row: Row) -> str:
    return f"{'l' if row.is_loss else 's'}{row.number}"


def _what(row: Row) -> str:
    value = "" if row.value is None else f", value {row.value:.4g}"
    graph = f", graph of {size_of(row.bytes)}" if row.bytes else ""
    return escape(f"in {row.place.function} ×{row.times}{value}{graph}")
