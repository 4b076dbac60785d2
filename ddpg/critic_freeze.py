"""Critic freezes: strategies that keep the actor update from moving the critic, through which its gradient passes.

The actor loss is `−mean Q(s, μ(s))`. Its gradient has to run through the critic into the actor, so the link must stay
open here; what must not happen is that the critic moves. Each class below holds it still in one way; the body is the
PyTorch idiom. All but `ExcludeCritic` leave the critic in the actor's optimizer, so that the freeze alone holds it.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.func import functional_call

from ddpg.base.choice import Choice
from ddpg.base.custom_networks import own_parameters


@dataclass(frozen=True)
class CriticFreeze(Choice, kind="critic_freeze"):
    """Base class of the freezes: the actor update without one. A freeze overrides the method of its idiom."""

    @property
    def sound(self) -> bool:
        """Whether every actor update leaves the critic as it is."""
        return True

    def values(self, critic: nn.Module, observations: Tensor, actions: Tensor) -> Tensor:
        """Return Q(s, μ(s)) `(B,)` for s `(B, obs)` and μ(s) `(B, act)`: the place of a freeze in the graph."""
        values: Tensor = critic(observations, actions)
        return values

    def backward(self, loss: Tensor, actor: nn.Module, critic: nn.Module) -> None:
        """Back-propagate the actor loss: the place of a freeze at the gradient."""
        loss.backward()

    def held_parameters(self, actor: nn.Module, critic: nn.Module) -> list[nn.Parameter]:
        """Return the parameters of the actor's optimizer, the actor's first: the place of a freeze at the optimizer."""
        return [*own_parameters(actor, critic), *critic.parameters()]


@dataclass(frozen=True)
class NoFreeze(CriticFreeze, name="none"):
    """The control: the actor's optimizer raises Q by moving the critic too."""

    @property
    def sound(self) -> bool:
        return False


@dataclass(frozen=True)
class RequiresGrad(CriticFreeze, name="requires_grad"):
    """Switch off `requires_grad` of the critic's parameters while the graph of the actor loss is recorded."""

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
class ExcludeCritic(CriticFreeze, name="optimizer"):
    """Let the gradient reach the critic's `.grad`, and leave the critic out of the actor's optimizer."""

    def held_parameters(self, actor: nn.Module, critic: nn.Module) -> list[nn.Parameter]:
        return own_parameters(actor, critic)


@dataclass(frozen=True)
class Inputs(CriticFreeze, name="inputs"):
    """Ask the backward pass for the actor's gradients only."""

    def backward(self, loss: Tensor, actor: nn.Module, critic: nn.Module) -> None:
        loss.backward(inputs=own_parameters(actor, critic))


@dataclass(frozen=True)
class Functional(CriticFreeze, name="functional"):
    """Call the critic as a function of detached parameters."""

    def values(self, critic: nn.Module, observations: Tensor, actions: Tensor) -> Tensor:
        detached = {name: parameter.detach() for name, parameter in critic.named_parameters()}
        values: Tensor = functional_call(critic, detached, (observations, actions))
        return values


@dataclass(frozen=True)
class DropGradient(CriticFreeze, name="manual"):
    """Let the gradient reach the critic's `.grad`, and drop it there before the step."""

    def backward(self, loss: Tensor, actor: nn.Module, critic: nn.Module) -> None:
        loss.backward()
        critic.zero_grad(set_to_none=True)
