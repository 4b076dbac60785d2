"""One step of a network under one way: what reached each module, what moved, and whether it was as it should be."""

import functools
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_stop import GradientStop
from ddpg.tour.architectures import Network
from ddpg.tour.autograd import gradient_norm

LEARNING_RATE = 0.1


@dataclass(frozen=True)
class Trial:
    """What one step did.

    Attributes:
        error: PyTorch's own message, if it refused; there is nothing else then.
        gradients: for each module the norm of what the backward pass left in `.grad`, None where it left None.
        moved: the modules that the step moved.
        wrong: the modules that moved otherwise than by the losses that may move them.
        drifts: whether a module that no loss may move moves all the same under Adam with weight decay, once that has
            a history.
        saved: bytes that the forward pass hands to autograd, without parameters; some of it may be let go at once.
        held: bytes that the loss's graph still holds before the backward pass.
        computed: bytes of the parameters' gradients that the backward pass computes, whatever becomes of them.
        flow: the audit, traced.
    """

    error: str | None = None
    gradients: dict[str, float | None] = field(default_factory=dict)
    moved: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    drifts: bool = False
    saved: int = 0
    held: int = 0
    computed: int = 0
    flow: GradientFlow | None = None

    @property
    def as_meant(self) -> bool:
        """Whether every parameter moved as by the losses that may move it, and no other."""
        return self.error is None and not self.wrong and not self.drifts


def step(network: Network, data: Tensor, way: GradientStop, optimizer: torch.optim.Optimizer) -> None:
    """One step down the sum of the network's losses."""
    for module in network.modules.values():
        module.zero_grad()
    loss = functools.reduce(torch.add, network.losses(way, data).values())
    way.backward(loss, network.modules[network.alone], 1)
    optimizer.step()


def trial(network: Network, data: Tensor, way: GradientStop) -> Trial:
    """Train a new network for one step of plain gradient descent."""
    alone = network.modules[network.alone]
    optimizer = torch.optim.SGD(way.held_parameters(network.others, alone), LEARNING_RATE)
    expected = _ideal(network, data)
    before = weights(network)
    try:
        saved = _saved(network, data, way)
        with GradientFlow(network.modules, trace=True) as flow:
            step(network, data, way, optimizer)
    except RuntimeError as error:
        return Trial(error=str(error))
    after = weights(network)
    gradients = {name: gradient_norm(module) for name, module in network.modules.items()}
    return Trial(
        None,
        gradients,
        tuple(name for name in before if not _close(before[name], after[name], 0.0)),
        tuple(name for name in before if not _close(expected[name], after[name], 1e-6)),
        _drifts(network, data, way),
        saved,
        flow.backwards[0].bytes,
        sum(
            network.modules[name].get_parameter(key.removeprefix(f"{name}.")).nbytes
            for name, keys in flow.backwards[0].parameters.items()
            for key in keys
        ),
        flow,
    )


def _drifts(network: Network, data: Tensor, way: GradientStop) -> bool:
    if any(network.alone in names for names in network.may_move.values()):
        return False
    alone = network.modules[network.alone]
    optimizer = torch.optim.Adam(way.held_parameters(network.others, alone), weight_decay=0.01)
    step(network, data, GradientStop.make("none"), optimizer)
    before = weights(network)[network.alone]
    step(network, data, way, optimizer)
    return not _close(before, weights(network)[network.alone], 0.0)


def _saved(network: Network, data: Tensor, way: GradientStop) -> int:
    parameters = {each.data_ptr() for module in network.modules.values() for each in module.parameters()}
    bytes_: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            bytes_[tensor.data_ptr()] = tensor.nbytes
            kept.append(tensor)  # so that no other is put in its place meanwhile
        return tensor

    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network.losses(way, data)
    return sum(bytes_.values())


def _ideal(network: Network, data: Tensor) -> dict[str, list[Tensor]]:
    """The weights after a step in which every loss moves the modules that it may move, and no other."""
    losses = network.losses(GradientStop.make("none"), data)
    after = weights(network)
    for loss, names in network.may_move.items():
        for name in names:
            parameters = list(network.modules[name].parameters())
            gradients = torch.autograd.grad(losses[loss], parameters, retain_graph=True)
            for weight, gradient in zip(after[name], gradients, strict=True):
                weight -= LEARNING_RATE * gradient
    return after


def weights(network: Network) -> dict[str, list[Tensor]]:
    """Copies of the parameters of each module."""
    return {name: [each.detach().clone() for each in module.parameters()] for name, module in network.modules.items()}


def _close(some: list[Tensor], others: list[Tensor], tolerance: float) -> bool:
    return all(torch.allclose(one, other, rtol=0, atol=tolerance) for one, other in zip(some, others, strict=True))
