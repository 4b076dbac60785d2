"""The training loop: act, store, update; at intervals measure, evaluate and save.

A `Run` is one seed; the `Training` is the loop around one run or several.
"""

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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

from ddpg.base.errors import FaultyEnvironmentError, InputError, Note
from ddpg.base.memory import check_memory
from ddpg.base.progress import fleeting
from ddpg.compiled.agent import CompiledPolicy, CompiledUpdate, JointUpdate
from ddpg.compiled.compilation import CompilationError
from ddpg.compiled.recording import RecordingError
from ddpg.environments import CheckedEnvironment, find_environment, make_environment, repeats
from ddpg.replay_buffer import Batch
from ddpg.saving.checkpoint import surroundings
from ddpg.training.evaluation import Evaluation
from ddpg.training.run import RESULT_NAME, DivergedError, Run, make_agent, take_weights
from ddpg.training.settings import Settings
from ddpg.training.showing import show
from ddpg.training.stopping import Stopped, StopRequest, stop_requests
from ddpg.watching.video import renderable

_AVAILABLE_THREADS = torch.get_num_threads()  # as many as cores, or as OMP_NUM_THREADS says


def suitable_threads(hidden_sizes: Sequence[int], batch_size: int, seeds: int = 1) -> int:
    """Return how many threads of PyTorch an update of these sizes repays; the same for equal sizes on equal machines.

    A second thread has to be woken for every operation, which small ones do not repay: on two cores, Pendulum's update
    took 1.03 times as long with two threads at 64/64/128 (networks and batch), 1.04 at 256/256/64, 0.86 at 256/256/128.
    Several seeds share the threads out among them: 0.56 for eight at 64/64/128.
    """
    products = batch_size * max(map(math.prod, pairwise([*hidden_sizes, 1])))  # of one layer
    return _AVAILABLE_THREADS if products > 2**22 or seeds > 1 else 1


def folders(folder: Path, settings: Settings) -> dict[int, Path]:
    """Return the folder of each seed's run: the given one, or one below it for each of several seeds."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    return {seed: folder if settings.seeds == 1 else folder / str(seed) for seed in seeds}


def check_runs(settings: Settings, at_once: int = 1) -> None:
    """Check that environment and agent can be made, and that the replay buffers fit into the memory.

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
        check_memory(settings.buffer_size, observation_space, action_space, count=settings.seeds)
        filled = min(settings.buffer_size, settings.total_steps)
        check_memory(filled, observation_space, action_space, count=settings.seeds * at_once)


