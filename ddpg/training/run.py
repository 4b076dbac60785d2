"""A run: an agent among its environments, its replay buffer, and what it leaves in its folder."""

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from torch import Tensor

from ddpg.agent import DDPG
from ddpg.base import imports, optimizers
from ddpg.base.custom_networks import Network
from ddpg.base.errors import InputError, real, require, whole
from ddpg.base.memory import peak_memory
from ddpg.base.normalization import RewardScale
from ddpg.base.spaces import as_rows
from ddpg.compiled.agent import CompiledUpdate
from ddpg.compiled.recording import state_tensors
from ddpg.environments import (
    OUTSIDE,
    CheckedEnvironment,
    Collector,
    NStep,
    Statistics,
    Transitions,
    find_environment,
    make_environment,
    make_vector,
    with_others,
)
from ddpg.gradient_flow import GradientFlow
from ddpg.replay_buffer import Batch, ReplayBuffer
from ddpg.saving import agent_state, checkpoint, files
from ddpg.saving.transition_log import TransitionLog
from ddpg.training.evaluation import FIRST_SEED, ROWS, Evaluation, evaluate
from ddpg.training.settings import AgentSettings, Settings
from ddpg.training.telemetry import Telemetry, applied_gradients, target_actor_gap

RESULT_NAME = "result.json"


class DivergedError(RuntimeError):
    """Raised when losses, weights or actions are no longer finite."""


def own_networks(settings: AgentSettings) -> dict[str, Network]:
    """Return the actor and the critic of the user's own modules, if they are named, after importing these."""
    names = {"actor": settings.actor, "critic": settings.critic}
    return {role: imports.named(f"agent.{role}", name) for role, name in names.items() if name is not None}


def load_agent(state: dict[str, Any], settings: AgentSettings, device: str = "cpu") -> DDPG:
    """Return the agent in a checkpoint, with the networks of the user's own modules, which are imported."""
    return agent_state.from_state_dict(state, DDPG, device=device, **own_networks(settings))


def make_agent(settings: Settings, observation_space: Box, action_space: Box) -> DDPG:
    """Return the agent that the settings describe."""
    options = settings.agent.model_dump() | own_networks(settings.agent)
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


def take_weights(agent: DDPG, path: str) -> None:
    """Give the agent's networks the weights of those in a checkpoint, or in a run's newest; nothing else of it.

    Raises:
        InputError: if there is none, or its networks are of other shapes.
    """
    modules = checkpoint.load(path)["agent"]["modules"]
    mend = "take a run with the same observations, actions and networks."
    with checkpoint.refusing(f"warm_start={path}: its networks do not fit this run's", mend):
        for name, module in agent.modules().items():
            module.load_state_dict(modules[name])


