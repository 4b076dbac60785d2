"""The one error for a user's mistake, the nearest valid choice that it can name, and the line of code to blame."""

import difflib
import math
import numbers
import os
import sysconfig
import traceback
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

# Code that lies elsewhere is a user's own.
_INSTALLED = (str(Path(__file__).parents[1]), *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))


class InputError(ValueError):
    """A value from outside breaks a rule. The message names the value, the rule and the mend."""

    details: str = ""
    """the traceback, where code of the user's own has raised"""


class FaultyEnvironmentError(RuntimeError):
    """An environment does not do what gymnasium asks of it. The message names the episode's seed and what it did."""

    details: str = ""
    """the traceback, where code of the user's own has raised"""


class Note(UserWarning):
    """Something that the person should know, in a sentence, and that ends nothing."""


def require(condition: bool, message: str) -> None:
    """Raise `InputError(message)` unless the condition holds."""
    if not condition:
        raise InputError(message)


def theirs(sentence: str, error: BaseException) -> InputError:
    """An `InputError` with the traceback of what the user's own code raised."""
    mistake = InputError(sentence)
    mistake.details = traced(error)
    return mistake


def needed(package: str, extra: str) -> Any:
    """Import a package that an extra brings; `InputError` says how to install it if it is missing."""
    try:
        return import_module(package)
    except ImportError as error:
        mend = f"pip install -e '.[{extra}]' in a checkout, pip install 'ddpg[{extra}]' elsewhere"
        raise InputError(f"This needs {package}, which is not installed ({error}): {mend}.") from error


def choices(valid: Iterable[str], given: object) -> str:
    """The end of an error message: the valid choice nearest to `given`, and all of them unless they are many."""
    valid = sorted(valid)
    near = difflib.get_close_matches(str(given), valid, n=1, cutoff=0.5)
    if near and len(valid) > 20:
        return f"did you mean {near[0]}?"
    return f"{f'did you mean {near[0]}? ' if near else ''}Valid: {', '.join(valid)}."


def real(name: str, value: object, least: float = -math.inf, above: float = -math.inf, most: float = math.inf) -> float:
    """The value as a plain finite number in its range; `InputError` names it by `name` if it is none."""
    rules = [
        "a finite number",
        *([f"{least:g} or more"] if least > -math.inf else []),
        *([f"greater than {above:g}"] if above > -math.inf else []),
        *([f"{most:g} or less"] if most < math.inf else []),
    ]
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    valid = math.isfinite(number) and least <= number <= most and number > above
    require(valid, f"{name}={value}: must be {', '.join(rules)}.")
    return number


def whole(name: str, value: object, least: int, most: float = math.inf) -> int:
    """The value as a plain whole number in its range; `InputError` names it by `name` if it is none."""
    valid = isinstance(value, numbers.Integral) and not isinstance(value, bool) and least <= int(value) <= most
    limit = f", {most} or less" if most < math.inf else ""
    require(valid, f"{name}={value}: must be a whole number, {least} or more{limit}.")
    return int(value)  # type: ignore[call-overload, no-any-return]


def blamed(error: BaseException) -> str:
    """What was raised, and where in the user's own code: `IndexError (pop from empty list) at own.py:12`."""
    reason = error.msg if isinstance(error, SyntaxError) else str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{f' ({reason})' if reason else ''}{line_of(error)}"


def line_of(error: BaseException) -> str:
    """` at own.py:12`, the last line of the user's own code on the way of what was raised; nothing if there is none."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "<unknown>", error.lineno))
    own = [(path, line) for path, line in places if _is_own(path)]
    return f" at {shown(own[-1][0])}:{own[-1][1]}" if own else ""


def _is_own(path: str) -> bool:
    return not path.startswith("<") and not any(Path(path).absolute().is_relative_to(each) for each in _INSTALLED)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as a person in the working directory would type it."""
    path = Path(path)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def traced(error: BaseException) -> str:
    """The whole traceback, as Python prints it."""
    return "".join(traceback.format_exception(error))
