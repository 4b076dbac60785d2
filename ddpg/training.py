"""The loop: act, store, update, and at intervals measure, evaluate and keep."""

import copy
import json
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from gymnasium.spaces import Box
from torch import Tensor
from tqdm import tqdm

from ddpg import checkpoint, optimizers
from ddpg.agent import DDPG
from ddpg.compilation import CompilationError, CompiledUpdate
from ddpg.environments import Collector, Transitions, make_environment, make_vector
from ddpg.errors import InputError, real, whole
from ddpg.evaluation import FINAL_EPISODES, FIRST_SEED, Evaluation, evaluate
from ddpg.gradient_flow import GradientFlow
from ddpg.replay_buffer import Batch, ReplayBuffer
from ddpg.settings import Settings
from ddpg.telemetry import Telemetry, applied_gradients

RESULT_NAME = "result.json"
_AVAILABLE_THREADS = torch.get_num_threads()  # as many as cores, or as OMP_NUM_THREADS says


class DivergedError(RuntimeError):
    """The losses are no longer finite."""


def make_agent(settings: Settings, observation_space: Box, action_space: Box) -> DDPG:
    """The agent that the settings describe."""
    options = settings.agent.model_dump()
    options["optimizer"] = optimizers.named(options["optimizer"], options.pop("optimizer_options"))
    return DDPG(
        observation_space,
        action_space,
        gradient_stop=settings.gradient_stop,
        critic_freeze=settings.critic_freeze,
        exploration=settings.exploration,
        device=settings.device,
        seed=settings.seed,
        **options,
    )


def suitable_threads(hidden_sizes: Sequence[int], batch_size: int) -> int:
    """How many threads of PyTorch an update of these sizes repays; the same for equal sizes on equal machines.

    A second thread has to be woken for every operation, which small ones do not repay: on two cores, Pendulum's update
    took 1.03 times as long with two threads at 64/64/128 (networks and batch), 1.04 at 256/256/64, 0.86 at 256/256/128.
    """
    products = batch_size * max(map(math.prod, pairwise([*hidden_sizes, 1])))  # of one layer
    return _AVAILABLE_THREADS if products > 2**22 else 1


