"""Report as a web page of one file that loads nothing, and, shorter, as the output of a notebook cell."""

import io
from collections.abc import Iterator
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
what a finding is about.</p></details>"""


def page(summary: Summary) -> str:
    """Return the report as an HTML document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>gradient-flow: {escape(summary.verdict(1))}</title>\n<style>\n{_style()}</style></head>\n"
        f'<body class="page">{"".join(_Body(summary, pictures=True).parts())}</body></html>\n'
    )


def cell(summary: Summary) -> str:
    """Return the report as the output of a notebook cell, without pictures."""
    return f"<style>\n{_style()}</style>{''.join(_Body(summary, pictures=False).parts())}"


def _style() -> str:
    return files(__package__).joinpath("page.css").read_text("utf-8")


class _Body:
    """Body of page and cell; a graph is drawn once, beside the first finding that shows in it."""

    def __init__(self, summary: Summary, pictures: bool) -> None:
        self._summary, self._pictures = summary, pictures
        self._undrawn = {row.number: row.drawn for row in summary.losses if pictures}
        self._missing = "" if summary.traced else "With trace=True there are pictures of the losses, too."

    def parts(self) -> Iterator[str]:
        """Yield the parts from the verdict to the notes, in the order of the text report."""
        summary = self._summary
        worst = summary.findings[0].severity if summary.findings else ""
        yield f'<div class="gf"><h1 class="{worst}">{escape(summary.verdict())}</h1>'
        yield _HOW if self._pictures else ""
        yield from (self._finding(each) for each in summary.findings)
        if summary.rows:
            yield "<h2>Which loss reaches which module, and which step moves it</h2>"
            yield f'<div class="scroll">{self._table()}</div>'
        yield f"<p>{escape(summary.idle)}</p>" if summary.idle else ""
        legend = "; ".join(f"<b>{sign}</b> {meaning}" for sign, meaning in summary.signs().items())
        yield f'<p class="dim">{legend}. Numbers are norms of the latest gradients and changes.</p>' if legend else ""
        if self._pictures:
            yield from (self._loss(row) for row in summary.losses)
            yield f'<p class="dim">{self._missing}</p>' if self._missing else ""
        yield f"<h2>What was looked at</h2><ul>{''.join(self._modules())}</ul>"
        yield from (f'<p class="dim">Note: {escape(each)}</p>' for each in summary.notes)
        yield "</div>"

    def _finding(self, finding: Finding) -> str:
        summary = self._summary
        texts = "".join(f"<dt>{word}</dt><dd>{escape(text)}</dd>" for word, text in summary.advice(finding))
        source = self._source(place_of(finding), *summary.marked(finding))
        losses = (row for row in summary.losses if shows(finding, row) and finding.severity != "cost")
        graph = next(filter(None, map(self._graph, losses)), "")
        return (
            f'<article class="{finding.severity}"><header>'
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
        """Return the picture of a loss that has none so far; what keeps it from being drawn is said once."""
        drawn = self._undrawn.pop(row.number, None)
        if drawn is None:
            return ""
        diagram = drawn.diagram
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
            figure(drawn, self._summary.findings).savefig(file, format="svg", metadata={"Date": None})
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
            rows.append(f"<tr>{''.join(cells)}</tr>")
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
        return f'<details>{title}<div class="sides">{texts}</div></details>'

    def _modules(self) -> Iterator[str]:
        for each in self._summary.modules:
            holders = [f"{row.title} at {row.place}" for row in self._summary.steps if each.name in row.holds]
            texts = [each.where, f"held by {', '.join(holders)}" if holders else "held by no optimizer"]
            about = escape("; ".join(filter(None, texts)))
            count = counted(self._summary.sizes[each.name], "parameter")
            yield f"<li><b>{escape(each.name)}</b>, {escape(each.kind)}, {count}; {about}</li>"


def _what(row: Row) -> str:
    value = "" if row.value is None else f", value {row.value:.4g}"
    graph = f", graph of {size_of(row.bytes)}" if row.bytes else ""
    return escape(f"in {row.place.function} ×{row.times}{value}{graph}")
