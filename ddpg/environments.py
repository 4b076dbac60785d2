"""gymnasium in, transitions out."""

import ctypes
import difflib
import importlib
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import finalize

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from ddpg.episodes import LEFT_OUT, CheckedEnvironment, Nonfinite, SeededEpisodes, episode_seed
from ddpg.errors import FaultyEnvironmentError, InputError, Note, blamed, require, traced, whole
from ddpg.spaces import check_spaces


def make_environment(
    environment: str | EnvSpec,
    kwargs: Mapping[str, Any],
    render_mode: str | None = None,
    timeout: float | None = None,
    nonfinite: Nonfinite = "stop",
) -> CheckedEnvironment:
    """One environment, with spaces that DDPG takes, held to gymnasium's interface.

    Args:
        environment: its name, as `find_environment` takes it, or what that returns.
        kwargs: keyword arguments of `gymnasium.make`, those of the environment included.
        render_mode: "human" opens a window; it goes before one in `kwargs`.
        timeout, nonfinite: as in `CheckedEnvironment`.

    Raises:
        InputError: if it is not registered, cannot be made, or has other spaces.
    """
    spec = find_environment(environment) if isinstance(environment, str) else environment
    shown = {} if render_mode is None else {"render_mode": render_mode}
    try:
        made: gymnasium.Env[Any, Any] = gymnasium.make(spec, disable_env_checker=True, **{**kwargs, **shown})
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
    return CheckedEnvironment(made, timeout, nonfinite)


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
    env_id: str,
    kwargs: Mapping[str, Any],
    num_envs: int,
    seed: int,
    asynchronous: bool = False,
    timeout: float | None = None,
    nonfinite: Nonfinite = "stop",
) -> VectorEnv[Any, Any, Any]:
    """`num_envs` environments with seeded episodes, in this process or, asynchronous, in one process each."""
    trainer = os.getpid()

    def maker(index: int) -> Callable[[], gymnasium.Env[Any, Any]]:
        def make() -> gymnasium.Env[Any, Any]:
            if os.getpid() != trainer:
                _depend_on_trainer()
            environment = make_environment(env_id, kwargs, timeout=timeout, nonfinite=nonfinite)
            return SeededEpisodes(environment, seed, index)

        return make

    makers = [maker(index) for index in range(num_envs)]
    # The collector copies.
    if not asynchronous:
        return SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    vector = AsyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    finalize(vector, _kill, vector.processes)  # also when Python ends, which would wait for them
    return vector


