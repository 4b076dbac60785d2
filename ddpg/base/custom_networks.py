"""Networks of the user's own: made, and held to what an agent asks of them."""

from collections.abc import Callable

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from ddpg.base.errors import blamed, require, theirs
from ddpg.base.spaces import centre_and_half_range, size

Network = nn.Module | Callable[[Box, Box], nn.Module]
"""a module, or a class or function that makes one for an observation space and an action space"""
_TRIED = 100  # observations


def make(role: str, network: Network, observation_space: Box, action_space: Box) -> nn.Module:
    """Return the module, made for the spaces if it is not yet.

    Raises:
        InputError: if it cannot be made, or is no module that an update leaves as a function of its parameters.
    """
    if not isinstance(network, nn.Module):
        try:
            network = network(observation_space, action_space)
        except Exception as error:  # whatever the user's own code may raise
            raise theirs(f"{role}: cannot be made for the two spaces: {blamed(error)}.", error) from error
    require(isinstance(network, nn.Module), f"{role}={network!r}: must be a torch.nn.Module, or make one.")
    assert isinstance(network, nn.Module)
    require(bool(list(network.parameters())), f"{role}: has no parameters, so that there is nothing to train.")
    for module in network.modules():
        require(
            not isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd),
            f"{role}: has a {type(module).__name__}, whose statistics or random numbers neither the target networks "
            "nor a resumed run would repeat; take LayerNorm in place of batch normalization, and leave dropout out.",
        )
    return network


def check(actor: nn.Module, critic: nn.Module, observation_space: Box, action_space: Box) -> None:
    """Try both networks on zeros and random numbers.

    Parameters that the two share, those of an encoder for instance, are trained by the critic's loss alone: the actor
    has to detach what it takes from them, as in DrQ-v2 (Yarats et al., 2021).

    Raises:
        InputError: if one fails, returns another shape than `(B, act)` and `(B,)`, the actor leaves the bounds, or its
            loss would reach shared parameters.
    """
    random = torch.Generator().manual_seed(0)
    observations = torch.randn(_TRIED, size(observation_space), generator=random)
    observations[0] = 0
    actions = _try("actor", actor, (_TRIED, size(action_space)), observations).detach().cpu().double()
    _try("critic", critic, (_TRIED,), observations, actions)
    centre, half_range = map(torch.as_tensor, centre_and_half_range(action_space))
    require(
        bool(((actions - centre).abs() <= 1.001 * half_range + 1e-3).all()),  # not so where it is NaN
        f"actor: returns actions beyond their bounds, {action_space}; end it with a tanh, scaled to them.",
    )
    own = set(map(id, own_parameters(actor, critic)))
    if shared := [parameter for parameter in actor.parameters() if id(parameter) not in own]:
        gradients = torch.autograd.grad(actor(observations).sum(), shared, allow_unused=True)
        require(
            all(gradient is None for gradient in gradients),
            "actor and critic share parameters, and the actor's loss would move them, so that an actor update would "
            "not leave the critic as it is: detach in the actor what it takes from them, features.detach().",
        )


def own_parameters(module: nn.Module, other: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a module without those that another one shares."""
    others = set(map(id, other.parameters()))
    return [parameter for parameter in module.parameters() if id(parameter) not in others]


def _try(role: str, network: nn.Module, shape: tuple[int, ...], *inputs: Tensor) -> Tensor:
    parameter = next(network.parameters())
    try:
        output = network(*(each.to(parameter.device, parameter.dtype) for each in inputs))
    except Exception as error:  # whatever the user's own code may raise
        shapes = ", ".join(str(tuple(each.shape)) for each in inputs)
        raise theirs(f"{role}: fails with inputs of shape {shapes}: {blamed(error)}.", error) from error
    found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    require(
        found == shape,
        f"{role}: returns {found} for {_TRIED} observations; it must be {shape}: "
        + ("an action in the environment's units for each." if role == "actor" else "a value for each; squeeze(-1)."),
    )
    assert isinstance(output, Tensor)
    return output
