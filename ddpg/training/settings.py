"""The settings of a run: their types and ranges, checked before anything is made."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ddpg.base import optimizers
from ddpg.base.errors import InputError, choices, require
from ddpg.critic_freeze import CriticFreeze
from ddpg.exploration import Exploration
from ddpg.gradient_stop import GradientStop

Count = Annotated[int, Field(ge=1)]
Interval = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, examples=[1e-3])]
# null where there are none: Hydra lets the command line replace a null, but not add to an empty mapping.
Keywords = Annotated[
    dict[str, Any], BeforeValidator(lambda value: {} if value is None else value), Field(examples=[{}])
]


def _option_of(family: type[GradientStop] | type[CriticFreeze] | type[Exploration]) -> Any:
    """A mapping of a name and settings that the family accepts."""

    def check(choice: dict[str, Any]) -> dict[str, Any]:
        return family.make(choice).as_data()

    return Annotated[dict[str, Any], AfterValidator(check)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class EnvironmentSettings(_Section):
    """`env.*`"""

    id: str
    num_envs: Count
    asynchronous: bool
    timeout: Annotated[float, Field(gt=0, examples=[60])] | None
    kwargs: Keywords


class AgentSettings(_Section):
    """`agent.*`, as the keyword arguments of `DDPG`; the optimizer by its name in torch.optim."""

    bootstrap_actor: Literal["target", "online"]
    hidden_sizes: Annotated[list[Count], Field(min_length=1, examples=[[256, 256]])]
    actor_lr: Rate
    critic_lr: Rate
    discount: Annotated[float, Field(ge=0, le=1)]
    polyak: Annotated[float, Field(gt=0, le=1, examples=[0.005])]
    critic_weight_decay: Annotated[float, Field(ge=0)]
    final_layer_bound: Annotated[float, Field(gt=0, examples=[3e-3])] | None
    action_layer: Annotated[int, Field(ge=0)]
    optimizer: str
    optimizer_options: Keywords

    @model_validator(mode="after")
    def _check(self) -> Self:
        optimizers.named(self.optimizer, self.optimizer_options)
        last = len(self.hidden_sizes)
        require(
            self.action_layer <= last,
            f"agent.action_layer={self.action_layer}: the critic of {last} hidden layers has layers 0 to {last}; "
            f"the nearest valid value is {last}.",
        )
        return self


class EvaluationSettings(_Section):
    """`evaluation.*`"""

    interval: Interval
    episodes: Count
    max_episode_steps: Count


class CheckpointSettings(_Section):
    """`checkpoint.*`"""

    interval: Interval
    keep: Count


class Settings(_Section):
    """A whole run; intervals in environment steps."""

    env: EnvironmentSettings
    agent: AgentSettings
    gradient_stop: _option_of(GradientStop)  # type: ignore[valid-type]
    critic_freeze: _option_of(CriticFreeze)  # type: ignore[valid-type]
    exploration: _option_of(Exploration)  # type: ignore[valid-type]
    seed: Annotated[int, Field(ge=0, lt=2**62)]
    seeds: Annotated[int, Field(ge=1, le=2**16)]
    total_steps: Count
    device: str
    compile: bool
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    batch_size: Count
    buffer_size: Count
    learning_starts: Annotated[int, Field(ge=0)]
    gradient_steps_per_step: Annotated[float, Field(ge=0)]
    log_interval: Interval
    audit: bool
    evaluation: EvaluationSettings
    checkpoint: CheckpointSettings

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(
            self.batch_size <= self.buffer_size,
            f"batch_size={self.batch_size}: larger than the buffer it is drawn from (buffer_size={self.buffer_size}); "
            f"the nearest valid value is {self.buffer_size}.",
        )
        return self

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> Self:
        """The settings in plain data.

        Raises:
            InputError: with one sentence for each mistake, a line each.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as errors:
            raise InputError("\n".join(map(_sentence, errors.errors()))) from None

    def of_seed(self, seed: int) -> Self:
        """The settings of this seed's run alone."""
        return self.model_copy(update={"seed": seed, "seeds": 1})

    def digest(self) -> str:
        """SHA-256 of the settings: equal for equal runs, whatever their seed's place or the way they were typed."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | bool | float | None]:
    """Settings in plain data under the keys that the command line knows; an option goes by its group."""
    values: dict[str, str | bool | float | None] = {}
    for name, value in settings.items():
        key = prefix[:-1] if name == "name" and prefix else f"{prefix}{name}"
        if isinstance(value, Mapping):
            values |= flat(value, f"{key}.")
        else:
            values[key] = str(value) if isinstance(value, list) else value
    return values


def valid_keys() -> list[str]:
    """Every setting that exists under some choice, dotted, and the config groups."""
    keys = ["experiment", "resume"]
    for name, field in Settings.model_fields.items():
        section = field.annotation
        keys.append(name)
        if isinstance(section, type) and issubclass(section, BaseModel):
            keys += [f"{name}.{each}" for each in section.model_fields]
    return keys + [f"{kind}.{setting}" for kind, setting in option_settings()]


def option_settings() -> dict[tuple[str, str], list[str]]:
    """For each setting of an option, such as `("gradient_stop", "scale")`, the options that have it."""
    owners: dict[tuple[str, str], list[str]] = {}
    families: list[type[GradientStop] | type[CriticFreeze] | type[Exploration]]
    families = [GradientStop, CriticFreeze, Exploration]
    for family in families:
        for name in family.options:
            for setting in family.make(name).as_data().keys() - {"name"}:
                owners.setdefault((family.kind, setting), []).append(name)
    return owners


def _sentence(error: ErrorDetails) -> str:
    """What is wrong with one value: its key, the value, the rule, and the nearest valid choice."""
    if "error" in error.get("ctx", {}) and isinstance(error["ctx"]["error"], InputError):
        return str(error["ctx"]["error"])
    key = ".".join(str(part) for part in error["loc"])
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return f"{key}={value}: there is no such setting; {choices(valid_keys(), key)}"
        case "missing":
            return f"{key}: the setting is missing; give {key}=…"
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
            mend = f"{_example(error['loc'])} is valid"
    shown = "null" if value is None else value
    return f"{key}={shown}: {error['msg'].replace('Input should', 'must')}; {mend}."


def _example(location: tuple[int | str, ...]) -> object:
    """A valid value of the setting at this place."""
    model: type[BaseModel] = Settings
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            break
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
        elif field.examples:
            return field.examples[0]
        else:
            by_type: dict[object, object] = {int: 1, float: 1.0, bool: "true", str: "a name"}
            return by_type.get(field.annotation, "another value")
    return "another value"
