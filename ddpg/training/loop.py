"""The training loop: act, store, update; at intervals measure, evaluate and save.

A `Run` is what is trained; the `Training` is the loop that says what is due when.
"""

import math
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from torch import Tensor
from tqdm import tqdm

from ddpg.base.errors import FaultyEnvironmentError, Note
from ddpg.base.memory import check_memory
from ddpg.base.progress import fleeting
from ddpg.compiled.compilation import CompilationError
from ddpg.compiled.recording import RecordingError
from ddpg.environments import CheckedEnvironment, find_environment, make_environment, repeats, with_others
from ddpg.replay_buffer import Batch
from ddpg.saving.checkpoint import surroundings
from ddpg.training.evaluation import ROWS, Evaluation
from ddpg.training.run import RESULT_NAME, Run, make_agent, take_weights
from ddpg.training.settings import Settings
from ddpg.training.showing import show
from ddpg.training.stopping import Stopped, StopRequest, stop_requests
from ddpg.watching.video import renderable

_AVAILABLE_THREADS = torch.get_num_threads()  # as many as cores, or as OMP_NUM_THREADS says


def suitable_threads(hidden_sizes: Sequence[int], batch_size: int) -> int:
    """Return how many threads of PyTorch an update of these sizes repays; the same for equal sizes on equal machines.

    A second thread has to be woken for every operation, which small ones do not repay: on two cores, Pendulum's update
    took 1.03 times as long with two threads at 64/64/128 (networks and batch), 1.04 at 256/256/64, 0.86 at 256/256/128.
    """
    products = batch_size * max(map(math.prod, pairwise([*hidden_sizes, 1])))  # of one layer
    return _AVAILABLE_THREADS if products > 2**22 else 1


def check_run(settings: Settings, at_once: int = 1) -> None:
    """Check that environment and agent can be made, and that the replay buffer fits into the memory.

    Args:
        settings: settings of a training.
        at_once: number of such trainings at once on this machine; of each counts what it can fill.

    Raises:
        InputError: if it cannot be made, or they do not.
    """
    env = settings.env
    environment = make_environment(env.id, env.kwargs, wrappers=env.wrappers)
    environment.close()
    if settings.video.interval:
        renderable(env.id, env.kwargs, env.wrappers).close()
    observation_space, action_space = environment.observation_space, environment.action_space
    assert isinstance(observation_space, Box) and isinstance(action_space, Box)
    agent = make_agent(settings, observation_space, action_space)
    if settings.warm_start:
        take_weights(agent, settings.warm_start)
    if torch.device(settings.device).type == "cpu":
        check_memory(settings.buffer_size, observation_space, action_space)
        filled = min(settings.buffer_size, settings.total_steps)
        check_memory(filled, observation_space, action_space, count=at_once)


