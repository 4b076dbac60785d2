"""The networks: the actor μ(s), the critic Q(s, a), and `ActorCritic`, both with their targets: the base of `DDPG`."""

import copy
import operator
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from ddpg.base import custom_networks
from ddpg.base.custom_networks import Network
from ddpg.base.devices import usable_device
from ddpg.base.errors import InputError, require
from ddpg.base.normalization import Normalization, Normalized, Pixels
from ddpg.base.spaces import as_rows, centre_and_half_range, check_spaces, size

Policy = Callable[[np.ndarray], np.ndarray]
"""maps observations `(n, obs)` to actions `(n, act)` in the environment's units"""


class Actor(nn.Module):
    """Deterministic policy μ(s) (Lillicrap et al., 2015, section 3).

    Args:
        observation_space: a Box of any shape.
        action_space: a bounded Box of any shape.
        hidden_sizes: widths of the hidden layers.
        final_layer_bound: the final layer starts uniform in ± this; None: PyTorch's initialization. Hidden
            layers always start uniform in ±1/√fan_in, which is PyTorch's initialization and the paper's (section 7).
        layer_norm: whether layer normalization (Ba et al., 2016) follows each hidden layer, before the ReLU.
    """

    centre: Tensor
    half_range: Tensor

    def __init__(
        self,
        observation_space: Box,
        action_space: Box,
        hidden_sizes: Sequence[int] = (256, 256),
        final_layer_bound: float | None = 3e-3,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        sizes = [size(observation_space), *hidden_sizes]
        self.hidden = nn.ModuleList(_hidden(*each, layer_norm) for each in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], size(action_space))
        _initialize(self.output, final_layer_bound)
        _register_bounds(self, action_space)

    def forward(self, observations: Tensor) -> Tensor:
        """Map observations `(B, obs)` to actions `(B, act)` within the bounds, in the environment's units."""
        x = observations
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.centre + self.half_range * torch.tanh(self.output(x))


class Critic(nn.Module):
    """Action value Q(s, a) (Lillicrap et al., 2015, section 3).

    Args:
        observation_space: a Box of any shape.
        action_space: a bounded Box of any shape.
        hidden_sizes: widths of the hidden layers.
        final_layer_bound, layer_norm: as for `Actor`.
        action_layer: the layer that the action enters, beside that layer's other input: 0 concatenates observation
            and action at the input; 1 is the paper's "second layer".
    """

    centre: Tensor
    half_range: Tensor

    def __init__(
        self,
        observation_space: Box,
        action_space: Box,
        hidden_sizes: Sequence[int] = (256, 256),
        final_layer_bound: float | None = 3e-3,
        layer_norm: bool = False,
        action_layer: int = 0,
    ) -> None:
        super().__init__()
        self.action_layer = action_layer
        inputs = [size(observation_space), *hidden_sizes]
        inputs[action_layer] += size(action_space)
        hidden = (_hidden(*each, layer_norm) for each in zip(inputs[:-1], hidden_sizes, strict=True))
        self.layers = nn.ModuleList([*hidden, nn.Linear(inputs[-1], 1)])
        _initialize(self.layers[-1], final_layer_bound)
        _register_bounds(self, action_space)
        # An action that cannot vary carries no information: it maps to 0 instead of 0/0.
        self.half_range[self.half_range == 0] = 1

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Map observations `(B, obs)` and actions `(B, act)`, in the environment's units, to values `(B,)`."""
        actions = (actions - self.centre) / self.half_range
        x = observations
        for index, layer in enumerate(self.layers):
            x = torch.relu(x) if index > 0 else x
            x = layer(torch.cat((x, actions), dim=-1) if index == self.action_layer else x)
        return x.squeeze(-1)


