"""Find, make and check the environments that a user names."""

import difflib
import functools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FlattenObservation

from ddpg.base import imports
from ddpg.base.errors import FaultyEnvironmentError, InputError, Note, blamed, require, theirs
from ddpg.base.spaces import check_spaces
from ddpg.environments.episodes import CheckedEnvironment, SeededEpisodes
from ddpg.environments.processes import Processes
from ddpg.environments.repetition import contained


def find_environment(env_id: str) -> EnvSpec:
    """Return what gymnasium makes the environment of this name from.

    Args:
        env_id: a registered name; `module:Name-v0`, whose module is imported first; or `module:Name`, a class or
            function in it that makes an environment.

    Raises:
        InputError: if the module cannot be imported, or there is no such environment.
    """
    module, _, name = env_id.rpartition(":")
    require(
        not module or all(part.isidentifier() for part in module.split(".")),
        f"env.id={env_id}: {module} is no module's name; module:Name-v0 is valid.",
    )
    if module:
        with contained():
            imports.module("env.id", env_id, module)
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        make = getattr(sys.modules.get(module), name, None)
        if callable(make):
            return EnvSpec(name, entry_point=make)
        near = difflib.get_close_matches(name, gymnasium.registry, n=1, cutoff=0.4)
        spelled = name.replace(".", ":") if "." in name else f"module:{name}"
        meant = f"did you mean {near[0]}? " if near else ""
        yours = f"{module} neither registers nor defines it." if module else f"If it is yours: env.id={spelled}."
        raise InputError(f"env.id={env_id}: no such environment is registered; {meant}{yours}") from error


def make_environment(
    environment: str | EnvSpec,
    kwargs: Mapping[str, Any],
    render_mode: str | None = None,
    wrappers: Sequence[str] = (),
) -> CheckedEnvironment:
    """Make one environment with spaces that DDPG takes, held to gymnasium's interface.

    Observations that are no Box, dicts for instance, are flattened to one where they can be.

    Args:
        environment: a name, as `find_environment` takes it, or what that returns.
        kwargs: keyword arguments of `gymnasium.make`, those of the environment included.
        render_mode: "human" opens a window; overrides one in `kwargs`.
        wrappers: dotted names of what is put around it, the innermost first; imported, and called with it alone.

    Raises:
        InputError: if it is not registered, cannot be made, or has other spaces.
    """
    spec = find_environment(environment) if isinstance(environment, str) else environment
    shown = {} if render_mode is None else {"render_mode": render_mode}
    require(
        not isinstance(spec.entry_point, str) or spec.entry_point.count(":") == 1,
        f"env.id={spec.id}: registered with entry_point={spec.entry_point!r}; it has to be module:Class.",
    )
    try:
        with contained(), warnings.catch_warnings(action="ignore", category=Note):
            if isinstance(spec.entry_point, str):
                load_env_creator(spec.entry_point)
            _hear_mujoco()
            made: gymnasium.Env[Any, Any] = gymnasium.make(spec, **{"disable_env_checker": True, **kwargs, **shown})
    except gymnasium.error.DependencyNotInstalled as error:
        raise InputError(
            f"env.id={spec.id}: a package that it needs is missing ({error}); pip install -e '.[mujoco,box2d]' "
            "brings those of MuJoCo and Box2D."
        ) from error
    except (Exception, SystemExit) as error:  # whatever a stranger's constructor may raise
        arguments = f" with env.kwargs={dict(kwargs)}" if kwargs else ""
        raise theirs(f"env.id={spec.id}: cannot be made{arguments}: {blamed(error)}.", error) from error
    try:
        for name in wrappers:
            made = _wrapped(made, name)
        if not isinstance(made.observation_space, Box) and getattr(made.observation_space, "is_np_flattenable", False):
            made = FlattenObservation(made)
        check_spaces(made.observation_space, made.action_space)
    except InputError as error:
        made.close()
        error.args = (f"env.id={spec.id}: {error}",)
        raise
    return CheckedEnvironment(made)


