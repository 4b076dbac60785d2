"""What a part has measured, as a Markdown table."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rich.table
import torch
from rich import box
from rich.console import Console

from turns import Spread, ratios


@dataclass(frozen=True)
class Table:
    """A row for each contestant.

    Attributes:
        title: what was measured, and with which sizes.
        columns: their names, without that of the contestants'.
        rows: the contestant's name and a cell for each column.
        notes: what a reader has to know besides.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def show(self, command: str) -> None:
        """Print the table, the command that made it, and the machine."""
        table = rich.table.Table("", box=box.MARKDOWN)
        for column in self.columns:
            table.add_column(column, justify="right")
        for row in self.rows:
            table.add_row(*row)
        text = Console(width=80, highlight=False, markup=False)
        text.print(f"`{command}`\n\n{self.title}")
        Console(width=200).print(table)  # wide enough for each, so that no cell is broken
        text.print("\n\n".join([*self.notes, _machine()]))


def speeds(seconds: Mapping[str, list[float]], memory: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Return a row for each contestant: steps a second, times as fast as the first, and peak memory in MiB."""
    base = next(iter(seconds))
    return [
        (name, f"{1 / Spread.of(times).median:,.0f}", str(ratios(seconds, base, name)), f"{memory[name]:,.0f}")
        for name, times in seconds.items()
    ]


def _machine() -> str:
    path = Path("/proc/cpuinfo")
    found = re.search("model name\\s*: (.*)", path.read_text()) if path.exists() else None
    processor = found[1] if found else platform.machine()
    return f"{os.cpu_count()} cores of {processor}, Python {platform.python_version()}, PyTorch {torch.__version__}"
