"""DDPG in PyTorch, about the flow of gradients between actor and critic."""

from ddpg.agent import DDPG
from ddpg.errors import InputError
from ddpg.exploration import GaussianNoise, OrnsteinUhlenbeckNoise
from ddpg.networks import Actor, Critic
from ddpg.replay_buffer import Batch, ReplayBuffer

__all__ = [
    "DDPG",
    "Actor",
    "Batch",
    "Critic",
    "GaussianNoise",
    "InputError",
    "OrnsteinUhlenbeckNoise",
    "ReplayBuffer",
]
