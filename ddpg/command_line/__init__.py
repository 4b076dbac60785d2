"""The commands: each is loaded when it is called, and says in a sentence what a plain installation lacks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


def train() -> None:
    """`ddpg-train`, `scripts/train.py`, `python -m ddpg.command_line`."""
    _run("ddpg.command_line.main", "train")


def evaluate() -> None:
    """`ddpg-evaluate`, `scripts/evaluate.py`."""
    _run("ddpg.command_line.evaluate_run", "main")


def export() -> None:
    """`ddpg-export`, `scripts/export.py`."""
    _run("ddpg.command_line.export_policy", "main")


def compare() -> None:
    """`ddpg-compare`, `scripts/compare.py`."""
    _run("ddpg.comparison.command", "main")


def _run(module: str, name: str) -> None:
    with plainly():
        main = getattr(import_module(module), name)
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


@contextmanager
def plainly() -> Iterator[None]:
    """Exit with a sentence if an import within needs the extra `train` and it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "ddpg").partition(".")[0] == "ddpg":
            raise
        print(
            f"This needs {error.name}, which the library alone does without: "
            "pip install -c .ci/constraints.txt -e '.[train]' in a checkout, pip install 'ddpg[train]' elsewhere.",
            file=sys.stderr,
        )
        sys.exit(2)
