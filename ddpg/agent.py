"""The agent: deep deterministic policy gradient (Lillicrap et al., 2015, arXiv:1509.02971, algorithm 1)."""

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor
from torch.nn import functional as F

from ddpg.base import optimizers
from ddpg.base.custom_networks import Network
from ddpg.base.options import SeededAgentOptions, takes
from ddpg.base.spaces import as_rows, clipped
from ddpg.critic_freeze import CriticFreeze
from ddpg.exploration import Exploration
from ddpg.gradient_stop import GradientStop
from ddpg.networks import ActorCritic, Policy
from ddpg.replay_buffer import Batch, check_batch


@takes(SeededAgentOptions)
class DDPG(ActorCritic):
    """Actor, critic, their target networks, and one short method for each update.

    Args:
        observation_space, action_space: gymnasium Boxes, flat or not; the action space bounded.
        gradient_stop: strategy that keeps the critic loss out of the actor: a name, or an instance.
        critic_freeze: strategy that keeps the actor update from moving the critic: a name, or an instance.
        exploration: noise of `act(…, explore=True)`: a name, or an instance, of which the agent takes a copy.
        optimizer: a class of torch.optim, its name, or a partial of it; its fused kernel is used where it has one.
        device: of networks and updates.
        actor, critic: networks of your own, modules or functions that make them for the two spaces.
        **options: as follows, from `ddpg.base.options`.

    Raises:
        InputError: for spaces that DDPG does not take, and values out of their range.
    """

    def __init__(
        self,
        observation_space: Box,
        action_space: Box,
        *,
        gradient_stop: str | Mapping[str, Any] | GradientStop = "no_grad",
        critic_freeze: str | Mapping[str, Any] | CriticFreeze = "requires_grad",
        exploration: str | Mapping[str, Any] | Exploration = "gaussian",
        optimizer: str | optimizers.OptimizerFactory = torch.optim.Adam,
        device: torch.device | str = "cpu",
        actor: Network | None = None,
        critic: Network | None = None,
        **options: Any,
    ) -> None:
        self.gradient_stop = GradientStop.make(gradient_stop)
        self.critic_freeze = CriticFreeze.make(critic_freeze)
        self.exploration = Exploration.make(exploration).copy()  # its state is this agent's alone
        self.optimizer = optimizers.named(optimizer, {}) if isinstance(optimizer, str) else optimizer
        self.options = SeededAgentOptions.check(options).model_dump()
        super().__init__(observation_space, action_space, self.options, device, actor, critic)
        self.discount, self.polyak = (float(self.options[name]) for name in ("discount", "polyak"))
        self.generator = np.random.default_rng(self.options["seed"])
        held = self.gradient_stop.held_parameters(self.critic, self.bootstrapping_actor)
        decay = self.options["critic_weight_decay"]
        self.critic_optimizer = optimizers.build(self.optimizer, held, self.options["critic_lr"], self.critic, decay)
        held = self.critic_freeze.held_parameters(self.actor, self.critic)
        self.actor_optimizer = optimizers.build(self.optimizer, held, self.options["actor_lr"])
        self.critic_updates = 0

    def act(self, observation: np.ndarray, explore: bool = False, policy: Policy | None = None) -> np.ndarray:
        """Return the action for one observation, or for several with a leading axis, in the environment's units.

        `explore` adds noise, row i for environment i; `policy` acts in place of the agent's own.
        """
        actions = (policy or self.policy)(as_rows(self.observation_space, observation, "observation"))
        if explore:
            actions = actions + self.half_range * self.exploration.sample(actions.shape, self.generator)
        several = np.ndim(observation) > len(self.observation_space.shape)
        return clipped(self.action_space, actions if several else actions[0])

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one critic step, one actor step and one soft target update; return the measurements of both steps."""
        measurements = self.update_critic(batch) | self.update_actor(batch)
        self.update_targets()
        return measurements

    def update_critic(self, batch: Batch) -> dict[str, Tensor]:
        """Take one gradient step on the critic loss `mean (Q(s, a) − y)²` (equation 4 of the paper).

        With the default stop it is, in plain PyTorch::

            with torch.no_grad():
                next_actions = target_actor(next_observations)
            y = rewards + discount * (1 - terminations) * target_critic(next_observations, next_actions)
            loss = F.mse_loss(critic(observations, actions), y)
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()

        Returns 0-d tensors under their TensorBoard tags. Raises `InputError` if the batch does not fit the agent.
        """
        self.check(batch)
        values = self.critic(batch.observations, batch.actions)
        loss = F.mse_loss(values, self.td_target(batch))
        self.clear_gradients()
        self.gradient_stop.backward(loss, self.bootstrapping_actor, self.critic_updates + 1)
        self.critic_optimizer.step()
        self.critic_updates += 1
        return {"losses/critic": loss.detach(), "values/q_mean": values.detach().mean()}

    def td_target(self, batch: Batch) -> Tensor:
        """Return `y = r + γ (1 − terminated) Q'(s', a')`, `a' = policy(s')` (equation 5), of shape `(B,)`."""
        actions = self.gradient_stop.actions(self.bootstrapping_actor, batch.next_observations)
        values: Tensor = self.target_critic(batch.next_observations, actions)
        return batch.rewards + self.discount * (1 - batch.terminations) * values

    def update_actor(self, batch: Batch) -> dict[str, Tensor]:
        """Take one gradient step on the actor loss `−mean Q(s, μ(s))` (equation 6); see `update_critic`."""
        self.check(batch)
        loss = -self.critic_freeze.values(self.critic, batch.observations, self.actor(batch.observations)).mean()
        self.clear_gradients()
        self.critic_freeze.backward(loss, self.actor, self.critic)
        self.actor_optimizer.step()
        return {"losses/actor": loss.detach()}

    def update_targets(self) -> None:
        """Update the target networks, θ' ← (1 − polyak) θ' + polyak θ; the paper's τ is `polyak`."""
        self.check_parameters()
        with torch.no_grad():
            torch._foreach_lerp_(self._targets, self._online, self.polyak)

    def check(self, batch: Batch) -> None:
        """Raise `InputError` unless the batch fits the agent's spaces and precision, and gradients are recorded."""
        optimizers.check_gradients_are_recorded()
        check_batch(batch, self.observation_space, self.action_space, self.dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write networks, optimizers, counters and noise to `path`, which ends in `.safetensors`."""
        from ddpg.saving import agent_state  # which knows the agent

        agent_state.save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """Return the agent in a checkpoint, or in a run's newest one; `options` replace its own."""
        from ddpg.saving import agent_state  # which knows the agent

        return agent_state.load(path, cls, **options)