def make_networks(
    observation_space: Box,
    action_space: Box,
    options: Mapping[str, Any],
    actor: Network | None = None,
    critic: Network | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Return the actor and the critic that an agent's options describe, with what normalizes observations for them.

    Args:
        observation_space, action_space: as for `Actor`.
        options: of the agent.
        actor, critic: networks of the user's own in place of `Actor` and `Critic`.

    Raises:
        InputError: if PyTorch has not the memory for them, or one of the user's own is not fit.
    """
    spaces = observation_space, action_space
    names = ("hidden_sizes", "final_layer_bound", "layer_norm")
    shape = {name: options[name] for name in names}
    try:
        made = (
            Actor(*spaces, **shape) if actor is None else custom_networks.make("actor", actor, *spaces),
            Critic(*spaces, **shape, action_layer=options["action_layer"])
            if critic is None
            else custom_networks.make("critic", critic, *spaces),
        )
    except RuntimeError as error:
        raise InputError(
            f"hidden_sizes={shape['hidden_sizes']}: too large for this machine ({error}); lower it."
        ) from error
    if options["normalize_observations"]:
        normalization: nn.Module = Normalization(observation_space)
    elif observation_space.dtype == np.uint8:
        normalization = Pixels()
    else:
        return made
    return Normalized(normalization, made[0]), Normalized(normalization, made[1])


class ActorCritic:
    """Actor, critic and their target networks, none of which can be replaced after construction.

    Args:
        observation_space, action_space: as for `Actor`.
        options: of the agent; `seed` decides the weights, `bootstrap_actor` which actor chooses a'.
        device: of the networks.
        actor, critic: as for `make_networks`.
    """

    def __init__(
        self,
        observation_space: Box,
        action_space: Box,
        options: Mapping[str, Any],
        device: torch.device | str,
        actor: Network | None = None,
        critic: Network | None = None,
    ) -> None:
        check_spaces(observation_space, action_space)
        self.observation_space, self.action_space = observation_space, action_space
        self.device = usable_device(device)
        self.half_range = centre_and_half_range(action_space)[1]
        # The seed decides the weights, drawn on the CPU whatever the device, and nobody else's random numbers.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(options["seed"])
            networks = make_networks(observation_space, action_space, options, actor, critic)
        self.own_networks = [name for name, given in (("actor", actor), ("critic", critic)) if given is not None]
        self.actor, self.critic = (network.to(self.device) for network in networks)
        if self.own_networks:
            custom_networks.check(self.actor, self.critic, observation_space, action_space)
        self.normalization = getattr(self.actor, "normalization", None)  # one, which all four networks share
        shared = {id(self.normalization): self.normalization}
        self.target_actor = copy.deepcopy(self.actor, dict(shared))
        self.target_critic = copy.deepcopy(self.critic, dict(shared)).requires_grad_(False)
        # The bootstrapping actor's parameters require a gradient, so that the stop alone decides whether one flows.
        online = options["bootstrap_actor"] == "online"
        self.target_actor.requires_grad_(not online)
        self.bootstrapping_actor = self.actor if online else self.target_actor
        # Listed once: walking through the networks takes longer than updating the targets.
        self._online: list[Tensor] = [*self.actor.parameters(), *self.critic.parameters()]
        self._targets: list[Tensor] = [*self.target_actor.parameters(), *self.target_critic.parameters()]
        self._layers = [layer for network in self.modules().values() for layer in network.modules()]
        self._parts = self._present_parts()

    def policy(self, observations: np.ndarray) -> np.ndarray:
        """Return the actor's actions `(n, act)` for observations `(n, obs)`, in the environment's units."""
        with torch.no_grad():
            actions: Tensor = self.actor(self.tensor(observations))
        return actions.cpu().numpy()

    def values(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Return the critic's values `(n,)` of observations `(n, obs)` and actions `(n, act)`, like `policy`."""
        with torch.no_grad():
            values: Tensor = self.critic(self.tensor(observations), self.tensor(actions))
        return values.cpu().numpy()

    def tensor(self, numbers: np.ndarray) -> Tensor:
        """Return real numbers of any dtype as a tensor of the networks' precision, on their device."""
        array = np.array(numbers, np.float64, order="C")  # a dtype and a layout that PyTorch knows
        return torch.from_numpy(array).to(self.device, self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of networks and batches."""
        return next(each.dtype for layer in self._layers for each in layer._parameters.values() if each is not None)

    def observe(self, observations: np.ndarray) -> None:
        """Take observations, one or several with a leading axis, into the statistics of `normalize_observations`."""
        if isinstance(self.normalization, Normalization):
            self.normalization.update(as_rows(self.observation_space, observations, "observations"))

    def modules(self) -> dict[str, nn.Module]:
        """Return the four networks by name."""
        return {name: getattr(self, name) for name in ("actor", "critic", "target_actor", "target_critic")}

    def clear_gradients(self) -> None:
        """Set every `.grad` of the four networks to None: a stop or a freeze may have left one in the other network.

        Raises:
            InputError: if a parameter was replaced.
        """
        self.check_parameters()
        for parameter in (*self._online, *self._targets):
            parameter.grad = None

    def check_parameters(self) -> None:
        """Raise `InputError` if a parameter of the networks was replaced, added or taken away."""
        if not _same(self._present_parts(), self._parts):  # a layer without parameters may be another
            present = [parameter for network in self.modules().values() for parameter in network.parameters()]
            require(
                _same(present, [*self._online, *self._targets]),
                f"a parameter of the agent's networks was replaced: {_REPLACED}",
            )

    def __repr__(self) -> str:
        networks = textwrap.indent(f"actor: {self.actor}\ncritic: {self.critic}", "  ")
        return f"{type(self).__name__}(\n  {self.observation_space} → {self.action_space}\n{networks}\n)"

    def __setattr__(self, name: str, value: object) -> None:
        former = vars(self).get(name, value)
        require(value is former or not isinstance(former, nn.Module), f"agent.{name} cannot be replaced: {_REPLACED}")
        super().__setattr__(name, value)

    def _present_parts(self) -> list[object]:
        """Return every layer, and what it holds at present."""
        parts: list[object] = []
        for layer in self._layers:
            parts += layer, *layer._modules.values(), *layer._parameters.values()
        return parts


_REPLACED = (
    "the optimizers would go on training the old one. Load weights into it, as in "
    "agent.actor.load_state_dict(mine.state_dict()); for one of your own say DDPG(…, actor=mine)."
)


def _same(ones: Sequence[object], others: Sequence[object]) -> bool:
    return len(ones) == len(others) and all(map(operator.is_, ones, others))


def _initialize(layer: nn.Module, bound: float | None) -> None:
    if bound is not None:
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound)


def _hidden(fan_in: int, fan_out: int, layer_norm: bool) -> nn.Module:
    linear = nn.Linear(fan_in, fan_out)
    return nn.Sequential(linear, nn.LayerNorm(fan_out)) if layer_norm else linear


def _register_bounds(module: nn.Module, action_space: Box) -> None:
    # Buffers follow the module to its device and precision; they are the space's, not learnt, so not in state_dict.
    for name, values in zip(("centre", "half_range"), centre_and_half_range(action_space), strict=True):
        module.register_buffer(name, torch.as_tensor(values, dtype=torch.get_default_dtype()), persistent=False)
