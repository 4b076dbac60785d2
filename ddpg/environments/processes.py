"""Run environments in processes of their own, which may raise, hang or die at any time."""

import ctypes
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from weakref import finalize

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import _async_worker

from ddpg.base.errors import FaultyEnvironmentError, traced
from ddpg.environments.episodes import episode_seed

# A terminal that is closed sends SIGHUP, which Windows lacks.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""signals that ask a program to end"""


class Processes(AsyncVectorEnv):
    """gymnasium's vector environment of processes, none of which outlives a failure, or the trainer.

    Args:
        makers: of `SeededEpisodes`, one for each process.
        seed: of the run.
        timeout: seconds that all may take for a step, an automatic reset included, or a reset; None waits for ever.

    Raises:
        FaultyEnvironmentError: by all methods, if an environment breaks gymnasium's interface, or its process dies or
            does not answer in time.
    """

    def __init__(
        self, makers: Sequence[Callable[[], gymnasium.Env[Any, Any]]], seed: int, timeout: float | None = None
    ) -> None:
        self._seed = seed
        self._timeout = timeout
        self._silent = False  # a process does not answer any more
        self._episodes = np.zeros(0, dtype=int)  # none before all are made
        try:
            with self._faults():
                super().__init__(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP, worker=_work)
        except BaseException:  # Ctrl-C among them: a constructor may take its time
            _kill(getattr(self, "processes", []))
            raise
        finalize(self, _kill, self.processes)  # also when Python ends, which would wait for them
        self._episodes = np.zeros(self.num_envs, dtype=int)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        timeout = self._timeout
        if resume := (options or {}).get("resume"):
            self._episodes[:] = [each["episode"] for each in resume]
            if timeout is not None:  # for each of the steps that are repeated
                timeout *= 1 + max(len(each["actions"]) for each in resume)
        with self._faults():
            self.reset_async(seed=seed, options=options)
            return self.reset_wait(timeout)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        with self._faults():
            self.step_async(actions)
            answer = self.step_wait(self._timeout)
        self._episodes += answer[2] | answer[3]
        return answer

    def get_attr(self, name: str) -> Any:
        with self._faults():
            return super().get_attr(name)

    def close_extras(self, timeout: float | None = 5, terminate: bool = False) -> None:
        """Ask the processes to end; kill those that have not after `timeout` seconds, or at once if one has hung."""
        # Not gymnasium's, which would wait for a process that hangs or has died.
        for pipe in self.parent_pipes:
            with suppress(OSError, AttributeError):
                pipe.send(("close", None))
        deadline = time.monotonic() + (0 if self._silent or terminate else timeout or 0)
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        _kill(self.processes)
        for process in self.processes:
            process.join()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise whatever goes wrong with a process as `FaultyEnvironmentError`."""
        # gymnasium would print the traceback from the process; the fault says what is wrong.
        level, gymnasium.logger.min_level = gymnasium.logger.min_level, gymnasium.logger.ERROR + 1
        try:
            yield
        except FaultyEnvironmentError as error:  # gymnasium wraps the one from the process into another
            original = error.args[0]
            raise original if isinstance(original, FaultyEnvironmentError) else error from None
        except (EOFError, ConnectionError, multiprocessing.TimeoutError) as error:
            self._silent = True
            raise FaultyEnvironmentError(self._lost()) from error
        finally:
            gymnasium.logger.min_level = level

    def _lost(self) -> str:
        """Say which processes do not answer, and what they were doing."""
        sentences, mend = [], ""
        for index, (process, pipe) in enumerate(zip(self.processes, self.parent_pipes, strict=True)):
            process.join(0.5)
            if process.exitcode is None and pipe.poll(0):
                continue
            if process.exitcode is None:
                did, mend = f"did not answer within {self._timeout:g} seconds", " env.timeout=… allows more."
            else:
                did = f"died ({_ending(process.exitcode)})"
            when = "as its environment was made"
            if len(self._episodes):
                episode = int(self._episodes[index])
                when = f"in its episode {episode}, that of reset(seed={episode_seed(self._seed, index, episode)})"
            sentences.append(f"the process of environment {index} {did} {when}")
        return f"{'; '.join(sentences) or 'the environments do not answer'}.{mend}"


def _work(
    index: int,
    make: Callable[[], gymnasium.Env[Any, Any]],
    pipe: Any,
    parent_pipe: Any,
    memory: Any,
    errors: Any,
    *others: Any,
) -> None:
    """Run gymnasium's worker, but answer a failing constructor as it answers a failing step."""
    _depend_on_trainer()
    try:
        environment = make()
    except Exception as error:
        pipe.recv()  # what the trainer asks first, and would else find nobody to ask
        errors.put((index, type(error), error, traced(error)))
        pipe.send((None, False))
        return
    _async_worker(index, lambda: environment, pipe, parent_pipe, memory, errors, *others)


def _depend_on_trainer() -> None:
    """End when the trainer says so or dies, and by no signal to end.

    A trainer that is told to stop finishes its step first, and Ctrl-C goes to all processes of a terminal.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        parent_death_signal = 1  # PR_SET_PDEATHSIG; even an environment that hangs goes when the trainer is killed
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def _kill(processes: Sequence[Any]) -> None:
    for process in processes:
        process.kill()


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
