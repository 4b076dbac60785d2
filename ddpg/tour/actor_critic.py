"""The agent's two links: what one update of the critic and one of the actor move, under each stop and each freeze."""

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.spaces import Box

from ddpg.agent import DDPG
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_stop import GradientStop
from ddpg.replay_buffer import Batch


@dataclass(frozen=True)
class Update:
    """What one update did.

    Attributes:
        reached: the norm of the gradient that the backward pass brought to each network.
        moved: the networks that the optimizer's step moved.
        bytes: held by the graph, without parameters.
        flow: the audit, traced.
    """

    reached: dict[str, float]
    moved: tuple[str, ...]
    bytes: int
    flow: GradientFlow


def critic_update(stop: str, bootstrap_actor: str = "online") -> Update:
    """One update of the critic."""
    agent = _agent(gradient_stop=stop, bootstrap_actor=bootstrap_actor)
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update_critic(_batch())
    return _update(flow)


def actor_update(freeze: str) -> Update:
    """One update of the actor."""
    agent = _agent(critic_freeze=freeze)
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update_actor(_batch())
    return _update(flow)


STOPS, FREEZES = tuple(GradientStop.options), tuple(CriticFreeze.options)


def _update(flow: GradientFlow) -> Update:
    (backward,), (step,) = flow.backwards, flow.steps
    return Update(backward.reached, tuple(step.moved), backward.bytes, flow)


def _agent(**choices: str) -> DDPG:
    space = Box(-1, 1, (3,)), Box(-1, 1, (1,), np.float32)
    # Final layers that start small would leave next to nothing of the gradients to show.
    return DDPG(*space, hidden_sizes=(16, 16), final_layer_bound=None, **choices)  # type: ignore[arg-type]


def _batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    observations, actions, rewards, following = (
        torch.randn(*shape, generator=generator) for shape in ((32, 3), (32, 1), (32,), (32, 3))
    )
    return Batch(observations, actions.clamp(-1, 1), rewards, following, torch.zeros(32))