def with_others(
    environment: CheckedEnvironment, make: Callable[[], CheckedEnvironment], count: int
) -> list[CheckedEnvironment]:
    """Return an environment and others, `count` in all, to be stepped in turn.

    It alone, unless all of it is gymnasium's: others may share a simulator, a licence, a variable, or much memory.

    Args:
        environment: the first.
        make: makes one like it.
        count: how many, the first included.
    """
    several = [environment]
    with ExitStack() as opened:
        for _ in range(1, count if _all_gymnasium(environment) else 1):
            several.append(make())
            opened.callback(several[-1].close)
        opened.pop_all()
    return several


def _all_gymnasium(environment: CheckedEnvironment) -> bool:
    """Return whether the classes of environment and wrappers, and functions that these call, are gymnasium's."""
    layers = [environment.env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    code = [part for layer in layers for part in (type(layer), *filter(callable, vars(layer).values()))]
    return all(str(getattr(part, "__module__", None)).startswith("gymnasium.") for part in code)


def _wrapped(environment: gymnasium.Env[Any, Any], name: str) -> gymnasium.Env[Any, Any]:
    wrapper = imports.named("env.wrappers", name)
    try:
        with contained():
            wrapped = wrapper(environment)
    except (Exception, SystemExit) as error:  # whatever a stranger's wrapper may raise
        raise theirs(f"env.wrappers={name}: called with the environment: {blamed(error)}.", error) from error
    require(isinstance(wrapped, gymnasium.Env), f"env.wrappers={name}: returned {wrapped!r}, no gymnasium.Env.")
    assert isinstance(wrapped, gymnasium.Env)
    return wrapped


def make_vector(
    environment: str | EnvSpec,
    kwargs: Mapping[str, Any],
    num_envs: int,
    seed: int,
    asynchronous: bool = False,
    timeout: float | None = None,
    wrappers: Sequence[str] = (),
) -> VectorEnv[Any, Any, Any]:
    """Make several environments with seeded episodes.

    Args:
        environment, kwargs, wrappers: as in `make_environment`.
        num_envs: how many.
        seed: of the run.
        asynchronous: each in a process of its own.
        timeout: seconds that environments in processes of their own may take for a step; None waits for ever.

    Raises:
        InputError: if there is no such environment.
        FaultyEnvironmentError: if one of them cannot be made.
    """
    # Found here: a process of its own may not know what this one has registered.
    spec = find_environment(environment) if isinstance(environment, str) else environment
    makers = [
        functools.partial(_make_seeded, spec, kwargs, wrappers, num_envs, seed, index) for index in range(num_envs)
    ]
    if asynchronous:
        return Processes(makers, seed, timeout)
    return SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)  # the collector copies


def _make_seeded(
    spec: EnvSpec, kwargs: Mapping[str, Any], wrappers: Sequence[str], num_envs: int, seed: int, index: int
) -> SeededEpisodes:
    try:
        return SeededEpisodes(make_environment(spec, kwargs, wrappers=wrappers), seed, index)
    except InputError as error:
        fault = FaultyEnvironmentError(
            f"{error} A run needs {num_envs + 1} at a time: {num_envs} to train in, one to evaluate in. If only one "
            "can exist, evaluation.shared=true evaluates in that of the training."
        )
        fault.details = error.details
        raise fault from error


def _hear_mujoco() -> None:
    """Turn MuJoCo's warnings, which go to the terminal and to a log file in the current directory, into notes."""
    if mujoco := sys.modules.get("mujoco"):
        mujoco.set_mju_user_warning(lambda text: _note(text.partition(".")[0]))


@functools.cache  # each once
def _note(warning: str) -> None:
    with suppress(Note):  # where warnings are errors: MuJoCo could not pass it on
        warnings.warn(f"MuJoCo: {warning}.", Note, stacklevel=2)
