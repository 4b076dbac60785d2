"""Evaluation: what the policy earns without exploration, from fixed starts."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch

from ddpg.agent import DDPG
from ddpg.base.spaces import as_rows

FIRST_SEED = 10_000
FINAL_EPISODES = 100


class Evaluation(NamedTuple):
    """One figure an episode, `(episodes,)` each, in the order of the starts.

    `start_values` are the critic's Q(s, μ(s)) at the start, `discounted_returns` what the episode then came to. An
    episode that a limit ends is counted up to there.
    """

    returns: np.ndarray
    lengths: np.ndarray
    start_values: np.ndarray
    discounted_returns: np.ndarray

    @property
    def q_bias(self) -> float:
        """How much more the critic promises at the start than follows, on average."""
        return float((self.start_values - self.discounted_returns).mean())


def evaluate(
    agent: DDPG,
    environment: gymnasium.Env[Any, Any],
    episodes: Iterable[int],
    max_episode_steps: float = math.inf,
    heed: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Deterministic episodes; episode i starts from `environment.reset(seed=10000 + i)`.

    Args:
        agent: acts without exploration.
        environment: a single one, not a vector.
        episodes: the numbers of the episodes; a progress bar around them shows how far it is.
        max_episode_steps: where an episode is cut off that does not end by itself.
        heed: called before every step; may raise.
    """
    figures = []
    for episode in episodes:
        observation, _ = environment.reset(seed=FIRST_SEED + episode)
        start_value = _value(agent, observation, agent.act(observation))
        rewards: list[float] = []
        ended = False
        while not ended:
            heed()
            observation, reward, terminated, truncated, _ = environment.step(agent.act(observation))
            rewards.append(float(reward))
            ended = terminated or truncated or len(rewards) == max_episode_steps
        discounted_return = np.power(agent.discount, np.arange(len(rewards))) @ rewards
        figures.append((sum(rewards), len(rewards), start_value, discounted_return))
    return Evaluation(*map(np.array, zip(*figures, strict=True)))


def _value(agent: DDPG, observation: np.ndarray, action: np.ndarray) -> float:
    """Return the critic's Q(s, a) of one observation and one action in the environment's units."""
    rows = as_rows(agent.observation_space, observation, "observation"), as_rows(agent.action_space, action, "action")
    with torch.no_grad():
        return float(agent.critic(*(torch.as_tensor(each).to(agent.device, agent.actor.centre.dtype) for each in rows)))
