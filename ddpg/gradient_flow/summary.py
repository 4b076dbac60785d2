"""Summary of an audit, from which the report, the page and the exports are made."""

import linecache
import os
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ddpg.gradient_flow.notes import counted, notes
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Backward, Crossing, Finding, Loss, Step, Stepping, listed

_CALLS = ("leak", "unheld", "tracked_target")  # kinds whose line, with tracing, is the call of the module
UNTRACED = "This is where the loss goes backward: with trace=True the audit names the line where the module enters it."
SIGNS = {
    "●": "reached by a gradient that was used",
    "○": "reached by a gradient that nothing used",
    "by 1": "moved by the gradient of loss 1",
    "by ?": "moved by a gradient of unknown origin",
    "~": "moved without a gradient",
    "–": "held, not moved",
    "!": "see the finding above",
}


@dataclass(frozen=True)
class Cell:
    """Effect of a loss, or of an optimizer's steps, on one module.

    Attributes:
        sign: one of `SIGNS`.
        norm: L2 norm of the latest gradient, or of the latest change.
        by: numbers of the losses that moved it.
        finding: the worst one about this.
    """

    sign: str
    norm: float | None = None
    by: tuple[int, ...] = ()
    finding: Finding | None = None

    @property
    def alarm(self) -> str:
        """Return "!" if a fault or a hint is about this."""
        return "!" if self.finding is not None and self.finding.severity != "cost" else ""

    def text(self, norms: bool = True) -> str:
        """Return the sign, with the norm or without."""
        sign = f"{self.sign}{self.alarm}"
        if not norms or self.norm is None:
            return sign
        return f"{self.norm:.3g} {sign}" if self.sign.startswith("by") else f"{sign} {self.norm:.3g}"


@dataclass(frozen=True)
class Row:
    """Loss, or steps of an optimizer at one line, with the latest numbers.

    Attributes:
        number: counts losses and steps separately, from 1.
        title: "loss 1", or the optimizer's name or class.
        place: the user's line.
        times: number of passes or steps.
        cells: by module, where something happened.
        events: the record's losses or steppings.
        value, bytes: value of a loss in its latest pass, size of its graph.
        enters: where modules enter a loss; needs tracing.
        drawn: a pass whose graph can be drawn; needs tracing.
        kind, made, holds: class of an optimizer, where it was made if that was seen, and the modules it holds.
    """

    number: int
    title: str
    place: Place
    times: int
    cells: dict[str, Cell]
    events: tuple[Loss | Stepping, ...]
    value: float | None = None
    bytes: int = 0
    enters: dict[str, tuple[Crossing, ...]] = field(default_factory=dict)
    drawn: Backward | None = None
    kind: str = ""
    made: Place | None = None
    holds: tuple[str, ...] = ()


