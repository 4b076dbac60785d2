"""Evaluation: what the policy earns without exploration, from fixed starts."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from ddpg.agent import DDPG

FIRST_SEED = 10_000
FINAL_EPISODES = 100


class Evaluation(NamedTuple):
    """Returns `(episodes,)` and lengths `(episodes,)` in environment steps, in the order of the starts."""

    returns: np.ndarray
    lengths: np.ndarray


def evaluate(agent: DDPG, environment: gymnasium.Env[Any, Any], episodes: Iterable[int]) -> Evaluation:
    """Deterministic episodes; episode i starts from `environment.reset(seed=10000 + i)`.

    Args:
        agent: acts without exploration.
        environment: a single one, not a vector.
        episodes: the numbers of the episodes; a progress bar around them shows how far it is.
    """
    returns, lengths = [], []
    for episode in episodes:
        observation, _ = environment.reset(seed=FIRST_SEED + episode)
        rewards: list[float] = []
        ended = False
        while not ended:
            observation, reward, terminated, truncated, _ = environment.step(agent.act(observation))
            rewards.append(float(reward))
            ended = terminated or truncated
        returns.append(sum(rewards))
        lengths.append(len(rewards))
    return Evaluation(np.array(returns), np.array(lengths))