class Training:
    """The loop that takes a run from the first step to the result.

    Args:
        settings, folder, environment, callbacks: of the `Run`.

    Raises:
        InputError: if the environment, the device or the memory do not allow the settings.
        FaultyEnvironmentError: if an environment cannot be reset.
    """

    def __init__(
        self, settings: Settings, folder: Path, environment: EnvSpec | None = None, callbacks: Sequence[Any] = ()
    ) -> None:
        self.settings = settings
        torch.set_num_threads(settings.threads or suitable_threads(settings.agent.hidden_sizes, settings.batch_size))
        env = settings.env
        spec = environment or find_environment(env.id)
        self._make = partial(make_environment, spec, env.kwargs, wrappers=env.wrappers)
        self.evaluation_environment: CheckedEnvironment | None = None
        self._sweep: Sequence[CheckedEnvironment] = []  # it and others, from the first evaluation on
        self._shown: CheckedEnvironment | None = None
        with ExitStack() as opened:
            opened.callback(self._close)
            if not settings.evaluation.shared:
                self.evaluation_environment = self._shown = self._make()
                self._try_to_repeat(self.evaluation_environment)
            if settings.video.interval:
                self._shown = renderable(spec, env.kwargs, env.wrappers)
            self.run = Run(settings, folder, spec, callbacks)
            opened.pop_all()
        self._seconds = 0.0
        self._started = time.perf_counter()
        self._request = StopRequest()

    def load(self, content: dict[str, Any]) -> None:
        """Go on from the content of a checkpoint.

        Raises:
            InputError: if it is not one of this run.
        """
        before = content.get("made_with")
        before = before if isinstance(before, dict) else {}
        if self.settings.threads is None and (threads := str(before.get("threads"))).isdecimal():
            torch.set_num_threads(max(1, min(int(threads), _AVAILABLE_THREADS)))
        here = surroundings()
        if differing := [
            f"{name} {before.get(name)} (now {here[name]})" for name in here if before.get(name) != here[name]
        ]:
            warnings.warn(
                f"The checkpoint was made with {', '.join(differing)}: the run goes on, but not bit for bit as it "
                "would have.",
                Note,
                stacklevel=2,
            )
        self._seconds = self.run.load(content)
        if (self.run.folder / RESULT_NAME).exists():
            self.run.ends = False  # what a callback has ended, somebody wants to go on with

    def train(self) -> Evaluation:
        """Train up to `total_steps`, write checkpoints and result, and return the final evaluation.

        Raises:
            Stopped: after a checkpoint, if SIGINT or SIGTERM asked for it.
            DivergedError: if numbers are no longer finite.
            FaultyEnvironmentError: if an environment does not do what it must.
        """
        self._started = time.perf_counter() - self._seconds
        with stop_requests() as self._request, self.run.open():
            self.run.tell("on_start")
            try:
                self._evaluate_if_due()  # a stop may have broken it off
                while self.step < self.settings.total_steps and not self.run.ends:
                    self._heed()
                    self.advance()
            except Stopped:
                self._save_unless_saved()
                raise
            self._save_unless_saved()
            self.run.telemetry.steps_done()
            # After the checkpoint: a run that is extended later has no evaluation here.
            interval = self.settings.evaluation.interval
            if interval and self.step % interval:
                self._evaluate()
            if self.step % (self.settings.video.interval or math.inf):
                self._show()
            return self._finish()

    def _heed(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self._request.number is not None:
            raise Stopped(self._request.number)

    def _finish(self) -> Evaluation:
        episodes = fleeting(range(self.settings.evaluation.final_episodes), "final evaluation", " episodes")
        evaluation = self._evaluated(episodes)
        self.run.finish(evaluation, self._seconds)
        return evaluation

    def _try_to_repeat(self, environment: CheckedEnvironment) -> None:
        """Warn at the start if an episode cannot be repeated, as evaluations and resumed runs do."""
        with suppress(FaultyEnvironmentError):  # which is said where it matters
            if not repeats(environment):
                warnings.warn(
                    f"{self.settings.env.id} does not repeat an episode from the same seed and actions: it keeps "
                    "something from one episode to the next, or draws random numbers that reset(seed=…) does not "
                    "begin anew. Neither this command nor its evaluations nor a resumed run will repeat bit for bit.",
                    Note,
                    stacklevel=2,
                )

    def close(self) -> None:
        """Close the environments."""
        self._close()
        self.run.close()

    def _close(self) -> None:
        for environment in {self.evaluation_environment, self._shown, *self._sweep}:
            if environment is not None:
                environment.close()

    @property
    def step(self) -> int:
        """Environment steps so far."""
        return self.run.step

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        return self.run.agent.critic_updates

    def advance(self) -> None:
        """Take one step in every environment, and do all that is due after it."""
        before = self.step
        self.run.interact()
        self._learn()
        if self._due(self.settings.evaluation.interval, before):
            started = time.perf_counter()
            self.run.evaluation_due = True
            self._evaluate_if_due()
            self.run.telemetry.pause(time.perf_counter() - started)
        if self._due(self.settings.video.interval or math.inf, before):
            self._show()
        if self._due(self.settings.checkpoint.interval, before):
            self._save()

    def _save_unless_saved(self) -> None:
        if self.run.saved_step != self.step:
            self._save()

    def _save(self) -> None:
        """Save, or say that it failed: training goes on, since the disk may have room again at the next checkpoint."""
        self._seconds = time.perf_counter() - self._started
        try:
            self.run.save(self._seconds)
        except OSError as error:
            saved = self.run.saved_step
            kept = "there is none yet" if saved is None else f"that of step {saved} stays"
            tqdm.write(
                f"The checkpoint of step {self.step} cannot be written ({error}); {kept}, and the run goes on.",
                file=sys.stderr,
            )

    def _learn(self) -> None:
        """Take the gradient steps that are due."""
        due = self._updates_until(self.step)
        while self.updates < due:
            audit = self.settings.audit and self.updates + 1 in (1, self._updates_until(self._last_step))
            shown = self.updates + 1 == due and self._due(self.settings.log_interval, self.run.measured_step)
            batch = self.run.sample()
            if shown or audit:
                self.run.measure(batch, shown, audit)
            self.run.check(self._update(batch))

    def _update(self, batch: Batch) -> Mapping[str, Tensor]:
        """Update; if that cannot be recorded or compiled, with eager code from now on."""
        try:
            return self.run.update(batch)
        except (RecordingError, CompilationError) as error:
            tqdm.write(f"{error} The run goes on without.", file=sys.stderr)
            self.run.compiled_update = None
            return self.run.update(batch)

    def _updates_until(self, step: int) -> int:
        """Return the number of gradient steps due by an environment step."""
        return int((step - self.settings.learning_starts) * self.settings.gradient_steps_per_step)

    @property
    def _last_step(self) -> int:
        envs = self.settings.env.num_envs
        return -(-self.settings.total_steps // envs) * envs

    def _due(self, interval: float | None, before: int) -> bool:
        """Return whether the environment steps since `before` completed an interval; None never is."""
        return interval is not None and self.step // interval > before // interval

    def _evaluate_if_due(self) -> None:
        if self.run.evaluation_due:
            evaluation = self._evaluate()
            self.run.evaluation_due = False
            self.run.tell("on_evaluation", evaluation)

    def _evaluate(self) -> Evaluation:
        evaluation = self._evaluated(range(self.settings.evaluation.episodes))
        self.run.telemetry.evaluation(self.step, evaluation)
        return evaluation

    def _evaluated(self, episodes: Iterable[int]) -> Evaluation:
        if self.evaluation_environment is not None and not self._sweep:
            self._sweep = with_others(self.evaluation_environment, self._make, ROWS)
        return self.run.evaluate_in(self._sweep, episodes, lambda observation: self._heed())

    def _show(self) -> None:
        if self._shown is not None:
            show(self.run, self._shown, self._heed)