class Summary:
    """Modules, losses, steps, findings and notes of a record.

    Attributes:
        traced: whether the forward pass was followed.
        since: time at which the audit was made; files that are newer are not what ran.
        modules, findings, losses, steps, notes: in the order of the report.
        sizes: number of parameters by module.
    """

    def __init__(self, record: Recorder, findings: Sequence[Finding], since: float) -> None:
        self.traced, self.since, self.findings = record.tracer is not None, since, tuple(findings)
        self.modules = [record.weights.parts[name] for name in record.names]
        self.sizes: Counter[str] = Counter()
        for key, owners in record.weights.owners.items():
            self.sizes.update(dict.fromkeys(owners, record.weights.sizes[key].numel()))
        passes: dict[Loss, list[Backward]] = defaultdict(list)
        for backward in record.backwards.entries():
            passes[backward.of].append(backward)
        self.losses = [self._loss(record, loss, same) for loss, same in passes.items()]
        taken: dict[object, list[Step]] = defaultdict(list)
        for step in record.steps.entries():  # optimizers made one after the other are one row
            taken[step.place, step.optimizer, step.holds].append(step)
        self.steps = [self._step(record, number, steps) for number, steps in enumerate(taken.values(), 1)]
        self.notes = list(notes(record))

    def _finding(self, name: str, *events: Loss | Stepping) -> Finding | None:
        """Return the worst finding about a module in one of these."""
        about = (each for each in self.findings if name in each.modules and not set(events).isdisjoint(each.at))
        return next(about, None)

    def _loss(self, record: Recorder, loss: Loss, passes: Sequence[Backward]) -> Row:
        reached = {name: norm for each in passes for name, norm in each.reached.items()}
        cells = {}
        for name in record.names:
            if name in reached:
                uses = [use for key, use in loss.uses.items() if name in record.weights.owners.get(key, ())]
                sign = "●" if any(use.applied or use.taken for use in uses) else "○"
                cells[name] = Cell(sign, reached[name], finding=self._finding(name, loss))
        last, crossings = passes[-1], loss.crossings
        enters = {name: tuple(dict.fromkeys(crossings[name])) for name in record.names if name in crossings}
        drawn = next((each for each in passes if each.diagram is not None and each.diagram.operations), None)
        own = loss.number, f"loss {loss.number}", loss.place, loss.passes, cells, (loss,)
        return Row(*own, last.loss, last.bytes, enters, drawn)

    def _step(self, record: Recorder, number: int, steps: Sequence[Step]) -> Row:
        stepping = steps[-1].of
        latest: dict[str, Step] = {}
        for step in steps:
            latest |= dict.fromkeys(step.moved, step)
        events = tuple(dict.fromkeys(each.of for each in steps))
        cells = {}
        for name in record.names:
            by: tuple[int, ...] = ()
            if name in latest:
                last = latest[name]
                sources = last.sources.get(name, (None,))
                by = tuple(dict.fromkeys(each.of.number for each in sources if each is not None))
                sign = f"by {'+'.join(map(str, by))}" if by and None not in sources else "by ?"
                sign = sign if last.applied.get(name) or name not in stepping.holds else "~"
            elif name in stepping.holds:
                sign = "–"
            else:
                continue
            norm = latest[name].moved[name] if name in latest else None
            cells[name] = Cell(sign, norm, by, self._finding(name, *events))
        times = sum(each.times for each in steps)
        holds = tuple(name for name in record.names if name in stepping.holds)
        title = stepping.name or stepping.optimizer
        made = None if stepping.made is None else stepping.made.place
        return Row(number, title, stepping.place, times, cells, events, kind=stepping.optimizer, made=made, holds=holds)

    @property
    def rows(self) -> list[Row]:
        """Rows of losses, then of steps."""
        return [*self.losses, *self.steps]

    @property
    def touched(self) -> list[str]:
        """Names of the modules to which anything happened."""
        return [each.name for each in self.modules if any(each.name in row.cells for row in self.rows)]

    @property
    def idle(self) -> str:
        """Sentence about the modules to which nothing happened; empty if there are none."""
        names = [each.name for each in self.modules if each.name not in self.touched]
        return f"No gradient reached and no step moved {listed(names, len(names))}." if names else ""

    def whereabouts(self) -> list[str]:
        """Return the modules with the places where the audit has found them."""
        found: dict[str, list[str]] = defaultdict(list)
        for each in self.modules:
            found[each.where].append(each.name)
        several = {where: where.replace("e of", "es of", 1) for where in found if len(found[where]) > 1}
        return [
            ", ".join(names) + (f" ({several.get(where, where)})" if where else "") for where, names in found.items()
        ]

    def signs(self) -> dict[str, str]:
        """Return the signs that occur, with their meanings."""
        cells = [each for row in self.rows for each in row.cells.values()]
        used = {re.sub(r"by \d.*", "by 1", each.sign) for each in cells} | {each.alarm for each in cells}
        return {sign: meaning for sign, meaning in SIGNS.items() if sign in used}

    def verdict(self, most: int = 3) -> str:
        """Return the verdict in a line, with at most so many findings by name."""
        parts = [counted(number, each) for each, number in Counter(each.severity for each in self.findings).items()]
        if parts:
            worst = self.findings[0].severity
            named = [f"{each.kind}, {place_of(each)}" for each in self.findings if each.severity == worst]
            more = [f"{len(named) - most} more"] if len(named) > most else []
            parts[0] += f": {'; '.join([*named[:most], *more])}" if most else ""
            return " · ".join(parts if worst == "fault" else ["no fault", *parts])
        if not self.rows:
            return "nothing was recorded"
        passes, steps = (sum(each.times for each in rows) for rows in (self.losses, self.steps))
        seen = f"nothing found in {counted(passes, 'backward pass', 'backward passes')} and {counted(steps, 'step')}"
        return f"{seen}, but not all was seen" if self.notes else seen

    def advice(self, finding: Finding) -> list[tuple[str, str]]:
        """Return its texts by label: cause, mend, what may speak against it, and once how to get the line."""
        mend, but = finding.mend, ""
        if mend.count(". (") == 1 and mend.endswith(")"):
            mend, _, but = mend[:-1].partition(". (")
            mend += "."
        needing = [each for each in self.findings if each.kind in _CALLS]
        line = UNTRACED if not self.traced and needing[:1] == [finding] else ""
        texts = {"cause": finding.cause, "mend": mend, "but": but, "line": line}
        return [(word, text) for word, text in texts.items() if text]

    def source(self, place: Place, *others: int, around: int = 2) -> dict[int, str]:
        """Return by number the lines of code around a place, and others; none if the file has changed since."""
        if os.path.exists(place.file):
            if os.path.getmtime(place.file) > self.since:
                return {}
            linecache.checkcache(place.file)
        lines = dict(enumerate(linecache.getlines(place.file), 1))  # of notebooks' cells too, which are no files
        if place.line not in lines:
            return {}
        near = range(place.line - around, place.line + around + 1)
        shown = {number: lines[number].rstrip().expandtabs(4) for number in sorted({*near, *others} & lines.keys())}
        dedented = dict(zip(shown, textwrap.dedent("\n".join(shown.values())).split("\n"), strict=True))
        filled = [number for number, code in dedented.items() if code]
        return {number: code for number, code in dedented.items() if filled and filled[0] <= number <= filled[-1]}

    def marked(self, finding: Finding) -> list[int]:
        """Return the lines to look at: its own, and that of a stop that cuts something off."""
        stops = re.findall(r"(\S+):(\d+) cuts", finding.cause)
        own = [int(line) for file, line in stops if str(Place(finding.file, int(line), "")) == f"{file}:{line}"]
        return [finding.line, *own]


def shows(finding: Finding, row: Row) -> bool:
    """Whether a finding shows in this loss, or in these steps."""
    return not set(row.events).isdisjoint(finding.at)


def place_of(finding: Finding) -> Place:
    """Return the place to look at."""
    return Place(finding.file, finding.line, "")
