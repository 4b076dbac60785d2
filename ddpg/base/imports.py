"""Objects of the user's own modules, by their dotted names."""

import importlib
import os
import sys
from types import ModuleType
from typing import Any

from ddpg.base.errors import blamed, choices, require, theirs


def dotted(value: Any) -> Any:
    """Return the dotted name of a class or a function, and everything else, names among it, as it is."""
    return f"{value.__module__}.{value.__qualname__}" if callable(value) and hasattr(value, "__qualname__") else value


def named(key: str, name: str) -> Any:
    """Return the object of a dotted name, `module.Class`, after importing its module.

    Args:
        key: the setting that holds the name, for the message.
        name: as the user typed it: never one that was read from a checkpoint.

    Raises:
        InputError: if it is no such name, the module cannot be imported, or the object is not in it.
    """
    place, _, attribute = name.rpartition(".")
    require(
        all(part.isidentifier() for part in (*place.split("."), attribute)),
        f"{key}={name}: must be a class or function at the top of a module; my_module.MyClass is valid.",
    )
    found = module(key, name, place)
    near = choices([each for each in vars(found) if not each.startswith("_")], attribute)
    require(hasattr(found, attribute), f"{key}={name}: the module {place} has no {attribute}; {near}")
    return getattr(found, attribute)


def module(key: str, value: str, name: str) -> ModuleType:
    """Import the module of this name, for the value of a setting; raise `InputError` if it cannot be imported."""
    if os.getcwd() not in sys.path:  # at the end, where it shadows nothing
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a stranger's module may raise
        mend = "; mind PYTHONPATH" if isinstance(error, ModuleNotFoundError) and error.name == name else ""
        raise theirs(f"{key}={value}: the module {name} cannot be imported: {blamed(error)}{mend}.", error) from error
