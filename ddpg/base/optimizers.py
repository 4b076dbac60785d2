"""Optimizers of torch.optim: built for the agent, and described as plain data."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ddpg.base.errors import InputError, choices, require

OptimizerFactory = Callable[..., torch.optim.Optimizer]

# Those that take any parameters and need no closure.
OPTIMIZERS: dict[str, OptimizerFactory] = {
    optimizer.__name__: optimizer
    for optimizer in (
        torch.optim.Adadelta,
        torch.optim.Adagrad,
        torch.optim.Adam,
        torch.optim.Adamax,
        torch.optim.AdamW,
        torch.optim.NAdam,
        torch.optim.RAdam,
        torch.optim.RMSprop,
        torch.optim.Rprop,
        torch.optim.SGD,
    )
}


def named(name: str, options: Mapping[str, Any]) -> OptimizerFactory:
    """Return the optimizer of this name in torch.optim, with these options bound.

    Raises:
        InputError: for an unknown name or option, or a value that the optimizer refuses.
    """
    require(name in OPTIMIZERS, f"optimizer={name}: no such optimizer; {choices(OPTIMIZERS, name)}")
    valid = inspect.signature(OPTIMIZERS[name]).parameters.keys() - {"params", "lr"}
    for key in options:
        require(key in valid, f"optimizer_options.{key}: {name} has no such option; {choices(valid, key)}")
    factory = functools.partial(OPTIMIZERS[name], **options)
    try:
        build(factory, [nn.Parameter(torch.zeros(1))], 1e-3)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"optimizer_options={dict(options)}: {name} refuses them: {error}.") from error
    return factory


def build(
    factory: OptimizerFactory,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    decayed: nn.Module | None = None,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Return an optimizer of `parameters`, those of `decayed` with this weight decay; fused where it can be."""
    parameters = list(parameters)
    defaults = {name: option.default for name, option in inspect.signature(factory).parameters.items()}
    undecided = defaults.get("fused", False) is None and not defaults["foreach"] and not defaults["differentiable"]
    fused = {"fused": True} if undecided else {}
    if decayed is None or weight_decay == 0:
        return factory(parameters, lr=learning_rate, **fused)
    chosen = {id(parameter) for parameter in decayed.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in parameters if id(parameter) in chosen], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if id(parameter) not in chosen]},
    ]
    return factory([group for group in groups if group["params"]], lr=learning_rate, **fused)


def as_data(factory: OptimizerFactory) -> dict[str, Any]:
    """Return the name and options of an optimizer of torch.optim, or of a partial of one."""
    function, options = (
        (factory.func, dict(factory.keywords)) if isinstance(factory, functools.partial) else (factory, {})
    )
    return {"name": getattr(function, "__name__", type(function).__name__), "options": options}


def check_gradients_are_recorded() -> None:
    """Raise `InputError` inside `torch.no_grad()` and `torch.inference_mode()`."""
    require(
        torch.is_grad_enabled() and not torch.is_inference_mode_enabled(),
        "an update inside torch.no_grad() or torch.inference_mode(): it needs gradients; call it outside. If you do: "
        "some code, an environment's perhaps, has called torch.set_grad_enabled(False).",
    )
