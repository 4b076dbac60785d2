"""What most parts measure: an agent and a batch."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box

from ddpg import DDPG, Batch, ReplayBuffer

TRANSITIONS = 1000


def agent_and_batch(hidden: int, batch: int, device: str = "cpu", **choices: Any) -> tuple[DDPG, Batch]:
    """Return an agent with Pendulum's spaces, given its `choices`, and a batch of random transitions."""
    observation_space, action_space = Box(-np.inf, np.inf, (3,)), Box(-2, 2, (1,))
    agent = DDPG(observation_space, action_space, hidden_sizes=(hidden, hidden), device=device, **choices)
    buffer = ReplayBuffer(TRANSITIONS, observation_space, action_space, device=agent.device)
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((TRANSITIONS + 1, 3))
    actions = generator.uniform(-2, 2, (TRANSITIONS, 1))
    rewards, terminated = generator.standard_normal(TRANSITIONS), np.zeros(TRANSITIONS, bool)
    buffer.add(observations[:-1], actions, rewards, observations[1:], terminated)
    return agent, buffer.sample(batch)
