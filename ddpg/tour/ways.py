"""The ways to keep a loss from moving a module: the agent's own gradient stops, and those that it does without.

A way is a `GradientStop`; `policy` stands for the module that is to be left alone, `critic` for all others.
"""

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpg.gradient_stop import GradientStop


@dataclass(frozen=True)
class InferenceModeAlone(GradientStop):
    """An inference tensor, used as it is."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        with torch.inference_mode():
            actions: Tensor = policy(next_observations)
        return actions


@dataclass(frozen=True)
class SetGradEnabled(GradientStop):
    """`no_grad` as a function of a condition."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        with torch.set_grad_enabled(False):
            actions: Tensor = policy(next_observations)
        return actions


@dataclass(frozen=True)
class RequiresGrad(GradientStop):
    """The module's parameters require no gradient while the graph is recorded; it lets the gradient through."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        actions: Tensor = policy(next_observations)
        for parameter in trained:
            parameter.requires_grad_(True)
        return actions


@dataclass(frozen=True)
class Functional(GradientStop):
    """The module is called as a function of detached parameters; it lets the gradient through."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        detached = {name: parameter.detach() for name, parameter in policy.named_parameters()}
        actions: Tensor = functional_call(policy, detached, (next_observations,))
        return actions


@dataclass(frozen=True)
class Inputs(GradientStop):
    """The backward pass is asked for the other modules' gradients only; it passes through the module.

    Args:
        others: the modules that the loss is to train.
    """

    others: nn.Module

    def backward(self, loss: Tensor, policy: nn.Module, update: int) -> None:
        loss.backward(inputs=list(self.others.parameters()))


@dataclass(frozen=True)
class OutputHook(GradientStop):
    """A hook on the module's output scales the gradient that passes there.

    Args:
        factor: multiplies the gradient; 0 stops it.
    """

    factor: float = 0.0

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        actions: Tensor = policy(next_observations)
        actions.register_hook(lambda gradient: gradient * self.factor)
        return actions


class _Scaled(torch.autograd.Function):
    """The identity forwards; backwards the gradient times a factor."""

    @staticmethod
    def forward(context: Any, values: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * context.factor, None


@dataclass(frozen=True)
class Scaled(GradientStop):
    """A function of one's own that scales the gradient: 0 stops it, a negative factor reverses it.

    Args:
        factor: multiplies the gradient.
    """

    factor: float = 0.0

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        actions: Tensor = _Scaled.apply(policy(next_observations), self.factor)  # type: ignore[no-untyped-call]
        return actions


Way = GradientStop
TUTORIAL: Mapping[str, Callable[[nn.Module], Way]] = {
    "none": lambda others: Way.make("none"),
    "detach": lambda others: Way.make("detach"),
    "no_grad": lambda others: Way.make("no_grad"),
    "inference_mode": lambda others: InferenceModeAlone(),
    "inference+clone": lambda others: Way.make("inference_mode"),
    "optimizer": lambda others: Way.make("optimizer"),
    "manual": lambda others: Way.make("manual"),
}
"""The tutorial's conditions, by name; each is made for the modules that the loss is to train."""

BEYOND: Mapping[str, Callable[[nn.Module], Way]] = {
    "set_grad_enabled": lambda others: SetGradEnabled(),
    "requires_grad_": lambda others: RequiresGrad(),
    "functional_call": lambda others: Functional(),
    "backward(inputs=)": Inputs,
    "register_hook": lambda others: OutputHook(),
    "autograd.Function": lambda others: Scaled(0.0),
}
"""Ways that it does not know."""

SCALING: Mapping[str, Callable[[float], Way]] = {
    "manual": lambda factor: Way.make({"name": "manual", "scale": factor}),
    "register_hook": OutputHook,
    "autograd.Function": Scaled,
}
"""Ways that take a factor other than 0."""


PLACES = {
    "actions": "in place of `policy(next_observations)`",
    "backward": "in place of `loss.backward()`",
    "held_parameters": "what the optimizer is given",
}


def idiom(way: Way) -> tuple[str, str]:
    """Where a way stands, and the lines of code that it is: the body of the method that it overrides."""
    name = next((name for name in PLACES if name in vars(type(way))), None)
    if name is None:
        return "nothing in its place", _body(GradientStop.actions)
    lines = _body(getattr(type(way), name))
    settings = {field.name: getattr(way, field.name) for field in dataclasses.fields(way)}
    numbers = {name: value for name, value in settings.items() if isinstance(value, int | float)}
    if numbers:
        named = ", ".join(f"{name} = {value:g}" for name, value in numbers.items())
        lines = f"# {named}\n{lines.replace('self.', '')}"
    if isinstance(way, Scaled):
        lines = f"{inspect.getsource(_Scaled)}\n{lines}"
    return PLACES[name], lines


def _body(method: Callable[..., Any]) -> str:
    lines = [line.partition("  # type:")[0] for line in inspect.getsource(method).splitlines()]
    start = next(place for place, line in enumerate(lines) if line.rstrip().endswith(":"))
    documented = lines[start + 1].strip().startswith('"""')
    return textwrap.dedent("\n".join(lines[start + 1 + documented :]))
