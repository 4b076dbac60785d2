"""The networks of the tutorial's series: modules, their losses, and which modules each loss may move."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddpg.tour.ways import Way

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Network:
    """Modules and losses, with one link at which a way stands.

    Attributes:
        modules: by name, in the order in which the values pass.
        alone: the module that a loss is to leave alone.
        may_move: for each loss, the names of the modules that it is meant to train.
        losses: from the way at the link and the data `(n, width)`, all losses.
    """

    modules: dict[str, nn.Module]
    alone: str
    may_move: Mapping[str, frozenset[str]]
    losses: Callable[[Way, Tensor], Losses]

    @property
    def others(self) -> nn.ModuleList:
        """The modules beside the one that is to be left alone."""
        return nn.ModuleList(module for name, module in self.modules.items() if name != self.alone)


def chain(width: int = 16, depth: int = 1) -> Network:
    """The tutorial's: L1, then the head L2, and only L2 is to be trained. `depth` layers make up L1."""
    body, head = _layers(width, depth), nn.Linear(width, 1)

    def losses(way: Way, data: Tensor) -> Losses:
        return {"loss": head(way.actions(body, data)).square().mean()}

    return Network({"L1": body, "L2": head}, "L1", {"loss": frozenset({"L2"})}, losses)


def middle(width: int = 16, depth: int = 1) -> Network:
    """One head, with the module that is to be left alone in the middle: the first is to be trained through it."""
    first, shared, head = _layers(width, depth), _layers(width, depth), nn.Linear(width, 1)

    def losses(way: Way, data: Tensor) -> Losses:
        return {"loss": head(way.actions(shared, first(data))).square().mean()}

    modules = {"first": first, "middle": shared, "head": head}
    return Network(modules, "middle", {"loss": frozenset({"first", "head"})}, losses)


def heads(width: int = 16, depth: int = 1) -> Network:
    """Two heads on one trunk, which the value's loss alone may train; each head has the trunk run for itself."""
    trunk, value, policy = _layers(width, depth), nn.Linear(width, 1), nn.Linear(width, 1)

    def losses(way: Way, data: Tensor) -> Losses:
        return {
            "value loss": value(trunk(data)).square().mean(),
            "policy loss": -policy(way.actions(trunk, data)).mean(),
        }

    return _with_heads(trunk, value, policy, losses)


def shared(width: int = 16, depth: int = 1) -> Network:
    """The same heads on a trunk that runs once, as an encoder that only the critic trains; the way is at its output."""
    trunk, value, policy = _layers(width, depth), nn.Linear(width, 1), nn.Linear(width, 1)
    output = nn.Identity()  # the link has no parameters of its own

    def losses(way: Way, data: Tensor) -> Losses:
        features = trunk(data)
        return {
            "value loss": value(features).square().mean(),
            "policy loss": -policy(way.actions(output, features)).mean(),
        }

    return _with_heads(trunk, value, policy, losses)


def _with_heads(
    trunk: nn.Module, value: nn.Module, policy: nn.Module, losses: Callable[[Way, Tensor], Losses]
) -> Network:
    modules = {"trunk": trunk, "value": value, "policy": policy}
    may_move = {"value loss": frozenset({"trunk", "value"}), "policy loss": frozenset({"policy"})}
    return Network(modules, "trunk", may_move, losses)


NETWORKS: Mapping[str, Callable[[int, int], Network]] = {
    "chain": chain,
    "middle": middle,
    "heads": heads,
    "shared": shared,
}


def _layers(width: int, depth: int) -> nn.Module:
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.Tanh())]
    return nn.Sequential(*layers)


def made(name: str, width: int = 16, depth: int = 1, seed: int = 0) -> tuple[Network, Tensor]:
    """A network of the name, and data for it `(32, width)`, from a seed of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](width, depth), torch.randn(32, width)
