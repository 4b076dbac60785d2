"""The gradient stops: how the critic's update closes the link through which its loss would reach the actor.

The TD target `y = r + γ (1 − terminated) Q'(s', a')` takes its action from an actor, `a' = policy(s')`, so the
critic's loss has a path back into that actor. Each class below is one way to keep the loss from moving it; the body
is the PyTorch idiom. All but `ExcludeFromOptimizer` leave the actor in the critic's optimizer, so that the stop alone
is what protects it.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddpg.base.choice import Choice
from ddpg.base.errors import whole


@dataclass(frozen=True)
class GradientStop(Choice, kind="gradient_stop"):
    """One way to stop the critic's loss; a new one overrides the method in which its idiom stands."""

    @property
    def sound(self) -> bool:
        """Whether no critic update moves the bootstrapping actor."""
        return True

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        """The bootstrap actions a' `(B, act)` for s' `(B, obs)`: where a stop in the graph stands."""
        actions: Tensor = policy(next_observations)
        return actions

    def backward(self, loss: Tensor, policy: nn.Module, update: int) -> None:
        """Fill `.grad` from the critic's loss: where a stop at the gradient stands. `update` counts from 1."""
        loss.backward()

    def phase(self, update: int) -> Hashable:
        """What of the update's number `backward` depends on; a compiled update is recorded once for each value.

        Without it, an update whose `backward` looks at the number is not compiled.
        """
        return None

    def held_parameters(self, critic: nn.Module, policy: nn.Module) -> list[nn.Parameter]:
        """What the critic's optimizer holds: where a stop at the optimizer stands. The critic's come first."""
        return [*critic.parameters(), *policy.parameters()]


@dataclass(frozen=True)
class NoStop(GradientStop, name="none"):
    """The control: nothing stops the gradient, and every critic update moves the actor too."""

    @property
    def sound(self) -> bool:
        return False


@dataclass(frozen=True)
class Detach(GradientStop, name="detach"):
    """The graph is recorded through the actor, then cut off behind its output."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        actions: Tensor = policy(next_observations)
        return actions.detach()


@dataclass(frozen=True)
class NoGrad(GradientStop, name="no_grad"):
    """No graph is recorded inside the actor."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        with torch.no_grad():
            actions: Tensor = policy(next_observations)
        return actions


@dataclass(frozen=True)
class InferenceMode(GradientStop, name="inference_mode"):
    """No graph, no version counters, no view tracking inside the actor."""

    def actions(self, policy: nn.Module, next_observations: Tensor) -> Tensor:
        with torch.inference_mode():
            actions: Tensor = policy(next_observations)
        return actions.clone()  # an inference tensor may not enter a graph; its clone, made outside, may


@dataclass(frozen=True)
class ExcludeFromOptimizer(GradientStop, name="optimizer"):
    """The gradient reaches the actor's `.grad`, but the critic's optimizer does not hold the actor."""

    def held_parameters(self, critic: nn.Module, policy: nn.Module) -> list[nn.Parameter]:
        return list(critic.parameters())


@dataclass(frozen=True)
class Manual(GradientStop, name="manual"):
    """The gradient reaches the actor's `.grad` and is edited there before the step.

    Args:
        scale: multiplies the gradient. 0 drops it: `.grad` becomes None, since a zero gradient would still move
            weights through momentum and weight decay.
        every: edits on every k-th critic update and lets the others pass.
    """

    scale: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("gradient_stop.every", self.every, least=1)

    @property
    def sound(self) -> bool:
        return self.scale == 0 and self.every == 1

    def phase(self, update: int) -> Hashable:
        return update % self.every == 0

    def backward(self, loss: Tensor, policy: nn.Module, update: int) -> None:
        loss.backward()
        if update % self.every == 0:
            for parameter in policy.parameters():
                if parameter.grad is not None:
                    parameter.grad = parameter.grad * self.scale if self.scale != 0 else None