def _depend_on_trainer() -> None:
    """In an environment's process: end by the trainer's word, or with it, and by nothing else.

    A trainer that is told to stop, as by Ctrl-C, which goes to all processes of a terminal, is to finish its step.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        parent_death_signal = 1  # PR_SET_PDEATHSIG; even an environment that hangs goes when the trainer is killed
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def _kill(processes: Sequence[Any]) -> None:
    for process in processes:
        process.kill()


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
    left_out: Mapping[int, str] = MappingProxyType({})
    """the environments whose row is not to be learnt from, and why: numbers that are not finite"""


class Collector:
    """Steps a vector environment of any autoreset mode and hands out its transitions.

    No transition joins two episodes, none is lost and none invented:

    - SAME_STEP resets within the step that ends an episode; the true last observation is in `info["final_obs"]`.
    - NEXT_STEP spends the following step on the reset; that step ignores the action and is no transition.
    - DISABLED leaves the reset to the caller.

    Source: https://farama.org/Vector-Autoreset-Mode

    Args:
        vector: a vector environment, of gymnasium's or of others.
        seed: of the run, if it is one of `make_vector`.
        patience: seconds that all environments together may take for a step, if each has its own process.

    Raises:
        InputError: if the vector environment does not say which autoreset mode it has.
        FaultyEnvironmentError: by all methods, if an environment does not do what it must, or its process has died.
    """

    def __init__(
        self, vector: VectorEnv[Any, Any, Any], seed: int | None = None, patience: float | None = None
    ) -> None:
        mode = vector.metadata.get("autoreset_mode")
        require(
            isinstance(mode, AutoresetMode),
            f"vector environment with autoreset_mode {mode!r}: name one of gymnasium.vector.AutoresetMode in its "
            "metadata.",
        )
        self.vector = vector
        self.num_envs = vector.num_envs
        self._mode = mode
        self._seed = seed
        self._patience = patience
        self._silent = False  # a process does not answer any more
        self._episodes = np.zeros(vector.num_envs, dtype=int)
        self.observations: np.ndarray = np.array(self._ask(vector.reset)[0])
        self._resetting = np.zeros(vector.num_envs, dtype=bool)
        self._all = np.arange(vector.num_envs)

    def step(self, actions: np.ndarray) -> Transitions:
        """Act in every environment `(num_envs, …)`; the transitions of those that were not busy with a reset.

        `observations` then holds what to act on next.
        """
        observations = self.observations
        following, rewards, terminations, truncations, info = self._ask(lambda: self._step(actions))
        ended = terminations | truncations
        self.observations = last = np.array(following)  # a vector may write its next ones into the same array
        if ended.any() and self._mode is AutoresetMode.SAME_STEP:
            last = last.copy()
            for index in np.flatnonzero(ended):
                last[index] = info["final_obs"][index]
        elif ended.any() and self._mode is AutoresetMode.DISABLED:
            self.observations = np.array(self._ask(lambda: self.vector.reset(options={"reset_mask": ended}))[0])
        self._episodes += ended
        transitions = Transitions(self._all, observations, actions, rewards, last, terminations, truncations)
        if self._mode is AutoresetMode.NEXT_STEP:
            acted, self._resetting = ~self._resetting, ended
            rows = {name: column[acted] for name, column in transitions._asdict().items() if name != "left_out"}
            transitions = transitions._replace(**rows)
        return transitions._replace(left_out=_left_out(info) | _left_out(info.get("final_info", {})))

    def close(self) -> None:
        """Close the environments; their processes are killed after five seconds, or at once if one has hung."""
        if not isinstance(self.vector, AsyncVectorEnv):
            self.vector.close()
            return
        # Not by its own method, which would wait for a process that hangs or has died.
        for pipe in self.vector.parent_pipes:
            with suppress(OSError, AttributeError):
                pipe.send(("close", None))
        deadline = time.monotonic() + (0 if self._silent else 5)
        for process in self.vector.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        _kill(self.vector.processes)
        for process in self.vector.processes:
            process.join()
        self.vector.closed = True

    def _step(self, actions: np.ndarray) -> Any:
        if not isinstance(self.vector, AsyncVectorEnv):
            return self.vector.step(actions)
        self.vector.step_async(actions)
        return self.vector.step_wait(self._patience)

    def _ask(self, call: Callable[[], Any]) -> Any:
        """What the vector environment answers, or `FaultyEnvironmentError` if a process does not answer."""
        # It would print the traceback from an environment's process; the fault says what is wrong.
        level, gymnasium.logger.min_level = gymnasium.logger.min_level, gymnasium.logger.ERROR + 1
        try:
            return call()
        except (EOFError, ConnectionError, multiprocessing.TimeoutError) as error:
            self._silent = True
            raise FaultyEnvironmentError(self._lost()) from error
        finally:
            gymnasium.logger.min_level = level

    def _lost(self) -> str:
        """Which processes do not answer, and what they were doing."""
        assert isinstance(self.vector, AsyncVectorEnv)
        sentences = []
        for index, (process, pipe) in enumerate(zip(self.vector.processes, self.vector.parent_pipes, strict=True)):
            process.join(0.5)
            if process.exitcode is None and pipe.poll(0):
                continue
            code = process.exitcode
            did = f"did not answer within {self._patience:g} seconds" if code is None else f"died ({_ending(code)})"
            episode = int(self._episodes[index])
            where = "" if self._seed is None else f", that of reset(seed={episode_seed(self._seed, index, episode)})"
            sentences.append(f"the process of environment {index} {did} in its episode {episode}{where}")
        return f"{'; '.join(sentences) or 'the environments do not answer'}."

    def state_dict(self) -> dict[str, Any]:
        """Where each environment stands. Only for the vectors of `make_vector`."""
        assert isinstance(self.vector, SyncVectorEnv | AsyncVectorEnv)
        progress = self._ask(lambda: self.vector.get_attr("progress"))  # type: ignore[attr-defined]
        return {"progress": list(progress), "observations": self.observations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the broken-off episodes up again by repeating their actions; warns if the environment differs."""
        space = self.vector.single_action_space
        require(len(state["progress"]) == self.num_envs, f"the state is not of {self.num_envs} environments.")
        resume: list[dict[str, Any]] = [
            {"episode": whole("episode", each["episode"], least=0), "actions": np.asarray(each["actions"], space.dtype)}
            for each in state["progress"]
        ]
        require(
            all(each["actions"].shape[1:] == space.shape for each in resume),
            f"actions that are not of shape {space.shape}.",
        )
        self._episodes[:] = [each["episode"] for each in resume]
        self.observations = np.array(self._ask(lambda: self.vector.reset(options={"resume": resume}))[0])
        repeated = [each["return"] for each in self._ask(lambda: self.vector.get_attr("progress"))]  # type: ignore[attr-defined]
        same = np.array_equal(self.observations, np.asarray(state["observations"]))
        if not same or repeated != [each["return"] for each in state["progress"]]:
            warnings.warn(
                "The environment does not repeat an episode from its seed and actions: from here on observations and "
                "rewards, and so the run, differ from one that was never broken off. Weights, replay buffer and random "
                "generators are as they were.",
                Note,
                stacklevel=2,
            )


def _left_out(info: Mapping[str, Any]) -> dict[int, str]:
    """Which environments say that their step is to be left out, and why."""
    if LEFT_OUT not in info:
        return {}
    return {int(index): info[LEFT_OUT][index] for index in np.flatnonzero(info[f"_{LEFT_OUT}"])}


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
