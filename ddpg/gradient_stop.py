"""Gradient stops: strategies that keep the critic loss from back-propagating into the actor.

The TD target `y = r + γ (1 − terminated) Q'(s', a')` takes its action from an actor, `a' = policy(s')`, so the critic
loss has a path back into that actor. Each class below closes it in one way; the body is the PyTorch idiom. All but
`ExcludeActor` leave the actor in the critic's optimizer, so that the stop alone protects it.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ddpg.base.choice import Choice
from ddpg.base.custom_networks import own_parameters
from ddpg.base.errors import require


@dataclass(frozen=True)
class GradientStop(Choice, kind="gradient_stop"):
    """Base class of the stops: the critic update without one. A stop overrides the one method that its idiom is in."""

    @property
    def sound(self) -> bool:
        """Whether every critic update leaves the bootstrapping actor as it is."""
        return True

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        """Return the bootstrap actions a' `(B, act)` for s' `(B, obs)`: the place of a stop in the graph."""
        actions: Tensor = policy(next_observations)
        return actions

    def backward(self, loss: Tensor, policy: nn.Module, update: int) -> None:
        """Back-propagate the critic loss: the place of a stop at the gradient. `update` counts from 1."""
        loss.backward()

    def phase(self, update: int) -> Hashable:
        """Return what of the update's number matters to `backward`, such as `update % 2`.

        A compiled update is recorded once for each value. A stop whose `backward` depends on `update` and that does
        not override this is not compiled.
        """
        return None

    def held_parameters(self, critic: nn.Module, policy: nn.Module) -> list[nn.Parameter]:
        """Return the parameters of the critic's optimizer, the critic's first: the place of a stop at the optimizer."""
        return [*critic.parameters(), *own_parameters(policy, critic)]


@dataclass(frozen=True)
class NoStop(GradientStop, name="none"):
    """The control: nothing stops the gradient, and every critic update moves the actor too."""

    @property
    def sound(self) -> bool:
        return False


@dataclass(frozen=True)
class Detach(GradientStop, name="detach"):
    """Record the graph through the actor, then cut it off behind the actor's output."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        actions: Tensor = policy(next_observations)
        return actions.detach()


@dataclass(frozen=True)
class NoGrad(GradientStop, name="no_grad"):
    """Record no graph inside the actor."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        with torch.no_grad():
            actions: Tensor = policy(next_observations)
        return actions


@dataclass(frozen=True)
class InferenceMode(GradientStop, name="inference_mode"):
    """Record no graph, no version counters and no views inside the actor."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        with torch.inference_mode():
            actions: Tensor = policy(next_observations)
        return actions.clone()  # an inference tensor may not enter a graph; its clone, made outside, may


@dataclass(frozen=True)
class ExcludeActor(GradientStop, name="optimizer"):
    """Let the gradient reach the actor's `.grad`, and leave the actor out of the critic's optimizer."""

    def held_parameters(self, critic: nn.Module, policy: nn.Module) -> list[nn.Parameter]:
        return list(critic.parameters())


@dataclass(frozen=True)
class EditGradient(GradientStop, name="manual"):
    """Let the gradient reach the actor's `.grad`, and edit it there before the step.

    With `scale` 0 the gradient is dropped, `.grad = None`: a zero gradient would still move weights through momentum
    and weight decay.
    """

    scale: Annotated[float, Field(description="factor of the gradient; 0 drops it")] = 0.0
    every: Annotated[int, Field(ge=1, description="edit every k-th critic update, let the others pass")] = 1

    @property
    def sound(self) -> bool:
        return self.scale == 0 and self.every == 1

    def held_parameters(self, critic: nn.Module, policy: nn.Module) -> list[nn.Parameter]:
        require(
            len(own_parameters(policy, critic)) == len(list(policy.parameters())),
            "gradient_stop=manual: actor and critic share parameters, whose gradient it would take from both; "
            "choose another stop, or agent.bootstrap_actor=target.",
        )
        return super().held_parameters(critic, policy)

    def phase(self, update: int) -> Hashable:
        return update % self.every == 0

    def backward(self, loss: Tensor, policy: nn.Module, update: int) -> None:
        loss.backward()
        if update % self.every == 0:
            for parameter in policy.parameters():
                if parameter.grad is not None:
                    parameter.grad = parameter.grad * self.scale if self.scale != 0 else None
