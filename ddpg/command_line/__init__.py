"""The programs by name: each is loaded when it is called, and what a plain installation lacks is said in a sentence."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


def train() -> None:
    """`ddpg-train`, `scripts/train.py`, `python -m ddpg`."""
    _run("ddpg.command_line.main", "train")


def evaluate() -> None:
    """`ddpg-evaluate`, `scripts/evaluate.py`."""
    _run("ddpg.command_line.main", "evaluate_run")


def compare() -> None:
    """`ddpg-compare`, `scripts/compare.py`."""
    _run("ddpg.comparison.command", "main")


def benchmark() -> None:
    """`scripts/benchmark.py`."""
    _run("ddpg.benchmark.main", "main")


def _run(module: str, name: str) -> None:
    with plainly():
        main = getattr(import_module(module), name)
    main()


@contextmanager
def plainly() -> Iterator[None]:
    """Around imports of what the extra `train` brings: without it the program ends with a sentence."""
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
