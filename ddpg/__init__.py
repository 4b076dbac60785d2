"""DDPG in PyTorch, with a focus on the flow of gradients between actor and critic."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpg.agent import DDPG
    from ddpg.base.errors import InputError
    from ddpg.compiled.agent import CompiledUpdate
    from ddpg.exploration import GaussianNoise, OrnsteinUhlenbeckNoise
    from ddpg.gradient_flow import GradientFlow
    from ddpg.networks import Actor, Critic
    from ddpg.replay_buffer import Batch, ReplayBuffer
    from ddpg.training.callbacks import Callback, CSVLog, stop_at
    from ddpg.training.train_function import train

__all__ = [
    "DDPG",
    "Actor",
    "Batch",
    "CSVLog",
    "Callback",
    "CompiledUpdate",
    "Critic",
    "GaussianNoise",
    "GradientFlow",
    "InputError",
    "OrnsteinUhlenbeckNoise",
    "ReplayBuffer",
    "stop_at",
    "train",
]

_MODULES = {
    "agent": ["DDPG"],
    "compiled.agent": ["CompiledUpdate"],
    "base.errors": ["InputError"],
    "exploration": ["GaussianNoise", "OrnsteinUhlenbeckNoise"],
    "gradient_flow": ["GradientFlow"],
    "networks": ["Actor", "Critic"],
    "replay_buffer": ["Batch", "ReplayBuffer"],
    "training.callbacks": ["CSVLog", "Callback", "stop_at"],
    "training.train_function": ["train"],
}


def __getattr__(name: str) -> Any:
    # On first use: the audit needs nothing but PyTorch, and its pytest plugin not even that before a test asks for it.
    for module, names in _MODULES.items():
        if name in names:
            try:
                return getattr(import_module(f"ddpg.{module}"), name)
            except ModuleNotFoundError as error:
                if not module.startswith("training.") or str(error.name).startswith("ddpg"):
                    raise
                raise ImportError(f"ddpg.{name} needs {error.name}: pip install 'ddpg[train]' brings it.") from error
    raise AttributeError(f"module 'ddpg' has no attribute {name!r}")
