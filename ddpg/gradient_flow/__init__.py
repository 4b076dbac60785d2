"""Audit of gradients for any PyTorch training code: what each loss reaches, what each step moves, what is wrong.

Knows nothing of reinforcement learning. `kinds.py` lists what `GradientFlow.findings` names, docs/audit.md says when.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpg.gradient_flow.flow import GradientFlow
    from ddpg.gradient_flow.magic import load_ipython_extension
    from ddpg.gradient_flow.places import Place
    from ddpg.gradient_flow.records import Backward, Crossing, Finding, Step

__all__ = ["Backward", "Crossing", "Finding", "GradientFlow", "Place", "Step", "load_ipython_extension"]

_MODULES = {"GradientFlow": "flow", "load_ipython_extension": "magic", "Place": "places"}


def __getattr__(name: str) -> Any:
    # On first use: the command must not load PyTorch before the script that it runs does.
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'records')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
