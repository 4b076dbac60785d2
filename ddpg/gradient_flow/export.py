"""Audit for other programs: plain types for JSON, and annotations for GitHub."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ddpg.gradient_flow import private
from ddpg.gradient_flow.records import Finding
from ddpg.gradient_flow.summary import Row, Summary, shows

VERSION = 1
"""Version of the schema; changes when a name in it does."""
_LEVELS = {"fault": "error", "hint": "warning", "cost": "notice"}


def as_dict(summary: Summary) -> dict[str, Any]:
    """Return the summary in plain types; docs/audit.md lists them."""
    return {
        "version": VERSION,
        "verdict": summary.verdict(),
        "traced": summary.traced,
        "modules": {
            each.name: {"class": each.kind, "parameters": summary.sizes[each.name], "where": each.where}
            for each in summary.modules
        },
        "findings": [
            {
                **{key: getattr(each, key) for key in ("kind", "severity", "file", "line")},
                **{key: getattr(each, key) for key in ("headline", "message", "cause", "mend")},
                "modules": list(each.modules),
                "losses": [row.number for row in summary.losses if shows(each, row)],
                "steps": [row.number for row in summary.steps if shows(each, row)],
            }
            for each in summary.findings
        ],
        "losses": [
            {
                **_row(row),
                "passes": row.times,
                "value": _number(row.value),
                "bytes": row.bytes if private.knows_memory else None,
                "reached": {
                    name: {"norm": _number(each.norm), "used": each.sign == "●"} for name, each in row.cells.items()
                },
                "enters": [
                    {"module": name, "file": each.place.file, "line": each.place.line, "path": list(each.path)}
                    for name, crossings in row.enters.items()
                    for each in crossings
                ],
            }
            for row in summary.losses
        ],
        "steps": [
            {
                **_row(row),
                "optimizer": row.kind,
                "name": row.title,
                "steps": row.times,
                "holds": list(row.holds),
                "moved": {
                    name: {"norm": _number(each.norm), "losses": list(each.by), "gradient": each.sign != "~"}
                    for name, each in row.cells.items()
                    if each.norm is not None
                },
            }
            for row in summary.steps
        ],
        "notes": list(summary.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    return {"number": row.number, "file": row.place.file, "line": row.place.line, "function": row.place.function}


def _number(value: float | None) -> float | str | None:
    """Return a number as JSON can hold it: "nan", "inf" or "-inf" if it is not finite."""
    return value if value is None or math.isfinite(value) else str(value)


def github(findings: Iterable[Finding]) -> str:
    """Return one workflow command a line, with paths relative to the repository's root."""
    here = Path.cwd()
    root = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
    lines = []
    for each in findings:
        path = Path(each.file)
        file = path.relative_to(root).as_posix() if path.is_relative_to(root) else each.file
        properties = {"file": file, "line": str(each.line), "title": f"gradient-flow: {each.kind}"}
        listed = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
        lines.append(f"::{_LEVELS[each.severity]} {listed}::{_escaped(each.message)}")
    return "\n".join(lines)


def _escaped(text: str, more: str = "") -> str:
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text
