"""What a part has found: a table to read, and every figure behind it to keep."""

import dataclasses
import json
import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ddpg.base.memory import peak_memory
from ddpg.benchmark.options import Options

WIDTH = 110


@dataclasses.dataclass(frozen=True)
class Report:
    """One part's table.

    Attributes:
        title: what was measured, and with which sizes.
        columns: their names, that of the contestants first.
        rows: one for each contestant.
        figures: all raw ones, as plain data.
        notes: what a reader has to know.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, Any]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """The table aligned, for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [
            "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]).rstrip()
            for first, *others in (self.columns, *self.rows)
        ]
        notes = [textwrap.fill(note, WIDTH) for note in (*self.notes, _machine_line())]
        return "\n".join([self.title, "", *lines, "", *notes])

    def markdown(self, command: str) -> str:
        """The command that made the table, and the table."""
        rows = (self.columns, ["---"] + ["--:"] * (len(self.columns) - 1), *self.rows)
        table = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([f"`{command}`", "", self.title, "", *table, "", *self.notes, _machine_line()]) + "\n"

    def save(self, options: Options, command: str) -> None:
        """Write `<part>.json` and `<part>.md` to the output folder."""
        assert options.output is not None
        settings = dataclasses.asdict(options) | {"output": str(options.output)}
        content = {"command": command, "settings": settings, "machine": machine(), "figures": self.figures}
        path = options.output / options.part
        path.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
        path.with_suffix(".md").write_text(self.markdown(command))


def machine() -> dict[str, str | int]:
    """What the figures depend on beside the settings, and what this process has needed of it."""
    return {
        "cores": cores(),
        "processor": _processor(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "peak_memory_mib": round(peak_memory()),
    }


def cores() -> int:
    """How many of the machine's this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sizes(options: Options) -> str:
    """The sizes of networks and batch, for a title."""
    return f"networks {options.hidden}/{options.hidden}, batch {options.batch}"


def _machine_line() -> str:
    found = machine()
    return (
        f"{found['cores']} cores of {found['processor']}, PyTorch {found['torch']}; at its peak the benchmark's own "
        f"process had {found['peak_memory_mib']} MiB."
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
