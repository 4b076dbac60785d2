"""gymnasium in, transitions out."""

import difflib
import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from ddpg.base.errors import FaultyEnvironmentError, InputError, Note, blamed, require, traced, whole
from ddpg.base.spaces import check_spaces
from ddpg.environments.episodes import CheckedEnvironment, SeededEpisodes
from ddpg.environments.processes import Processes
from ddpg.environments.repetition import Statistics, contained, merged


def make_environment(
    environment: str | EnvSpec,
    kwargs: Mapping[str, Any],
    render_mode: str | None = None,
) -> CheckedEnvironment:
    """One environment, with spaces that DDPG takes, held to gymnasium's interface.

    Args:
        environment: its name, as `find_environment` takes it, or what that returns.
        kwargs: keyword arguments of `gymnasium.make`, those of the environment included.
        render_mode: "human" opens a window; it goes before one in `kwargs`.

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
        with contained(), warnings.catch_warnings(action="ignore", category=MujocoNote):
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
        raise _of_theirs(f"env.id={spec.id}: cannot be made{arguments}: {blamed(error)}.", error) from error
    try:
        check_spaces(made.observation_space, made.action_space)
    except InputError as error:
        made.close()
        raise InputError(f"env.id={spec.id}: {error}") from None
    return CheckedEnvironment(made)


class MujocoNote(Note):
    """What MuJoCo warns of, said once."""


def _hear_mujoco() -> None:
    """Take over MuJoCo's warnings, which go to the terminal and to a log file in the current directory."""
    if mujoco := sys.modules.get("mujoco"):
        mujoco.set_mju_user_warning(lambda text: _pass_on(text.partition(".")[0]))


@functools.cache
def _pass_on(warning: str) -> None:
    with suppress(MujocoNote):  # MuJoCo could not pass on what is raised
        warnings.warn(f"MuJoCo: {warning}.", MujocoNote, stacklevel=2)


def find_environment(env_id: str) -> EnvSpec:
    """What gymnasium has registered under this name; of `module:Name-v0` the module is imported first. Makes none.

    Raises:
        InputError: with the nearest name if there is none, or with the line at which the module does not load.
    """
    module, _, name = env_id.rpartition(":")
    require(
        not module or all(part.isidentifier() for part in module.split(".")),
        f"env.id={env_id}: {module} is no module's name; module:Name-v0 is valid.",
    )
    try:
        if module:
            with contained():
                importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a stranger's module may raise
        mend = "; mind PYTHONPATH" if isinstance(error, ModuleNotFoundError) and error.name == module else ""
        raise _of_theirs(
            f"env.id={env_id}: the module {module} cannot be imported: {blamed(error)}{mend}.", error
        ) from error
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        near = difflib.get_close_matches(name, gymnasium.registry, n=1, cutoff=0.4)
        meant = f"did you mean {near[0]}? " if near else ""
        yours = f"does {module} register it?" if module else f"If it is yours: env.id=module:{name}."
        raise InputError(f"env.id={env_id}: no such environment is registered; {meant}{yours}") from error


def _of_theirs(sentence: str, error: BaseException) -> InputError:
    """The mistake that code of the user's own has raised this."""
    mistake = InputError(sentence)
    mistake.details = traced(error)
    return mistake


def make_vector(
    environment: str | EnvSpec,
    kwargs: Mapping[str, Any],
    num_envs: int,
    seed: int,
    asynchronous: bool = False,
    timeout: float | None = None,
) -> VectorEnv[Any, Any, Any]:
    """`num_envs` environments with seeded episodes, in this process or, asynchronous, in one process each.

    Args:
        environment, kwargs: as in `make_environment`.
        num_envs: how many.
        seed: of the run.
        asynchronous: in one process each.
        timeout: seconds that environments in processes of their own may take for a step; None is for ever.

    Raises:
        InputError: if there is no such environment.
        FaultyEnvironmentError: if one of them cannot be made.
    """
    # Found here: a process of its own may not know what this one has registered.
    spec = find_environment(environment) if isinstance(environment, str) else environment

    def maker(index: int) -> Callable[[], gymnasium.Env[Any, Any]]:
        def make() -> gymnasium.Env[Any, Any]:
            try:
                made = make_environment(spec, kwargs)
            except InputError as error:
                fault = FaultyEnvironmentError(
                    f"{error} A run needs {num_envs + 1} at a time: {num_envs} to train in, one to evaluate in."
                )
                fault.details = error.details
                raise fault from error
            return SeededEpisodes(made, seed, index)

        return make

    makers = [maker(index) for index in range(num_envs)]
    if asynchronous:
        return Processes(makers, seed, timeout)
    return SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)  # the collector copies


