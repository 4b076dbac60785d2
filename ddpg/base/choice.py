"""A choice that goes by a name: what a config group selects and a checkpoint writes down."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ddpg.base.errors import InputError, choices, require
from ddpg.base.options import checked


class Choice:
    """Base of each family of options: gradient stops, critic freezes, exploration noises.

    A family is a direct subclass with a `kind`, the name of its config group. An option is a dataclass below it, with
    the name that a config or a checkpoint calls it by; one without a name works, but only as an instance. The dataclass
    fields are the option's settings; their annotations may have a range and a help text, as pydantic writes them.
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
        """Check each number among the settings against its annotation, and make plain ones of NumPy's."""
        for name, annotation in self.settings().items():
            if getattr(annotation, "__origin__", annotation) in (int, float):  # the origin of `Annotated[float, …]`
                object.__setattr__(self, name, checked(f"{self.kind}.{name}", annotation, getattr(self, name)))

    @classmethod
    def make(cls, choice: str | Mapping[str, Any] | Self) -> Self:
        """Return an option from its name, from a mapping of `name` and settings, or from an instance, as it is.

        Raises:
            InputError: for an unknown name, an unknown setting, or a setting out of its range.
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
        known = option.settings()
        for key in settings.keys() - {"name", *known}:
            nearest = choices(known, key) if known else "it has none."
            raise InputError(f"{cls.kind}.{key}: {cls.kind} {name} has no such setting; {nearest}")
        return option(**{key: value for key, value in settings.items() if key != "name"})

    def as_data(self) -> dict[str, Any]:
        """Return the name and settings, as `make` takes them; without a name there is nothing to be made from."""
        return {"name": self.name, **({key: getattr(self, key) for key in self.settings()} if self.name else {})}

    @classmethod
    def settings(cls) -> dict[str, Any]:
        """Return the annotation of each setting by its name."""
        annotations = typing.get_type_hints(cls, include_extras=True)
        return {field.name: annotations[field.name] for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