class Training:
    """The loop that takes the runs of one seed or several, step by step together, from the first step to the results.

    Args:
        settings: settings of all runs.
        folder: where the runs go, as `folders` says.
        environment, callbacks: of each `Run`.

    Raises:
        InputError: if the environment, the device or the memory do not allow the settings.
        FaultyEnvironmentError: if an environment cannot be reset.
    """

    def __init__(
        self, settings: Settings, folder: Path, environment: EnvSpec | None = None, callbacks: Sequence[Any] = ()
    ) -> None:
        self.settings = settings
        suitable = suitable_threads(settings.agent.hidden_sizes, settings.batch_size, settings.seeds)
        torch.set_num_threads(settings.threads or suitable)
        env = settings.env
        spec = environment or find_environment(env.id)
        self.evaluation_environment = None
        if not settings.evaluation.shared:
            self.evaluation_environment = make_environment(spec, env.kwargs, wrappers=env.wrappers)
            self._try_to_repeat(self.evaluation_environment)
        self._shown = (
            renderable(spec, env.kwargs, env.wrappers) if settings.video.interval else self.evaluation_environment
        )
        self.runs = [
            Run(settings.of_seed(seed), each, spec, callbacks) for seed, each in folders(folder, settings).items()
        ]
        self.failures: dict[int, Exception] = {}
        """why seeds had to be given up, by seed"""
        self._seconds = 0.0
        self._started = time.perf_counter()
        self._request = StopRequest()
        self._compiled = settings.compile
        self._joint = True
        self._choose_code()

    def load(self, contents: Sequence[dict[str, Any]]) -> None:
        """Go on from the content of each run's checkpoint.

        Raises:
            InputError: if one does not belong to its run.
        """
        before = contents[0].get("made_with")
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
        self._seconds = max([run.load(content) for run, content in zip(self.runs, contents, strict=True)])
        if all((run.folder / RESULT_NAME).exists() for run in self.runs):
            for run in self.runs:
                run.ends = False  # what a callback has ended, somebody wants to go on with
        self._choose_code()

    def run(self) -> dict[int, Evaluation]:
        """Train up to `total_steps`, write checkpoints and results, and return the final evaluation of each seed.

        Raises:
            Stopped: after a checkpoint, if SIGINT or SIGTERM asked for it.
            DivergedError: if numbers are no longer finite, and of several seeds none is left.
            FaultyEnvironmentError: if an environment does not do what it must, likewise.
        """
        self._started = time.perf_counter() - self._seconds
        with stop_requests() as self._request, ExitStack() as stack:
            for run in self.runs:
                stack.enter_context(run.open(shown=run is self.runs[0]))
                run.tell("on_start")
            try:
                self._each(self._evaluate_if_due)  # a stop may have broken it off
                while self.step < self.settings.total_steps and not all(run.ends for run in self.runs):
                    self._heed()
                    self.advance()
            except Stopped:
                self._save_unless_saved()
                raise
            self._save_unless_saved()
            for run in self.runs:
                run.telemetry.steps_done()
            # After the checkpoint: a run that is extended later has no evaluation here.
            interval = self.settings.evaluation.interval
            if interval and self.step % interval:
                self._each(self._evaluate)
            results = {run.settings.seed: self._finish(run) for run in self.runs}
            if self.step % (self.settings.video.interval or math.inf):
                self._each(self._show)
            return results

    def _heed(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self._request.number is not None:
            raise Stopped(self._request.number)

    def _finish(self, run: Run) -> Evaluation:
        seed = f" of seed {run.settings.seed}" if self.settings.seeds > 1 else ""
        episodes = fleeting(range(self.settings.evaluation.final_episodes), f"final evaluation{seed}", " episodes")
        evaluation = self._evaluated(run, episodes)
        run.finish(evaluation, self._seconds)
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
        for environment in {self.evaluation_environment, self._shown}:
            if environment is not None:
                environment.close()
        for run in self.runs:
            run.close()

    @property
    def step(self) -> int:
        """Environment steps of each run so far."""
        return self.runs[0].step

    @property
    def updates(self) -> int:
        """Gradient steps of each run so far."""
        return self.runs[0].agent.critic_updates

    def advance(self) -> None:
        """Take one step in every environment, and do all that is due after it."""
        before = self.step
        self._each(Run.interact)
        self._learn()
        if self._due(self.settings.evaluation.interval, before):
            started = time.perf_counter()
            for run in self.runs:
                run.evaluation_due = True
            self._each(self._evaluate_if_due)
            for run in self.runs:
                run.telemetry.pause(time.perf_counter() - started)
        if self._due(self.settings.video.interval or math.inf, before):
            self._each(self._show)
        if self._due(self.settings.checkpoint.interval, before):
            self._save()

    def _save_unless_saved(self) -> None:
        if any(run.saved_step != self.step for run in self.runs):
            self._save()

    def _save(self) -> None:
        self._seconds = time.perf_counter() - self._started
        self._each(self._save_or_say)

    def _save_or_say(self, run: Run) -> None:
        """Save, or say that it failed: training goes on, since the disk may have room again at the next checkpoint."""
        try:
            run.save(self._seconds)
        except OSError as error:
            kept = "there is none yet" if run.saved_step is None else f"that of step {run.saved_step} stays"
            tqdm.write(
                f"The checkpoint of step {self.step} cannot be written ({error}); {kept}, and the run goes on.",
                file=sys.stderr,
            )

    def _learn(self) -> None:
        """Take the gradient steps that are due."""
        due = self._updates_until(self.step)
        while self.updates < due:
            audit = self.settings.audit and self.updates + 1 in (1, self._updates_until(self._last_step))
            shown = self.updates + 1 == due and self._due(self.settings.log_interval, self.runs[0].measured_step)
            self._update_with({run: run.sample() for run in self.runs}, shown, audit)

    def _update_with(self, batches: dict[Run, Batch], shown: bool, audit: bool) -> None:
        if shown or audit:
            self._each(lambda run: run.measure(batches[run], shown, audit))
        measurements: dict[Run, Mapping[str, Tensor]] = {}

        def update() -> None:
            measurements.update(zip(self.runs, self._update([batches[run] for run in self.runs]), strict=True))

        self._or_plainly(update)
        self._each(lambda run: run.check(measurements[run]))

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

    def _evaluate_if_due(self, run: Run) -> None:
        if run.evaluation_due:
            evaluation = self._evaluate(run)
            run.evaluation_due = False
            run.tell("on_evaluation", evaluation)

    def _evaluate(self, run: Run) -> Evaluation:
        evaluation = self._evaluated(run, range(self.settings.evaluation.episodes))
        run.telemetry.evaluation(self.step, evaluation)
        return evaluation

    def _evaluated(self, run: Run, episodes: Iterable[int]) -> Evaluation:
        return run.evaluate_in(self.evaluation_environment, episodes, lambda observation: self._heed())

    def _show(self, run: Run) -> None:
        if self._shown is not None:
            show(run, self._shown, self._heed)

    def _each(self, do: Callable[[Run], object]) -> None:
        """Call `do` for every run. Of several, one that fails is given up, and the others go on."""
        for run in list(self.runs):
            try:
                self._or_plainly(partial(do, run))
            except (DivergedError, FaultyEnvironmentError, InputError) as error:
                if len(self.runs) == 1:
                    raise
                self._give_up(run, error)

    def _give_up(self, run: Run, error: Exception) -> None:
        tqdm.write(f"seed {run.settings.seed} is given up, the others go on: {error}", file=sys.stderr)
        self.failures[run.settings.seed] = error
        first = self.runs[0]
        self.runs.remove(run)
        if run is first:  # the one with the bar
            self.runs[0].telemetry.take_bar(run.telemetry)
        run.close()
        self._choose_code()

    def _or_plainly(self, do: Callable[[], object]) -> None:
        """Call `do`; if code cannot be recorded or compiled, once more with plainer code."""
        try:
            do()
        except (RecordingError, CompilationError) as error:
            tqdm.write(f"{error} The run goes on without.", file=sys.stderr)
            self._compiled = False
            self._joint &= not isinstance(error, RecordingError)
            self._choose_code()
            do()

    def _choose_code(self) -> None:
        """Choose what acts and updates: compiled code or eager, one update for all runs or one for each."""
        agents = [run.agent for run in self.runs]
        for run in self.runs:
            run.compiled_policy = CompiledPolicy(run.agent) if self._compiled else None
        if self._joint and len(agents) > 1:
            joint = JointUpdate(agents, self._compiled)
            self._update: Callable[[Sequence[Batch]], list[Mapping[str, Tensor]]]
            self._update = lambda batches: _of_each(joint(batches))
        else:
            updates = [CompiledUpdate(agent) if self._compiled else agent.update for agent in agents]
            self._update = lambda batches: [update(batch) for update, batch in zip(updates, batches, strict=True)]


def _of_each(measurements: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
    """Split measurements of shape `(agents,)` into those of each agent."""
    rows = zip(*(values.unbind() for values in measurements.values()), strict=True)
    return [dict(zip(measurements, row, strict=True)) for row in rows]