class Transitions(NamedTuple):
    """What the environments that acted have seen in one step, one row each; arrays in the environment's units."""

    environments: np.ndarray
    """`(n,)`: which environments these are"""
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    """the true last observation where the episode ended"""
    terminations: np.ndarray
    truncations: np.ndarray


class Collector:
    """Steps a vector environment of any autoreset mode and hands out its transitions.

    No transition joins two episodes, none is lost and none invented:

    - SAME_STEP resets within the step that ends an episode; the true last observation is in `info["final_obs"]`.
    - NEXT_STEP spends the following step on the reset; that step ignores the action and is no transition.
    - DISABLED leaves the reset to the caller.

    Source: https://farama.org/Vector-Autoreset-Mode

    Args:
        vector: a vector environment, of gymnasium's or of others.
        seed: of its first reset; the environments of `make_vector` seed themselves.

    Raises:
        InputError: if the vector environment does not say which autoreset mode it has.
        FaultyEnvironmentError: by all methods, if an environment does not do what it must, or its process has died.
    """

    def __init__(self, vector: VectorEnv[Any, Any, Any], seed: int | None = None) -> None:
        mode = vector.metadata.get("autoreset_mode")
        require(
            isinstance(mode, AutoresetMode),
            f"vector environment with autoreset_mode {mode!r}: name one of gymnasium.vector.AutoresetMode in its "
            "metadata.",
        )
        self.vector = vector
        self.num_envs = vector.num_envs
        self._mode = mode
        self.observations: np.ndarray = np.array(vector.reset(seed=seed)[0])
        self._resetting = np.zeros(vector.num_envs, dtype=bool)
        self._all = np.arange(vector.num_envs)

    def step(self, actions: np.ndarray) -> Transitions:
        """Act in every environment `(num_envs, …)`; the transitions of those that were not busy with a reset.

        `observations` then holds what to act on next.
        """
        observations = self.observations
        following, rewards, terminations, truncations, info = self.vector.step(actions)
        ended = terminations | truncations
        self.observations = last = np.array(following)  # a vector may write its next ones into the same array
        if ended.any() and self._mode is AutoresetMode.SAME_STEP:
            last = last.copy()
            for index in np.flatnonzero(ended):
                last[index] = info["final_obs"][index]
        elif ended.any() and self._mode is AutoresetMode.DISABLED:
            self.observations = np.array(self.vector.reset(options={"reset_mask": ended})[0])
        transitions = Transitions(self._all, observations, actions, rewards, last, terminations, truncations)
        if self._mode is AutoresetMode.NEXT_STEP:
            acted, self._resetting = ~self._resetting, ended
            transitions = Transitions(*(column[acted] for column in transitions))
        return transitions

    def close(self) -> None:
        """Close the environments."""
        self.vector.close()

    @property
    def statistics(self) -> Statistics:
        """The running statistics of the environments' wrappers, as if one had seen all. Only for `make_vector`'s."""
        return merged(self._of_each("statistics"))

    def _of_each(self, attribute: str) -> Sequence[Any]:
        assert isinstance(self.vector, SyncVectorEnv | AsyncVectorEnv)
        return self.vector.get_attr(attribute)

    def state_dict(self) -> dict[str, Any]:
        """Where each environment stands. Only for the vectors of `make_vector`."""
        return {"progress": list(self._of_each("progress")), "observations": self.observations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the broken-off episodes up again by repeating their actions; warns if the environment differs."""
        space = self.vector.single_action_space
        require(len(state["progress"]) == self.num_envs, f"the state is not of {self.num_envs} environments.")
        resume: list[dict[str, Any]] = [
            {
                "episode": whole("episode", each["episode"], least=0),
                "actions": np.asarray(each["actions"], space.dtype),
                "statistics": each["statistics"],
            }
            for each in state["progress"]
        ]
        require(
            all(each["actions"].shape[1:] == space.shape for each in resume),
            f"actions that are not of shape {space.shape}.",
        )
        self.observations = np.array(self.vector.reset(options={"resume": resume})[0])
        repeated = [each["return"] for each in self._of_each("progress")]
        same = np.array_equal(self.observations, np.asarray(state["observations"]))
        if not same or repeated != [each["return"] for each in state["progress"]]:
            warnings.warn(
                "The environment does not repeat an episode from its seed and actions: from here on observations and "
                "rewards, and so the run, differ from one that was never broken off. Weights, replay buffer and random "
                "generators are as they were.",
                Note,
                stacklevel=2,
            )
