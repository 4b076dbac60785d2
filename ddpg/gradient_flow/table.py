"""An audit as text."""

import textwrap
from collections import defaultdict
from collections.abc import Sequence

from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Backward, Finding, Step

_NOTHING = "·"
_WIDTH = 100


def table(record: Recorder, findings: Sequence[Finding]) -> str:
    """Backward passes, steps and findings; what repeats is one line, with its latest numbers."""
    names = record.names
    losses: dict[tuple[object, ...], list[Backward]] = defaultdict(list)
    for backward in record.backwards:
        losses[backward.kind].append(backward)
    steps: dict[tuple[object, ...], list[Step]] = defaultdict(list)
    for step in record.steps:
        steps[step.place, step.optimizer, step.holds].append(step)
    numbers = {kind: position for position, kind in enumerate(losses, 1)}

    rows = [["", "backward pass", "loss", *names, "held"]]
    for kind, passes in losses.items():
        last = passes[-1]
        cells = [f"{last.reached[name]:.3g}" if name in last.reached else _NOTHING for name in names]
        loss = "" if last.loss is None else f"{last.loss:.4g}"
        function = "" if last.place.function.startswith("<") else f" {last.place.function}"
        where = f"{last.place}{function}{_count(passes)}"
        rows.append([f"{numbers[kind]}", where, loss, *cells, _size(last.bytes)])
    lines = _aligned(rows)
    for kind, passes in losses.items():
        for name, crossings in passes[-1].crossings.items():
            for crossing in crossings:
                lines.append(f"{numbers[kind]}  {name} enters at {crossing.place}: {' ← '.join(_short(crossing.path))}")

    rows = [["", "step", *names]]
    for same in steps.values():
        last_step = same[-1]
        where = f"{last_step.place} {last_step.optimizer}{_count(same)}"
        reached = {name for each in record.backwards if each.next_step is last_step for name in each.reached}
        rows.append(["", where, *(_effect(last_step, name, numbers, reached) for name in names)])
    lines += ["", *_aligned(rows)]

    lines += ["", f"{len(findings)} finding{'s' if len(findings) != 1 else ''}"]
    for finding in findings:
        lines += textwrap.wrap(f"- {finding}", _WIDTH, subsequent_indent="  ", break_long_words=False)
    return "\n".join(line.rstrip() for line in lines)


def _effect(step: Step, name: str, numbers: dict[tuple[object, ...], int], reached: set[str]) -> str:
    """What a step did to a module, and by which passes."""
    if name not in step.holds:
        return f"moved {step.moved[name]:.3g}, not held" if name in step.moved else _NOTHING
    if name in step.moved and not step.applied[name]:
        return f"drifted {step.moved[name]:.3g}"
    if name not in step.sources:
        return "held, cleared" if name in reached else "held, not reached"
    origins = ["?" if each is None else str(numbers[each.kind]) for each in step.sources[name]]
    effect = f"moved {step.moved[name]:.3g}" if name in step.moved else "not moved"
    return f"{effect} ← {', '.join(dict.fromkeys(origins))}"


def _short(path: Sequence[str]) -> Sequence[str]:
    return path if len(path) <= 6 else (*path[:2], "…", *path[-3:])


def _count(same: Sequence[object]) -> str:
    return f" ×{len(same)}" if len(same) > 1 else ""


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
