"""How the commands end: each mistake is a sentence and a status, and no traceback reaches the terminal."""

import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from ddpg.base.errors import FaultyEnvironmentError, InputError, Note, choices, require, shown
from ddpg.command_line import hydra_sentences
from ddpg.saving import files
from ddpg.training.resume import NAMES

TRACEBACK_NAME = "traceback.txt"


def end(sentences: str, status: int) -> NoReturn:
    """Print to standard error and exit with the status."""
    print(sentences, file=sys.stderr)
    sys.exit(status)


def add_names(parser: ArgumentParser) -> None:
    """Let a command take the names of the user's own code that its run uses, as they were typed for the training."""
    parser.add_argument(
        "names", nargs="*", metavar="KEY=VALUE", help=f"names of your own code, typed again: {', '.join(NAMES)}"
    )


def names(typed: Sequence[str]) -> dict[str, Any]:
    """Return the values of such arguments by their keys; raise `InputError` for another key."""
    pairs = [each.partition("=") for each in typed]
    for key, *_ in pairs:
        require(key in NAMES, f"{key}: cannot be changed here; {choices(NAMES, key)}")
    return {key: value[1:-1].split(",") if value.startswith("[") else value for key, _, value in pairs}


@contextmanager
def in_sentences(folder: Path | Callable[[], str]) -> Iterator[None]:
    """Exit with a sentence at a mistake of the user's (status 2) or a fault of the environment (status 1).

    Args:
        folder: where the traceback goes if code of the user's own has raised.
    """
    try:
        yield
    except (FaultyEnvironmentError, InputError) as error:
        status = 1 if isinstance(error, FaultyEnvironmentError) else 2
        end(with_traceback(error, folder() if callable(folder) else folder), status)
    except (HydraException, OmegaConfBaseException) as error:
        end(hydra_sentences.sentence(error), status=2)


def with_traceback(error: Exception, folder: str | Path) -> str:
    """Return the error's sentence; its traceback, if it has one, goes into a file, which the sentence names."""
    if details := getattr(error, "details", ""):
        path = Path(folder, TRACEBACK_NAME)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, details.encode())
            return f"{error} The traceback is in {shown(path)}."
    return str(error)


def plain_notes() -> None:
    """From now on show each `Note` once, without the line of code that it came from."""
    show, noted = warnings.showwarning, set[str]()

    def plainly(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, Note):
            show(message, category, *place, **more)
        elif str(message) not in noted:
            print(message, file=sys.stderr)
            noted.add(str(message))

    warnings.simplefilter("always", Note)
    warnings.showwarning = plainly
