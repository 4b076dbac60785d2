"""A choice that goes by a name: what a config group selects and a checkpoint writes down."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ddpg.base.errors import InputError, choices, real, require, whole


class Choice:
    """Base of each family of options: gradient stops, critic freezes, exploration noises.

    A family is a direct subclass, with a `kind` for messages. An option is a dataclass below it, with the name
    that a config or a checkpoint calls it by; one without a name works, but only as an instance. The dataclass
    fields are the option's settings.
    """

    kind: ClassVar[str]
    options: ClassVar[dict[str, type[Any]]]
    name: ClassVar[str | None] = None

    def __init_subclass__(cls, kind: str | None = None, name: str | None = None) -> None:
        if kind is not None:
            cls.kind, cls.options = kind, {}
        cls.name = name
        if name is not None:
            cls.options[name] = cls

    def __post_init__(self) -> None:
        """Checks the numbers among the settings, and makes plain ones of NumPy's."""
        hints = typing.get_type_hints(type(self))
        for name in self._settings():
            value = getattr(self, name)
            if hints[name] is float:
                object.__setattr__(self, name, real(f"{self.kind}.{name}", value))
            elif hints[name] is int:
                object.__setattr__(self, name, whole(f"{self.kind}.{name}", value, least=-(2**63)))

    @classmethod
    def make(cls, choice: str | Mapping[str, Any] | Self) -> Self:
        """An option from its name, from a mapping of `name` and settings, or from an instance (returned as it is).

        Raises `InputError` for an unknown name, an unknown setting, or a setting out of its range.
        """
        if isinstance(choice, cls):
            return choice
        settings = {"name": choice} if isinstance(choice, str) else choice
        if not isinstance(settings, Mapping) or "name" not in settings:
            valid = choices(cls.options, choice)
            raise InputError(f"{cls.kind}={choice!r}: expected a name, or an instance of {cls.__name__}. {valid}")
        name = settings["name"]
        valid_name = isinstance(name, str) and name in cls.options
        require(valid_name, f"{cls.kind}={name}: no such option; {choices(cls.options, name)}")
        option: type[Self] = cls.options[name]
        known = option._settings()
        for key in settings.keys() - {"name", *known}:
            nearest = choices(known, key) if known else "it has none."
            raise InputError(f"{cls.kind}.{key}: {cls.kind} {name} has no such setting; {nearest}")
        return option(**{key: value for key, value in settings.items() if key != "name"})

    def as_data(self) -> dict[str, Any]:
        """The name and settings, as `make` takes them; without a name there is nothing to be made from."""
        return {"name": self.name, **({key: getattr(self, key) for key in self._settings()} if self.name else {})}

    @classmethod
    def _settings(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls) if field.init]  # type: ignore[arg-type]