class Run:
    """What is trained, and what it leaves; `Training` is the loop that says what is due when.

    Args:
        settings: of this run.
        folder: where events, checkpoints and result go.
        environment: one in place of what `find_environment` returns for the settings.
        callbacks: are told what happens, as `ddpg.training.callbacks.Callback` says.

    Raises:
        InputError: if the environment, the device or the memory do not allow the settings.
        FaultyEnvironmentError: if the environment cannot be reset.
    """

    telemetry: Telemetry
    """while the run is under way"""
    _policy_output: np.ndarray | None = None
    """`(num_envs, act)`: what the actor says to the next observations, where the latest update has computed it too"""
    evaluation: Evaluation | None = None
    """the final one, when training has ended"""
    _statistics: Statistics | None = None
    """those that wrappers had when training ended, as the environments are closed then"""

    def __init__(
        self, settings: Settings, folder: Path, environment: EnvSpec | None = None, callbacks: Sequence[Any] = ()
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.callbacks = callbacks
        env = settings.env
        self.environment = environment or find_environment(env.id)
        process = env.asynchronous, env.timeout
        self.collector = Collector(
            make_vector(self.environment, env.kwargs, env.num_envs, settings.seed, *process, env.wrappers)
        )
        observation_space = self.collector.vector.single_observation_space
        action_space = self.collector.vector.single_action_space
        assert isinstance(observation_space, Box) and isinstance(action_space, Box)
        with ExitStack() as opened:
            opened.callback(self.collector.close)
            self.agent = make_agent(settings, observation_space, action_space)
            self.buffer = ReplayBuffer(
                settings.buffer_size, observation_space, action_space, settings.seed, self.agent.device
            )
            opened.pop_all()
        self.compiled_update = CompiledUpdate(self.agent) if settings.compile else None
        self._sampler = self.buffer.sampler(settings.batch_size)
        self._n_step = NStep(settings.n_step, settings.agent.discount, env.num_envs)
        self._reward_scale = RewardScale(settings.agent.discount, env.num_envs)
        self.generator = np.random.default_rng([settings.seed, 1])  # of the random actions before learning starts
        self._copy: DDPG | None = None
        self._log = TransitionLog(folder)
        self._described = False  # whether the event files hold these settings
        self.saved_step: int | None = None
        """environment step of the newest checkpoint"""
        self.step = 0
        """environment steps so far"""
        self.measured_step = 0
        """environment step at which an update was last measured"""
        self.evaluation_due = False
        """whether one is to be done before the next step; a stop may have broken it off"""
        self.ends = False
        """whether a callback asks to end the training after this step"""
        self.returns = np.zeros(env.num_envs)
        self.lengths = np.zeros(env.num_envs)

    def open(self) -> Telemetry:
        """Begin, or go on with, events and a progress bar; to be entered as a context."""
        if self.settings.warm_start and self.saved_step is None:
            take_weights(self.agent, self.settings.warm_start)
        name = self.settings.env.id.rpartition(":")[2]  # without the module
        self.telemetry = Telemetry(self.folder, name, self.settings.total_steps, self.step)
        if not self._described:
            self.telemetry.describe(self.settings.model_dump())
        return self.telemetry

    def close(self) -> None:
        """Close the environments."""
        self.collector.close()

    def tell(self, event: str, *happened: object) -> None:
        """Call the callbacks' method of this name."""
        for callback in self.callbacks:
            if callback.hears(event):
                OUTSIDE.enter()  # what it draws from is no environment's
                self.ends |= bool(getattr(callback, event)(self, *happened))
                if event in ("on_update", "on_evaluation"):
                    self._policy_output = None  # it may have changed the weights

    def evaluate(self, episodes: int = 10) -> Evaluation:
        """Evaluate the policy as it is, without exploration; episode i starts from `reset(seed=10000 + i)`."""
        whole("episodes", episodes, least=1)
        if self.settings.evaluation.shared and self.evaluation is None:
            return self.evaluate_in([], range(episodes))
        env = self.settings.env
        make = partial(make_environment, self.environment, env.kwargs, wrappers=env.wrappers)
        environments = [make()]
        try:
            count = 1 if self.settings.evaluation.shared else min(ROWS, episodes)
            environments = with_others(environments[0], make, count)
            return self.evaluate_in(environments, range(episodes))
        finally:
            for environment in environments:
                environment.close()

    def evaluate_in(
        self,
        environments: Sequence[CheckedEnvironment],
        episodes: Iterable[int],
        see: Callable[[np.ndarray], None] = lambda observation: None,
    ) -> Evaluation:
        """Evaluate in these environments; none: in the only one, that of the training, whose episode is then over.

        The statistics of wrappers are those that the run's own environments have gathered. The critic's values are in
        the environment's units, also where the rewards that it learns from are normalized.
        """
        used = environments or [self.collector.single]
        statistics = self.collector.statistics if self._statistics is None else self._statistics
        for environment in used:
            environment.freeze(statistics)
        limit = self.settings.evaluation.max_episode_steps
        try:
            evaluation = evaluate(self.agent, used, episodes, limit, see)
        finally:
            for environment in used:  # somebody else's, maybe
                environment.thaw()
        if not environments:
            self.end_episodes()
        scale = self._reward_scale.value if self.settings.normalize_rewards else 1.0
        return evaluation._replace(start_values=scale * evaluation.start_values)

    def interact(self) -> None:
        """Take one step in every environment, and store the transitions.

        Raises:
            DivergedError: if the actor's actions are not finite.
            FaultyEnvironmentError: if an environment does not do what it must.
        """
        self.ends = False
        transitions = self.collector.step(self._actions())
        self.agent.observe(transitions.observations)
        if self.settings.normalize_rewards:
            self._reward_scale.update(transitions.rewards, transitions.terminations | transitions.truncations)
        self._store(self._n_step(transitions))
        count = len(transitions.rewards)
        self.step += count
        self.telemetry.advance(count)
        self._follow_episodes(transitions)
        self.tell("on_step", transitions)

    def _store(self, transitions: Transitions | None) -> None:
        if transitions is not None and len(transitions.rewards):
            _, observations, actions, rewards, next_observations, terminations, _ = transitions
            self.buffer.add(observations, actions, rewards, next_observations, terminations)

    def end_episodes(self) -> None:
        """Cut off the episodes under way, as truncated, and begin the next ones."""
        self._store(self._n_step.close())
        self.collector.restart()
        self._policy_output = None
        self.agent.exploration.reset()
        self._reward_scale.reset()
        self.returns[:] = self.lengths[:] = 0

    def sample(self) -> Batch:
        """Draw a batch; its rewards are normalized by what is known of them now."""
        batch = self._sampler()
        if self.settings.normalize_rewards:
            batch.rewards.div_(self._reward_scale.value)
        return batch

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """Update the agent; compiled code computes what the actor says next in the same call."""
        if self.compiled_update is None:
            return self.agent.update(batch)
        rows = as_rows(self.agent.observation_space, self.collector.observations, "observation")
        measurements = self.compiled_update(batch, self.agent.tensor(rows))
        actions = self.compiled_update.actions
        self._policy_output = None if actions is None else actions.numpy(force=True)
        return measurements

    def _actions(self) -> np.ndarray:
        if self.step >= self.settings.learning_starts:
            output, self._policy_output = self._policy_output, None
            policy = None if output is None else lambda observations: output
            actions = self.agent.act(self.collector.observations, explore=True, policy=policy)
            if not np.isfinite(actions).all():
                raise self._diverged("the actor's action is not finite")
            return actions
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
            self.tell("on_episode", self.returns[ended])
            self.returns[ended] = 0
            self.lengths[ended] = 0
            self.agent.exploration.reset(ended)

    def measure(self, batch: Batch, shown: bool, audit: bool) -> None:
        """Observe the update with this batch on a copy of the agent, so that training goes on unobserved.

        Args:
            batch: the one that the agent itself is updated with next.
            shown: whether the measurements become points of the curves.
            audit: whether the update is traced, and its table and pictures are shown.
        """
        if shown:
            agent = self._up_to_date_copy()
            found: dict[str, Tensor | float] = {**agent.update_critic(batch), **applied_gradients(agent, "critic_loss")}
            found |= {**agent.update_actor(batch), **applied_gradients(agent, "actor_loss")}
            agent.update_targets()
            found["values/target_actor_gap"] = target_actor_gap(agent, batch.observations)
            self.telemetry.update(self.step, found)
            self.measured_step = self.step
        if audit:
            agent = self._up_to_date_copy()
            with GradientFlow(agent.modules(), trace=True) as flow:
                agent.update(batch)
            self.telemetry.audit(self.step, flow)

    def _up_to_date_copy(self) -> DDPG:
        """Return the agent's copy, which is made once, since making one takes as long as an update."""
        own = state_tensors(self.agent)
        # An optimizer makes its state at its first update.
        if self._copy is None or len(state_tensors(self._copy)) != len(own):
            self._copy = copy.deepcopy(self.agent)
        with torch.no_grad():
            torch._foreach_copy_(state_tensors(self._copy), own)
        self._copy.critic_updates = self.agent.critic_updates
        return self._copy

    def check(self, measurements: Mapping[str, Tensor]) -> None:
        """Raise `DivergedError` if a loss among an update's measurements is not finite; tell the callbacks else."""
        losses = {tag: float(measurements[tag]) for tag in ("losses/critic", "losses/actor")}
        if not all(map(math.isfinite, losses.values())):
            raise self._diverged(", ".join(f"{tag}={value}" for tag, value in losses.items()))
        self.tell("on_update", measurements)

    def _broken_weights(self) -> list[str]:
        """Return the names of the parameters that are not finite."""
        return [
            f"{name}.{each}"
            for name, module in self.agent.modules().items()
            for each, parameter in module.named_parameters()
            if not parameter.isfinite().all()
        ]

    def _diverged(self, what: str) -> DivergedError:
        broken = self._broken_weights()
        weights = f" Not finite: {', '.join(broken[:3])}{f' and {len(broken) - 3} more' if broken[3:] else ''}."
        return DivergedError(
            f"training diverged at step {self.step}, in update {self.agent.critic_updates}: {what}."
            f"{weights * bool(broken)} Lower agent.critic_lr={self.settings.agent.critic_lr} or "
            f"agent.actor_lr={self.settings.agent.actor_lr}."
        )

    def save(self, seconds: float) -> None:
        """Write the checkpoint that evaluation reads and a resumed run goes on from.

        What the replay buffer got since the last one is added to what lies on the disk. Older checkpoints than
        `checkpoint.keep` says are deleted once the new one is complete.

        Args:
            seconds: of training so far.

        Raises:
            DivergedError: if the weights are not finite.
            OSError: if something cannot be written; the former checkpoints stay.
        """
        if self._broken_weights():
            raise self._diverged("its weights are not kept")
        self.telemetry.flush()
        self._log.write(self.buffer)
        content = {
            "agent": agent_state.state_dict(self.agent),
            "settings": self.settings.model_dump(),
            "training": {
                "buffer": self.buffer.state_dict(),
                "parts": self._log.parts,
                "collector": self.collector.state_dict(),
                "generator": self.generator.bit_generator.state,
                "step": self.step,
                "seconds": seconds,
                "returns": self.returns,
                "lengths": self.lengths,
                "measured_step": self.measured_step,
                "evaluation_due": self.evaluation_due,
                "ends": self.ends,
                "statistics": self.collector.statistics,
                "n_step": self._n_step.state_dict(),
                "reward_scale": self._reward_scale.state_dict(),
                "policy_output": self._policy_output,
            },
        }
        checkpoint.save(self.folder / checkpoint.FOLDER / checkpoint.name(self.step), content)
        self.saved_step = self.step
        self._forget_old()

    def _forget_old(self) -> None:
        """Delete the checkpoints and transitions that no longer have to be kept, and those beyond this step."""
        steps = checkpoint.steps(self.folder)
        kept = [step for step in steps if step <= self.step][: self.settings.checkpoint.keep]
        for step in set(steps) - set(kept):
            (self.folder / checkpoint.FOLDER / checkpoint.name(step)).unlink(missing_ok=True)
        # Each environment step adds one transition to those that the run began with, of n steps a little later.
        unfinished = (self.settings.n_step - 1) * self.settings.env.num_envs
        added = self.buffer.added - (self.step - min(kept)) - unfinished
        self._log.delete_before(added - self.buffer.capacity)

    def load(self, content: dict[str, Any]) -> float:
        """Go on from a checkpoint's content, and return the seconds of training so far.

        Raises:
            InputError: if it is not one of this run.
        """
        state = content["training"]
        self._compare(content["agent"])
        self.agent = load_agent(content["agent"], self.settings.agent, self.settings.device)
        self.compiled_update = CompiledUpdate(self.agent) if self.settings.compile else None
        with checkpoint.refusing(f"{self.folder}: the checkpoint does not fit its run", "train anew."):
            self._log = TransitionLog(self.folder, state["parts"])
            oldest = max(0, whole("added", state["buffer"]["added"], least=0) - self.buffer.capacity)
            self.buffer.load_state_dict(state["buffer"], self._log.read(oldest))
            self.collector.load_state_dict(state["collector"])
            self.generator.bit_generator.state = state["generator"]
            self.step = self.saved_step = whole("step", state["step"], least=0)
            self.measured_step = whole("measured_step", state["measured_step"], least=0)
            self.returns[:], self.lengths[:] = state["returns"], state["lengths"]
            self.evaluation_due = bool(state["evaluation_due"])
            self._n_step.load_state_dict(state["n_step"])
            self._reward_scale.load_state_dict(state["reward_scale"])
            self.ends = bool(state["ends"])
            if (output := state.get("policy_output")) is not None:
                self._policy_output = np.asarray(output).reshape(self.settings.env.num_envs, -1)
            seconds = real("seconds", state["seconds"], least=0)
        self._described = content["settings"] == self.settings.model_dump()
        return seconds

    def _compare(self, described: Mapping[str, Any]) -> None:
        """Raise `InputError` if an agent's description is not that of this run's."""
        own = json.loads(json.dumps(agent_state.description(self.agent)))
        for key, value in own.items():
            found = described.get(key)
            require(
                found == value,
                f"{self.folder}: the checkpoint is of another agent than the settings and the environment ask for, its "
                f"{key.replace('_', ' ')} is {found}, not {value}; train anew.",
            )

    def finish(self, evaluation: Evaluation, seconds: float) -> None:
        """Write the final evaluation down as the result.

        Raises:
            InputError: if the result cannot be written.
        """
        self.evaluation, self._statistics = evaluation, self.collector.statistics
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
            "versions": checkpoint.versions(),
        }
        path = self.folder / RESULT_NAME
        try:
            files.write(path, (json.dumps(result, indent=2) + "\n").encode())
        except OSError as error:
            raise InputError(
                f"{path}: the result cannot be written ({error}); make room, then resume={self.folder} evaluates anew."
            ) from error

    def _weights_digest(self) -> str:
        """Return the SHA-256 of the parameters of all four networks: equal if and only if they are, bit for bit."""
        digest = hashlib.sha256()
        for module in self.agent.modules().values():
            for parameter in module.parameters():
                digest.update(parameter.detach().cpu().numpy().tobytes())
        return digest.hexdigest()
