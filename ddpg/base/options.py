"""Options as data: a model is the one place of each option's name, type, range, default and help text."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from ddpg.base.errors import InputError, choices, require

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, examples=[1e-3])]
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


class Options(BaseModel):
    """Base of the models. A subclass is a set of options; a field whose type is another model is a section."""

    model_config = _STRICT

    @model_validator(mode="before")
    @classmethod
    def _without_numpy(cls, values: Any) -> Any:
        return plain(values)

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> Self:
        """Return the options in plain data.

        Raises:
            InputError: with one sentence for each mistake, a line each.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError("\n".join(_sentence(each, cls) for each in error.errors())) from None

    @classmethod
    def valid_keys(cls) -> list[str]:
        """Return every key that can be set, dotted, sections included."""
        keys: list[str] = []
        for name, field in cls.model_fields.items():
            section = _section(field.annotation)
            keys += [name, *([f"{name}.{key}" for key in section.valid_keys()] if section else [])]
        return keys


class AgentOptions(Options):
    """Options of `DDPG`, and the settings `agent.*` of a run."""

    bootstrap_actor: Literal["target", "online"] = Field(
        "target", description="actor that chooses a' in the TD target: target (the paper) or online"
    )
    hidden_sizes: list[Count] = Field(
        [256, 256], min_length=1, examples=[[256, 256]], description="widths of the hidden layers of both networks"
    )
    actor_lr: Rate = Field(1e-3, description="learning rate of the actor")
    critic_lr: Rate = Field(1e-3, description="learning rate of the critic")
    discount: float = Field(0.99, ge=0, le=1, description="discount factor γ")
    polyak: float = Field(
        0.02, gt=0, le=1, examples=[0.005], description="τ of the soft target update θ' ← (1−τ)θ' + τθ"
    )
    critic_weight_decay: float = Field(0.0, ge=0, description="L2 penalty on the critic's parameters")
    final_layer_bound: Annotated[float, Field(gt=0, examples=[3e-3])] | None = Field(
        3e-3, description="final layers start uniform in ± this; null: PyTorch's initialization"
    )
    layer_norm: bool = Field(False, description="layer normalization after each hidden layer")
    normalize_observations: bool = Field(
        False, description="observations normalized by their running mean and standard deviation"
    )
    action_layer: int = Field(0, ge=0, description="critic's layer that the action enters; 0 is the input")

    @field_validator("hidden_sizes", mode="before")
    @classmethod
    def _as_list(cls, sizes: Any) -> Any:
        return list(sizes) if isinstance(sizes, tuple) else sizes

    @model_validator(mode="after")
    def _check_action_layer(self) -> Self:
        last = len(self.hidden_sizes)
        require(
            self.action_layer <= last,
            f"action_layer={self.action_layer}: a critic of {last} hidden layers has layers 0 to {last}; "
            f"the nearest valid value is {last}.",
        )
        return self


class SeededAgentOptions(AgentOptions):
    """`AgentOptions` and the seed, which a run has among its own settings."""

    seed: int = Field(0, ge=0, lt=2**64, description="seed of the initial weights and of the noise")


Class = TypeVar("Class", bound=type)


def takes(model: type[Options]) -> Callable[[Class], Class]:
    """Show the options that a constructor takes as `**options` in the signature and the docstring of its class."""

    def show(cls: Class) -> Class:
        signature = inspect.signature(cls)
        *others, _ = signature.parameters.values()
        named = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in model.model_fields.items()
        ]
        setattr(cls, "__signature__", signature.replace(parameters=[*others, *named]))  # noqa: B010
        lines = "\n".join(f"        {name}: {field.description}." for name, field in model.model_fields.items())
        cls.__doc__ = (cls.__doc__ or "").replace("        **options: as follows, from `ddpg.base.options`.", lines)
        return cls

    return show


def plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's, everything else as it is."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def checked(key: str, annotation: Any, value: Any) -> Any:
    """Return the value as the annotation wants it.

    Raises:
        InputError: naming the key, the value, the rule and a valid value.
    """
    try:
        return TypeAdapter(annotation, config=_STRICT).validate_python(plain(value))
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0] | {"loc": (key,)}, Options)) from None


def _sentence(error: ErrorDetails, model: type[Options]) -> str:
    """Name the key, the value, the rule, and the nearest valid choice."""
    context = error.get("ctx", {})
    key, value = ".".join(map(str, error["loc"])), error["input"]
    if isinstance(context.get("error"), InputError):  # of a check of ours, which may not know the section it is in
        own = str(context["error"])
        return own if not key or own.startswith(key) else f"{key}.{own}"
    match error["type"]:
        case "extra_forbidden":
            known = {*model.valid_keys()} - {key}
            in_sections = [each for each in known if each.endswith(f".{key}")]
            return f"{key}={value}: there is no such setting; {choices(in_sections or known, key)}"
        case "literal_error":
            valid = [each.strip(" '") for each in context["expected"].replace(" or ", ",").split(",")]
            return f"{key}={value}: no such choice; {choices(valid, value)}"
        case "greater_than_equal":
            mend = f"the nearest valid value is {context['ge']:g}"
        case "less_than_equal":
            mend = f"the nearest valid value is {context['le']:g}"
        case "int_type" | "int_from_float" if isinstance(value, float) and value.is_integer():
            mend = f"{int(value)} is valid"
        case _:
            mend = f"{_example(error['loc'], model)} is valid"
    shown = "null" if value is None else value
    return f"{key}={shown}: {error['msg'].replace('Input should', 'must')}; {mend}."


def _example(location: Sequence[int | str], model: type[Options]) -> object:
    """Return a valid value of the option at this place."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            break
        if section := _section(field.annotation):
            model = section
        elif field.examples:
            return field.examples[0]
        else:
            by_type: dict[object, object] = {int: 1, float: 1.0, bool: "true", str: "a name"}
            return by_type.get(field.annotation, "another value")
    return "another value"


def _section(annotation: object) -> type[Options] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Options) else None
