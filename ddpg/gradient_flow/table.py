"""An audit as text, in lines of at most 100 columns."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence

from ddpg.gradient_flow import private
from ddpg.gradient_flow.notes import notes
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Backward, Finding, Loss, Step, listed, size_of

_WIDTH = 100
_MOST_WAYS = 3


def table(record: Recorder, findings: Sequence[Finding]) -> str:
    """Losses and what they reached, steps and what they moved, then what is wrong; repeats with the latest numbers."""
    lines: list[str] = []
    passes: dict[Loss, list[Backward]] = defaultdict(list)
    for backward in record.backwards.entries():
        passes[backward.of].append(backward)
    for loss, same in passes.items():
        lines += _loss(loss, same)
    steps: dict[object, list[Step]] = defaultdict(list)
    for step in record.steps.entries():  # optimizers made one after the other are one line
        steps[step.place, step.optimizer, step.holds].append(step)
    lines += [""] * bool(steps and passes)
    for taken in steps.values():
        lines += _stepping(record, taken)
    lines += ["", *_foot(record, findings)]
    return "\n".join(line.rstrip() for line in lines)


def _loss(loss: Loss, passes: Sequence[Backward]) -> list[str]:
    last = passes[-1]
    function = "" if last.place.function.startswith("<") else f" in {last.place.function}"
    value = "" if last.loss is None else f", {last.loss:.4g}"
    size = f", graph of {size_of(last.bytes)}" if private.knows_memory else ""
    lines = _wrapped(f"loss {loss.number}  {loss.place}{function}{_count(loss.passes)}{value}{size}")
    reached = {name: norm for each in passes for name, norm in each.reached.items()}
    lines += _row("reaches", (f"{name} {norm:.3g}" for name, norm in reached.items()), "nothing that is looked at")
    crossings = loss.crossings
    for name in crossings:
        ways = dict.fromkeys(crossings[name])
        for crossing in list(ways)[:_MOST_WAYS]:
            # Several ways differ somewhere in the middle.
            path = " ← ".join(crossing.path if len(ways) > 1 else _short(crossing.path)) or "sent backward itself"
            lines += _row("enters", [f"{name} at {crossing.place}: {path}"])
        if len(ways) > _MOST_WAYS:
            lines += _row("enters", [f"{name} in {len(ways) - _MOST_WAYS} more ways"])
    return lines


def _stepping(record: Recorder, steps: Sequence[Step]) -> list[str]:
    stepping = steps[-1].of
    lines = [f"step    {stepping.place} {stepping.optimizer}{_count(sum(each.times for each in steps))}"]
    latest: dict[str, Step] = {}
    for step in steps:
        latest |= dict.fromkeys(step.moved, step)
    moved, drifted, strange, idle = [], [], [], []
    for name in record.names:
        last = latest.get(name)
        if last is None:
            idle += [name] if name in stepping.holds else []
        elif name not in stepping.holds:
            strange.append(f"{name} {last.moved[name]:.3g}")
        elif not last.applied[name]:
            drifted.append(f"{name} {last.moved[name]:.3g}")
        else:
            origins = (
                "a gradient of unknown origin" if each is None else f"loss {each.of.number}"
                for each in last.sources.get(name, (None,))
            )
            moved.append(f"{name} {last.moved[name]:.3g} by {' and '.join(dict.fromkeys(origins))}")
    lines += _row("moves", moved)
    lines += _row("drifts", (f"{each} without a gradient" for each in drifted))
    lines += _row("moves", (f"{each}, which it does not hold" for each in strange))
    for name in idle:
        held = {key: each for key, each in stepping.held.items() if name in record.weights.owners.get(key, ())}
        gone = dict.fromkeys(
            str(lost.site)
            for loss in record.losses.values()
            for key in held
            if key in loss.uses
            for lost in loss.uses[key].lost
            if lost.before is stepping and lost.site is not None
        )
        if gone:
            lines += _row("holds", [f"{name}, whose gradient was cleared at {listed(gone)}"])
        elif any(each.gradients for each in held.values()):
            lines += _row("holds", [f"{name}, which it did not move"])
        else:
            lines += _row("holds", [f"{name}, to which no gradient came"])
    return lines


def _foot(record: Recorder, findings: Sequence[Finding]) -> list[str]:
    """First what is wrong, a line each; then each at length."""
    remarks = list(notes(record))
    counts = [
        f"{count} {severity}{'s' if count > 1 else ''}"
        for severity in ("fault", "hint", "cost")
        if (count := sum(each.severity == severity for each in findings))
    ]
    seen = bool(record.losses or record.steppings) and not remarks
    lines = [", ".join(counts) if counts else "nothing found" if seen else "nothing found, but not all was seen:"]
    for finding in findings:
        where = _place(finding)
        head = f"  {finding.kind:<{max(len(each.kind) for each in findings)}}  "
        room = _WIDTH - len(head) - len(where) - 2
        lines.append(f"{head}{textwrap.shorten(finding.headline, max(room, 20), placeholder=' …'):<{room}}  {where}")
    for finding in findings:
        lines += ["", *_wrapped(f"{finding.kind}, a {finding.severity}: {finding.message}")]
    lines += [""] * bool(findings and remarks)
    for remark in remarks:
        lines += _wrapped(f"note: {remark}")
    return lines


def _place(finding: Finding) -> str:
    return str(Place(finding.file, finding.line, ""))


def _row(label: str, items: Iterable[str], otherwise: str = "") -> list[str]:
    text = " · ".join(items) or otherwise
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"        {label:<8}",
        subsequent_indent=" " * 16,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _short(path: Sequence[str]) -> Sequence[str]:
    return path if len(path) <= 6 else (*path[:2], "…", *path[-3:])


def _count(times: int) -> str:
    return f" ×{times}" if times > 1 else ""
