"""The settings of a run: name, type, range, default and help text of each."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ddpg.base import imports, optimizers
from ddpg.base.errors import InputError, require
from ddpg.base.options import AgentOptions, Count, Options
from ddpg.critic_freeze import CriticFreeze
from ddpg.exploration import Exploration
from ddpg.gradient_stop import GradientStop

FAMILIES: tuple[type[GradientStop] | type[CriticFreeze] | type[Exploration], ...]
FAMILIES = (GradientStop, CriticFreeze, Exploration)


def _finite(keywords: dict[str, Any]) -> dict[str, Any]:
    for name, value in keywords.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise InputError(f"{name}={value}: must be finite; give another number.") from None
    return keywords


# null where there are none: Hydra lets the command line replace a null, but not add to an empty mapping.
Keywords = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: {} if value is None else value),
    AfterValidator(_finite),
    Field(examples=[{}]),
]
# of an object in a module; in Python the object itself may be given.
Name = Annotated[str, BeforeValidator(imports.dotted), Field(examples=["my_module.MyClass"])]


def _option_of(family: type[GradientStop] | type[CriticFreeze] | type[Exploration]) -> Any:
    """Return the type of a choice that the family accepts; it becomes a mapping of its name and settings."""
    return Annotated[dict[str, Any], BeforeValidator(lambda choice: family.make(choice).as_data())]


class EnvironmentSettings(Options):
    """`env.*`"""

    id: str = Field("Pendulum-v1", description="a registered environment, or one of your own: module:Name")
    wrappers: list[Name] = Field(
        [], examples=[["my_module.MyClass"]], description="dotted names of wrappers, the innermost first"
    )
    num_envs: Count = Field(1, description="environments in parallel")
    asynchronous: bool = Field(False, description="each environment in a process of its own")
    timeout: Annotated[float, Field(gt=0, examples=[60])] | None = Field(
        60, description="seconds that an environment in a process of its own may take for a step; null: no limit"
    )
    kwargs: Keywords = Field(default_factory=dict, description="keyword arguments of gymnasium.make")


class AgentSettings(AgentOptions):
    """`agent.*`: the options of `DDPG`, with the optimizer by its name."""

    optimizer: str = Field("Adam", description="name of an optimizer in torch.optim")
    optimizer_options: Keywords = Field(default_factory=dict, description="its options: {momentum: 0.9}, for instance")
    actor: Name | None = Field(
        None,
        examples=["my_module.MyActor"],
        description="actor of your own, my_module.MyActor; made for the two spaces",
    )
    critic: Name | None = Field(None, examples=["my_module.MyCritic"], description="critic of your own, likewise")

    @model_validator(mode="after")
    def _check_optimizer(self) -> Self:
        optimizers.named(self.optimizer, self.optimizer_options)
        return self


class EvaluationSettings(Options):
    """`evaluation.*`"""

    interval: Count | None = Field(1000, description="environment steps between two evaluations; null: none")
    episodes: Count = Field(10, description="episodes of each evaluation")
    final_episodes: Count = Field(100, description="episodes of the final evaluation")
    shared: bool = Field(False, description="evaluate in the environment of the training, if there can be only one")
    max_episode_steps: Count = Field(10000, description="where an episode is cut off that does not end by itself")


class CheckpointSettings(Options):
    """`checkpoint.*`"""

    interval: Count = Field(2500, description="environment steps between two checkpoints")
    keep: Count = Field(2, description="number of checkpoints that are kept")


class VideoSettings(Options):
    """`video.*`"""

    interval: Annotated[int, Field(ge=1, examples=[5000])] | None = Field(
        None, description="environment steps between two videos of an episode in TensorBoard; null: none"
    )


def _section(model: type[Options]) -> Any:
    # Made when it is needed: to check an optimizer is to load half of PyTorch's compiler.
    return Field(default_factory=model)


class Settings(Options):
    """A whole run."""

    seed: int = Field(0, ge=0, lt=2**62, description="seed of weights, noise, sampling and every reset")
    warm_start: str | None = Field(None, description="a run or checkpoint whose networks' weights to begin with")
    total_steps: Count = Field(10000, description="environment steps of the run")
    device: str = Field("cpu", description="cpu, cuda, cuda:1, …")
    compile: bool = Field(False, description="the update as one compiled graph; half a minute at first, then cached")
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="threads of PyTorch; null: as many as the sizes of networks and batch repay"
    )
    batch_size: Count = Field(128, description="transitions of one update")
    buffer_size: Count = Field(1000000, description="transitions that the replay buffer keeps")
    learning_starts: int = Field(1000, ge=0, description="steps with random actions before the first update")
    gradient_steps_per_step: float = Field(1, ge=0, description="updates for each environment step")
    n_step: Count = Field(1, description="steps of a transition: n-step returns")
    normalize_rewards: bool = Field(
        False, description="rewards divided by the running standard deviation of their discounted sum"
    )
    log_interval: Count = Field(200, description="environment steps between two points of the learning curves")
    audit: bool = Field(False, description="audit the first and the last update: report and pictures")
    env: EnvironmentSettings = _section(EnvironmentSettings)
    agent: AgentSettings = _section(AgentSettings)
    gradient_stop: _option_of(GradientStop) = "no_grad"  # type: ignore[valid-type]
    critic_freeze: _option_of(CriticFreeze) = "requires_grad"  # type: ignore[valid-type]
    exploration: _option_of(Exploration) = "gaussian"  # type: ignore[valid-type]
    evaluation: EvaluationSettings = _section(EvaluationSettings)
    checkpoint: CheckpointSettings = _section(CheckpointSettings)
    video: VideoSettings = _section(VideoSettings)

    @model_validator(mode="after")
    def _check_batch_size(self) -> Self:
        require(
            self.batch_size <= self.buffer_size,
            f"batch_size={self.batch_size}: larger than the buffer it is drawn from (buffer_size={self.buffer_size}); "
            f"the nearest valid value is {self.buffer_size}.",
        )
        return self

    @model_validator(mode="after")
    def _check_shared(self) -> Self:
        alone = self.env.num_envs == 1 and not self.env.asynchronous
        require(
            (alone and not self.video.interval) or not self.evaluation.shared,
            "evaluation.shared=true: one environment for all is one of the trainer's process; leave out "
            "env.num_envs, env.asynchronous and video.interval, or evaluation.shared.",
        )
        return self

    @classmethod
    def valid_keys(cls) -> list[str]:
        """Return every key that can be typed under some choice, the config groups included."""
        of_options = [f"{kind}.{setting}" for kind, setting in option_settings()]
        return ["experiment", "resume", *super().valid_keys(), *of_options]

    def digest(self) -> str:
        """Return the SHA-256 of the settings: equal for equal runs, however they were typed."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def defaults(model: type[Options] = Settings) -> dict[str, Any]:
    """Return the default of every setting, but for the choices of `FAMILIES`, which config groups choose."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Options):
            values[name] = defaults(field.annotation)
        elif name not in [family.kind for family in FAMILIES]:
            values[name] = None if field.default_factory else field.default
    return values


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | bool | float | None]:
    """Return settings in plain data under the keys that the command line knows; a choice goes by its group."""
    values: dict[str, str | bool | float | None] = {}
    for name, value in settings.items():
        key = prefix[:-1] if name == "name" and prefix else f"{prefix}{name}"
        if isinstance(value, Mapping):
            values |= flat(value, f"{key}.")
        else:
            values[key] = str(value) if isinstance(value, list) else value
    return values


def option_settings() -> dict[tuple[str, str], list[str]]:
    """Return for each setting of an option, such as `("gradient_stop", "scale")`, the options that have it."""
    owners: dict[tuple[str, str], list[str]] = {}
    for family in FAMILIES:
        for name, option in family.options.items():
            for setting in option.settings():
                owners.setdefault((family.kind, setting), []).append(name)
    return owners
