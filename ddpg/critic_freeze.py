"""The critic freezes: how the actor's update holds the critic still while the gradient passes through it.

The actor's loss is `−mean Q(s, μ(s))`. Its gradient has to run through the critic into the actor, so the link must
stay open here; what must not happen is that the critic moves. Each class below is one way to hold it still; the body
is the PyTorch idiom. All but `ExcludeFromOptimizer` leave the critic in the actor's optimizer, so that the freeze
alone is what holds it.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.func import functional_call

from ddpg.base.choice import Choice


@dataclass(frozen=True)
class CriticFreeze(Choice, kind="critic_freeze"):
    """One way to hold the critic still; a new one overrides the method in which its idiom stands."""

    @property
    def sound(self) -> bool:
        """Whether no actor update moves the critic."""
        return True

    def values(self, critic: nn.Module, observations: Tensor, actions: Tensor) -> Tensor:
        """Q(s, μ(s)) `(B,)` for s `(B, obs)` and μ(s) `(B, act)`: where a freeze in the graph stands."""
        values: Tensor = critic(observations, actions)
        return values

    def backward(self, loss: Tensor, actor: nn.Module, critic: nn.Module) -> None:
        """Fill `.grad` from the actor's loss: where a freeze at the gradient stands."""
        loss.backward()

    def held_parameters(self, actor: nn.Module, critic: nn.Module) -> list[nn.Parameter]:
        """What the actor's optimizer holds: where a freeze at the optimizer stands."""
        return [*actor.parameters(), *critic.parameters()]


@dataclass(frozen=True)
class NoFreeze(CriticFreeze, name="none"):
    """The control: the actor's optimizer raises Q by moving the critic too."""

    @property
    def sound(self) -> bool:
        return False


@dataclass(frozen=True)
class RequiresGrad(CriticFreeze, name="requires_grad"):
    """The critic's parameters do not require a gradient while the graph of the actor's loss is recorded."""

    def values(self, critic: nn.Module, observations: Tensor, actions: Tensor) -> Tensor:
        frozen = [parameter for parameter in critic.parameters() if parameter.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(False)
        try:
            values: Tensor = critic(observations, actions)
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)
        return values


@dataclass(frozen=True)
class ExcludeFromOptimizer(CriticFreeze, name="optimizer"):
    """The critic's `.grad` is filled, but the actor's optimizer does not hold the critic."""

    def held_parameters(self, actor: nn.Module, critic: nn.Module) -> list[nn.Parameter]:
        return list(actor.parameters())


@dataclass(frozen=True)
class Inputs(CriticFreeze, name="inputs"):
    """The backward pass is asked for the actor's gradients only."""

    def backward(self, loss: Tensor, actor: nn.Module, critic: nn.Module) -> None:
        loss.backward(inputs=list(actor.parameters()))


@dataclass(frozen=True)
class Functional(CriticFreeze, name="functional"):
    """The critic is called as a function of detached parameters."""

    def values(self, critic: nn.Module, observations: Tensor, actions: Tensor) -> Tensor:
        detached = {name: parameter.detach() for name, parameter in critic.named_parameters()}
        values: Tensor = functional_call(critic, detached, (observations, actions))
        return values


@dataclass(frozen=True)
class Manual(CriticFreeze, name="manual"):
    """The critic's `.grad` is filled and dropped before the step."""

    def backward(self, loss: Tensor, actor: nn.Module, critic: nn.Module) -> None:
        loss.backward()
        critic.zero_grad(set_to_none=True)
