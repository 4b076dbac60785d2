"""What a loss's graph consists of, and how long its parts take."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node


def nodes(loss: Tensor) -> list[str]:
    """The names of the nodes of a graph, each once, from the loss upwards; empty where nothing was tracked."""
    return [type(node).__name__ for node in _walk(loss)]


def tracks(loss: Tensor, module: nn.Module) -> bool:
    """Whether a parameter of the module is a leaf of the graph."""
    parameters = {id(parameter) for parameter in module.parameters()}
    return any(id(getattr(node, "variable", None)) in parameters for node in _walk(loss))


def message(do: Callable[[], object]) -> str:
    """The first sentence with which PyTorch refuses; empty if it does not."""
    try:
        do()
    except RuntimeError as error:
        return str(error).partition(". ")[0].strip().rstrip(".")
    return ""


def _walk(loss: Tensor) -> list[Node]:
    found: list[Node] = []
    waiting: list[Node | None] = [loss.grad_fn]
    while waiting:
        node = waiting.pop(0)
        if node is not None and node not in found:
            found.append(node)
            waiting += [following for following, _ in node.next_functions]
    return found


def gradient_norm(module: nn.Module) -> float | None:
    """Of `.grad` over all parameters; None where every one is None."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return float(torch.stack([each.norm() for each in gradients]).norm()) if gradients else None
