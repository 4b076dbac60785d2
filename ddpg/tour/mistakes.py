"""The mistake that is made with each way, and what comes of it, run."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.func import functional_call

from ddpg.tour.architectures import made
from ddpg.tour.autograd import gradient_norm, message
from ddpg.tour.traps import TRAPS
from ddpg.tour.trial import trial
from ddpg.tour.ways import TUTORIAL


def _of_trap(title: str) -> str:
    trap = next(each for each in TRAPS if each.title == title)
    return f"{trap.asks}: {trap.run().wrong}"


def _refused() -> str:
    network, data = made("chain")
    error = trial(network, data, TUTORIAL["inference_mode"](network.others)).error
    return f"refused: {bool(error)}"


def _cloned_inside() -> str:
    layer = nn.Linear(3, 1)
    with torch.inference_mode():
        tensor = torch.ones(2, 3).clone()
    return f"refused: {bool(message(lambda: layer(tensor)))}"


def _not_set_back() -> str:
    network, data = made("chain")
    alone = network.modules[network.alone].requires_grad_(False)
    (loss,) = network.losses(TUTORIAL["none"](network.others), data).values()
    loss.backward()
    return f"the next loss trains the module: {gradient_norm(alone) is not None}"


def _buffers() -> str:
    module = nn.BatchNorm1d(3)
    before = [buffer.clone() for buffer in module.buffers()]
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    functional_call(module, parameters, (torch.arange(12.0).reshape(4, 3),))
    return f"a BatchNorm1d keeps its running mean: {all(map(torch.equal, before, module.buffers()))}"


def _left_out() -> str:
    network, data = made("middle")
    (loss,) = network.losses(TUTORIAL["none"](network.others), data).values()
    loss.backward(inputs=list(network.modules["head"].parameters()))
    return f"the first module gets a gradient: {gradient_norm(network.modules['first']) is not None}"


_ZEROS = ("zeros, which are applied", partial(_of_trap, "A zero gradient is not no gradient"))
_TOO_MUCH = ("putting too much inside", partial(_of_trap, "no_grad around too much"))

MISTAKES: dict[str, tuple[str, Callable[[], str]]] = {
    "none": ("believing that eval() stops it", partial(_of_trap, "eval() is no stop")),
    "detach": ("writing into what it returns", partial(_of_trap, "What detach returns is the same memory")),
    "no_grad": _TOO_MUCH,
    "inference_mode": ("using in a graph what it returns", _refused),
    "inference+clone": ("cloning inside the block", _cloned_inside),
    "optimizer": ("leaving the gradient for the next loss", partial(_of_trap, "What the other loss left behind")),
    "manual": _ZEROS,
    "set_grad_enabled": _TOO_MUCH,
    "requires_grad_": ("not setting it back", _not_set_back),
    "functional_call": ("forgetting the buffers", _buffers),
    "backward(inputs=)": ("leaving out a module that is to be trained", _left_out),
    "register_hook": _ZEROS,
    "autograd.Function": _ZEROS,
}
"""By way: the mistake in words, and what comes of it."""
