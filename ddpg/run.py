"""One run: an agent among its environments, its replay buffer, and what it leaves in its folder."""

import copy
import hashlib
import json
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from ddpg import checkpoint, optimizers
from ddpg.agent import DDPG
from ddpg.compiled_agent import CompiledPolicy
from ddpg.environments import Collector, Transitions, make_vector
from ddpg.errors import InputError, real, whole
from ddpg.evaluation import FIRST_SEED, Evaluation, evaluate
from ddpg.gradient_flow import GradientFlow
from ddpg.memory import peak_memory
from ddpg.recording import state
from ddpg.replay_buffer import Batch, ReplayBuffer
from ddpg.settings import Settings
from ddpg.telemetry import Telemetry, applied_gradients

RESULT_NAME = "result.json"


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


class Run:
    """What belongs to one seed. `Training` says when what of it is due.

    Args:
        settings: of the run, with its own seed.
        folder: where events, checkpoint and result go.

    Raises:
        InputError: if the environment, the device or the memory do not allow the settings.
    """

    telemetry: Telemetry
    """while the run is under way"""
    policy: CompiledPolicy | None = None
    """what acts in place of the agent's actor, if anything"""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        env = settings.env
        self.collector = Collector(make_vector(env.id, env.kwargs, env.num_envs, settings.seed, env.asynchronous))
        observation_space = self.collector.vector.single_observation_space
        action_space = self.collector.vector.single_action_space
        assert isinstance(observation_space, Box) and isinstance(action_space, Box)
        self.agent = make_agent(settings, observation_space, action_space)
        self.buffer = ReplayBuffer(
            settings.buffer_size, observation_space, action_space, settings.seed, self.agent.device
        )
        self.sample = self.buffer.sampler(settings.batch_size)
        self.generator = np.random.default_rng([settings.seed, 1])  # of the random actions before learning starts
        self._copy: DDPG | None = None
        self.step = 0
        self.returns = np.zeros(env.num_envs)
        self.lengths = np.zeros(env.num_envs)

    def open(self, shown: bool) -> Telemetry:
        """Begin, or go on with, events and, if it is to be shown, a progress bar; to be entered as a context."""
        total_steps = self.settings.total_steps
        self.telemetry = Telemetry(self.folder, self.settings.env.id, total_steps, self.step, shown)
        self.telemetry.describe(self.settings.model_dump())
        return self.telemetry

    def close(self) -> None:
        """Close the environments."""
        self.collector.vector.close()

    def interact(self) -> None:
        """One step of every environment, kept in the buffer."""
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
        self.telemetry.advance(count)
        self._follow_episodes(transitions)

    def _actions(self) -> np.ndarray:
        if self.step >= self.settings.learning_starts:
            return self.agent.act(self.collector.observations, explore=True, policy=self.policy)
        space = self.agent.action_space
        actions = self.generator.uniform(space.low, space.high, (self.collector.num_envs, *space.shape))
        return actions.astype(space.dtype)

    def _follow_episodes(self, transitions: Transitions) -> None:
        # Every environment has acted: those of `make_vector` reset within the step that ends an episode.
        self.returns += transitions.rewards
        self.lengths += 1
        ended = transitions.terminations | transitions.truncations
        if ended.any():
            self.telemetry.episode(self.step, self.returns[ended].mean(), self.lengths[ended].mean())
            self.returns[ended] = 0
            self.lengths[ended] = 0
            self.agent.exploration.reset(ended)

    def measure(self, batch: Batch, audit: bool) -> None:
        """What an update with this batch does, seen on a copy of the agent, so that training goes on unobserved.

        Args:
            batch: of the update that is due.
            audit: trace it, and show table and pictures.

        Raises:
            DivergedError: if a loss is no longer finite.
        """
        agent = self._up_to_date_copy()
        with GradientFlow(agent.modules(), trace=audit) as flow:
            measurements = agent.update(batch)
        gap = {"values/target_actor_gap": agent.target_actor_gap(batch.observations)}
        numbers = self.telemetry.update(self.step, {**measurements, **gap, **applied_gradients(flow)})
        if audit:
            self.telemetry.audit(self.step, flow)
        critic_loss, actor_loss = numbers["losses/critic"], numbers["losses/actor"]
        if not (math.isfinite(critic_loss) and math.isfinite(actor_loss)):
            raise DivergedError(
                f"training diverged before step {self.step}: losses/critic={critic_loss}, losses/actor={actor_loss}; "
                f"lower agent.critic_lr={self.settings.agent.critic_lr} or "
                f"agent.actor_lr={self.settings.agent.actor_lr}."
            )

    def _up_to_date_copy(self) -> DDPG:
        """The agent's copy, made once, since making one takes as long as an update."""
        tensors = state(self.agent)
        # An optimizer makes its state at its first update.
        if self._copy is None or len(state(self._copy)) != len(tensors):
            self._copy = copy.deepcopy(self.agent)
            for tensor in state(self._copy):  # that may be a row of several agents' tensor, which is copied whole
                tensor.data = tensor.data.clone()
        else:
            with torch.no_grad():
                torch._foreach_copy_(state(self._copy), tensors)
            self._copy.critic_updates = self.agent.critic_updates
        return self._copy

    def save(self, seconds: float) -> None:
        """Write the checkpoint that evaluation reads and a resumed run goes on from; `seconds` of training so far."""
        content = {
            "agent": self.agent.state_dict(),
            "settings": self.settings.model_dump(),
            "training": {
                "buffer": self.buffer.state_dict(),
                "collector": self.collector.state_dict(),
                "generator": self.generator.bit_generator.state,
                "step": self.step,
                "seconds": seconds,
                "returns": self.returns.tolist(),
                "lengths": self.lengths.tolist(),
            },
        }
        checkpoint.save(self.folder / checkpoint.FILE_NAME, content)

    def load(self, content: dict[str, Any]) -> float:
        """Go on from a checkpoint's content; the seconds of training so far.

        Raises:
            InputError: if it is not one of this run.
        """
        self.agent = DDPG.from_state_dict(content["agent"], device=self.settings.device)
        state = content["training"]
        try:
            self.buffer.load_state_dict(state["buffer"])
            self.collector.load_state_dict(state["collector"])
            self.generator.bit_generator.state = state["generator"]
            self.step = whole("step", state["step"], least=0)
            self.returns[:], self.lengths[:] = state["returns"], state["lengths"]
            return real("seconds", state["seconds"], least=0)
        except Exception as error:  # a file from elsewhere may be wrong in any way
            raise InputError(f"{self.folder}: the checkpoint does not fit its run ({error}); train anew.") from error

    def finish(self, environment: gymnasium.Env[Any, Any], episodes: Any, seconds: float) -> Evaluation:
        """The final evaluation, written down as the result; `episodes` may be a progress bar around their numbers."""
        evaluation = evaluate(self.agent, environment, episodes)
        self.telemetry.final_evaluation(self.step, evaluation)
        result = {
            "mean_return": float(evaluation.returns.mean()),
            "std_return": float(evaluation.returns.std()),
            "returns": evaluation.returns.tolist(),
            "lengths": evaluation.lengths.tolist(),
            "q_bias": evaluation.q_bias,
            "first_evaluation_seed": FIRST_SEED,
            "seed": self.settings.seed,
            "environment_steps": self.step,
            "gradient_steps": self.agent.critic_updates,
            "training_seconds": seconds,
            "peak_memory_mib": peak_memory(),
            "threads": torch.get_num_threads(),
            "weights_digest": self._weights_digest(),
            "settings": self.settings.model_dump(),
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
        return evaluation

    def _weights_digest(self) -> str:
        """SHA-256 of the parameters of all four networks: equal if and only if they are, bit for bit."""
        digest = hashlib.sha256()
        for module in self.agent.modules().values():
            for parameter in module.parameters():
                digest.update(parameter.detach().cpu().numpy().tobytes())
        return digest.hexdigest()
