"""The one error for a user's mistake, and the nearest valid choice that it can name."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A value from outside breaks a rule. The message names the value, the rule and the mend."""


def require(condition: bool, message: str) -> None:
    """Raise `InputError(message)` unless the condition holds."""
    if not condition:
        raise InputError(message)


def choices(valid: Iterable[str], given: object) -> str:
    """The end of an error message: the valid choice nearest to `given`, and all of them unless they are many."""
    valid = sorted(valid)
    near = difflib.get_close_matches(str(given), valid, n=1, cutoff=0.5)
    if near and len(valid) > 20:
        return f"did you mean {near[0]}?"
    return f"{f'did you mean {near[0]}? ' if near else ''}Valid: {', '.join(valid)}."
