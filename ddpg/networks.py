"""The two networks: the actor μ(s) and the critic Q(s, a)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from ddpg.base.spaces import centre_and_half_range, size


class Actor(nn.Module):
    """The deterministic policy μ(s) (Lillicrap et al., 2015, section 3).

    Args:
        observation_space: a Box of any shape.
        action_space: a bounded Box of any shape.
        hidden_sizes: the width of each hidden layer.
        final_layer_bound: the final layer starts uniform in ± this; None keeps PyTorch's initialisation. Hidden
            layers always start uniform in ±1/√fan_in, which is PyTorch's initialisation and the paper's (section 7).
    """

    centre: Tensor
    half_range: Tensor

    def __init__(
        self,
        observation_space: Box,
        action_space: Box,
        hidden_sizes: Sequence[int] = (256, 256),
        final_layer_bound: float | None = 3e-3,
    ) -> None:
        super().__init__()
        sizes = [size(observation_space), *hidden_sizes]
        self.hidden = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], size(action_space))
        _initialise(self.output, final_layer_bound)
        _register_bounds(self, action_space)

    def forward(self, observations: Tensor) -> Tensor:
        """Observations `(B, obs)` to actions `(B, act)` within the bounds, in the environment's units."""
        x = observations
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.centre + self.half_range * torch.tanh(self.output(x))


class Critic(nn.Module):
    """The action value Q(s, a) (Lillicrap et al., 2015, section 3).

    Args:
        observation_space: a Box of any shape.
        action_space: a bounded Box of any shape.
        hidden_sizes: the width of each hidden layer.
        final_layer_bound: as for `Actor`.
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
        action_layer: int = 0,
    ) -> None:
        super().__init__()
        self.action_layer = action_layer
        inputs = [size(observation_space), *hidden_sizes]
        outputs = [*hidden_sizes, 1]
        inputs[action_layer] += size(action_space)
        self.layers = nn.ModuleList(nn.Linear(*sizes) for sizes in zip(inputs, outputs, strict=True))
        _initialise(self.layers[-1], final_layer_bound)
        _register_bounds(self, action_space)
        # An action that cannot vary carries no information: it maps to 0 instead of 0/0.
        self.half_range[self.half_range == 0] = 1

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Observations `(B, obs)` and actions `(B, act)`, in the environment's units, to values `(B,)`."""
        actions = (actions - self.centre) / self.half_range
        x = observations
        for index, layer in enumerate(self.layers):
            x = torch.relu(x) if index > 0 else x
            x = layer(torch.cat((x, actions), dim=-1) if index == self.action_layer else x)
        return x.squeeze(-1)


def _initialise(layer: nn.Module, bound: float | None) -> None:
    if bound is not None:
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound)


def _register_bounds(module: nn.Module, action_space: Box) -> None:
    # Buffers follow the module to its device and precision; they are the space's, not learnt, so not in state_dict.
    for name, values in zip(("centre", "half_range"), centre_and_half_range(action_space), strict=True):
        module.register_buffer(name, torch.as_tensor(values, dtype=torch.get_default_dtype()), persistent=False)