class Training:
    """One run, from its first environment step to its result.

    Args:
        settings: of the run.
        folder: where events, checkpoint and result go.

    Raises:
        InputError: if the environment, the device or the memory do not allow the settings.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        torch.set_num_threads(settings.threads or suitable_threads(settings.agent.hidden_sizes, settings.batch_size))
        env = settings.env
        self.evaluation_environment = make_environment(env.id, env.kwargs)
        observation_space = self.evaluation_environment.observation_space
        action_space = self.evaluation_environment.action_space
        assert isinstance(observation_space, Box) and isinstance(action_space, Box)
        self._adopt(make_agent(settings, observation_space, action_space))
        self.buffer = ReplayBuffer(
            settings.buffer_size, observation_space, action_space, settings.seed, self.agent.device
        )
        self.collector = Collector(make_vector(env.id, env.kwargs, env.num_envs, settings.seed, env.asynchronous))
        self.generator = np.random.default_rng([settings.seed, 1])  # of the random actions before learning starts
        self.step = 0
        self.updates = 0
        self.seconds = 0.0
        self._measure_next = False
        self.returns = np.zeros(env.num_envs)
        self.lengths = np.zeros(env.num_envs)

    def _adopt(self, agent: DDPG) -> None:
        self.agent = agent
        self._compiled: CompiledUpdate | None = CompiledUpdate(agent) if self.settings.compile else None

    def run(self) -> Evaluation:
        """Train up to `total_steps`, evaluate, write checkpoint and result.

        Raises:
            DivergedError: if a loss is no longer finite.
        """
        settings = self.settings
        self._started = time.perf_counter() - self.seconds
        with Telemetry(self.folder, settings.env.id, settings.total_steps, self.step) as telemetry:
            telemetry.describe(yaml.safe_dump(settings.model_dump(), sort_keys=False))
            while self.step < settings.total_steps:
                self.advance(telemetry)
        episodes = tqdm(range(FINAL_EPISODES), desc="final evaluation", unit=" episodes", leave=False)
        evaluation = evaluate(self.agent, self.evaluation_environment, episodes)
        self._write_result(evaluation)
        return evaluation

    def advance(self, telemetry: Telemetry) -> None:
        """One step of every environment, and all that is due after it."""
        count = self._interact(telemetry)
        self._measure_next |= self._due(self.settings.log_interval, count)
        self._learn(telemetry)
        if self._due(self.settings.evaluation.interval, count):
            self._evaluate(telemetry)
        if self._due(self.settings.checkpoint.interval, count):
            self.save()

    def close(self) -> None:
        """Close the environments."""
        self.evaluation_environment.close()
        self.collector.vector.close()

    def _interact(self, telemetry: Telemetry) -> int:
        """One step of every environment; the number of transitions it gave."""
        transitions = self.collector.step(self._actions())
        self.buffer.add(
            transitions.observations,
            transitions.actions,
            transitions.rewards,
            transitions.next_observations,
            transitions.terminations,
        )
        count = len(transitions.rewards)
        self.step += count
        telemetry.advance(count)
        self._follow_episodes(transitions, telemetry)
        return count

    def _actions(self) -> np.ndarray:
        if self.step >= self.settings.learning_starts:
            return self.agent.act(self.collector.observations, explore=True)
        space = self.agent.action_space
        actions = self.generator.uniform(space.low, space.high, (self.collector.num_envs, *space.shape))
        return actions.astype(space.dtype)

    def _follow_episodes(self, transitions: Transitions, telemetry: Telemetry) -> None:
        self.returns[transitions.environments] += transitions.rewards
        self.lengths[transitions.environments] += 1
        ended = transitions.environments[transitions.terminations | transitions.truncations]
        if len(ended):
            telemetry.episode(self.step, self.returns[ended].mean(), self.lengths[ended].mean())
            self.returns[ended] = 0
            self.lengths[ended] = 0
            self.agent.exploration.reset(np.isin(np.arange(self.collector.num_envs), ended))

    def _learn(self, telemetry: Telemetry) -> None:
        """The gradient steps that are due."""
        settings = self.settings
        due = self._updates_until(self.step)
        while self.updates < due:
            batch = self.buffer.sample(settings.batch_size)
            self.updates += 1
            if (self._measure_next and self.updates == due) or self._audit_due():
                self._measured_update(batch, telemetry)
            else:
                self._update(batch)

    def _update(self, batch: Batch) -> dict[str, Tensor]:
        if self._compiled is not None:
            try:
                return self._compiled(batch)
            except CompilationError as error:
                tqdm.write(f"compile=true: {error} The run goes on without.", file=sys.stderr)
                self._compiled = None
        return self.agent.update(batch)

    def _updates_until(self, step: int) -> int:
        """How many updates are due by an environment step."""
        return int((step - self.settings.learning_starts) * self.settings.gradient_steps_per_step)

    def _audit_due(self) -> bool:
        """Whether this update is the first or the last of the run, and audits are wanted."""
        envs = self.settings.env.num_envs
        last_step = -(-self.settings.total_steps // envs) * envs
        return self.settings.audit and self.updates in (1, self._updates_until(last_step))

    def _measured_update(self, batch: Batch, telemetry: Telemetry) -> None:
        # A compiled update has no passes and steps to be seen, so an eager copy makes them, and is thrown away.
        agent = self.agent if self._compiled is None else copy.deepcopy(self.agent)
        with GradientFlow(agent.modules(), trace=self._audit_due()) as flow:
            measurements = agent.update(batch)
        if self._compiled is not None:
            measurements = self._update(batch)
        gap = {"values/target_actor_gap": self.agent.target_actor_gap(batch.observations)}
        numbers = telemetry.update(self.step, {**measurements, **gap, **applied_gradients(flow)})
        if self._audit_due():
            telemetry.audit(self.step, flow)
        self._measure_next = False
        critic_loss, actor_loss = numbers["losses/critic"], numbers["losses/actor"]
        if not (math.isfinite(critic_loss) and math.isfinite(actor_loss)):
            raise DivergedError(
                f"training diverged before step {self.step}: losses/critic={critic_loss}, losses/actor={actor_loss}; "
                f"lower agent.critic_lr={self.settings.agent.critic_lr} or "
                f"agent.actor_lr={self.settings.agent.actor_lr}."
            )

    def _evaluate(self, telemetry: Telemetry) -> None:
        started = time.perf_counter()
        evaluation = evaluate(self.agent, self.evaluation_environment, range(self.settings.evaluation.episodes))
        telemetry.evaluation(self.step, evaluation, time.perf_counter() - started)

    def _due(self, interval: int, count: int) -> bool:
        """Whether the latest `count` environment steps completed an interval, or the run."""
        return self.step // interval > (self.step - count) // interval or self.step >= self.settings.total_steps

    def save(self) -> None:
        """Write the checkpoint that evaluation reads and a resumed run goes on from."""
        self.seconds = time.perf_counter() - self._started
        content = {
            "agent": self.agent.state_dict(),
            "settings": self.settings.model_dump(),
            "training": {
                "buffer": self.buffer.state_dict(),
                "collector": self.collector.state_dict(),
                "generator": self.generator.bit_generator.state,
                "step": self.step,
                "updates": self.updates,
                "seconds": self.seconds,
                "returns": self.returns.tolist(),
                "lengths": self.lengths.tolist(),
            },
        }
        checkpoint.save(self.folder / checkpoint.FILE_NAME, content)

    def load(self, content: dict[str, Any]) -> None:
        """Go on from a checkpoint's content. Raises `InputError` if it is not one of this run."""
        self._adopt(DDPG.from_state_dict(content["agent"], device=self.settings.device))
        try:
            self._load(content["training"])
        except Exception as error:  # a file from elsewhere may be wrong in any way
            raise InputError(f"{self.folder}: the checkpoint does not fit its run ({error}); train anew.") from error

    def _load(self, state: dict[str, Any]) -> None:
        self.buffer.load_state_dict(state["buffer"])
        self.collector.load_state_dict(state["collector"])
        self.generator.bit_generator.state = state["generator"]
        self.step = whole("step", state["step"], least=0)
        self.updates = whole("updates", state["updates"], least=0)
        self.seconds = real("seconds", state["seconds"], least=0)
        self.returns[:], self.lengths[:] = state["returns"], state["lengths"]

    def _write_result(self, evaluation: Evaluation) -> None:
        result = {
            "mean_return": float(evaluation.returns.mean()),
            "std_return": float(evaluation.returns.std()),
            "returns": evaluation.returns.tolist(),
            "lengths": evaluation.lengths.tolist(),
            "first_evaluation_seed": FIRST_SEED,
            "seed": self.settings.seed,
            "environment_steps": self.step,
            "gradient_steps": self.updates,
            "training_seconds": self.seconds,
            "config_digest": self.settings.digest(),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("ddpg", "torch", "gymnasium", "numpy")},
            },
        }
        path = self.folder / RESULT_NAME
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(result, indent=2) + "\n")
        os.replace(unfinished, path)
