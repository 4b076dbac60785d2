"""Every way side by side: what it does to the gradient, what it saves, if a compiler takes it, if it can be undone."""

import contextlib
import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch._dynamo

from ddpg.tour.architectures import NETWORKS, made
from ddpg.tour.autograd import gradient_norm
from ddpg.tour.trial import Trial, step, trial, weights
from ddpg.tour.ways import BEYOND, SCALING, TUTORIAL, Way

ALL = {**TUTORIAL, **BEYOND}


@dataclass(frozen=True)
class Comparison:
    """One way.

    Attributes:
        trials: by the network's name.
        upstream: the gradient of what lies before the module: "stopped", "passes", or "zeroed".
        scales: whether it can halve the module's gradient instead.
        saves: bytes of the graph that it spares, of the control's, on the chain.
        compiles: "yes" if torch.compile traces the loss as one graph that still stops the gradient, "no" if not,
            "outside" if nothing of the way is in the loss.
        undone: whether the next step can train the module again, with the optimizer as it is.
    """

    trials: Mapping[str, Trial]
    upstream: str
    scales: bool
    saves: int
    compiles: str
    undone: bool


@functools.cache
def trials_of(name: str) -> dict[str, Trial]:
    """A network under every way."""
    found = {}
    for way, make in ALL.items():
        network, data = made(name)
        found[way] = trial(network, data, make(network.others))
    return found


def comparisons() -> dict[str, Comparison]:
    """Every way."""
    by_network = {name: trials_of(name) for name in NETWORKS}
    control = by_network["chain"]["none"]
    return {
        way: Comparison(
            {name: trials[way] for name, trials in by_network.items()},
            _upstream(by_network["middle"][way]),
            way in SCALING and _scales(way),
            control.held - by_network["chain"][way].held if by_network["chain"][way].error is None else 0,
            _compiles(way),
            _undone(way),
        )
        for way in ALL
    }


def choice(trials: Mapping[str, Trial]) -> list[list[str]]:
    """The ways that do as meant, those that cost the same together, the cheapest first.

    By the memory that the graph holds, the gradients that are computed, and what the forward pass saves on the way.
    """
    cost = {way: (each.held, each.computed, each.saved) for way, each in trials.items() if each.as_meant}
    return [[way for way in cost if cost[way] == each] for each in sorted(set(cost.values()))]


def _upstream(result: Trial) -> str:
    if result.error is not None:
        return "refused"
    gradient = result.gradients["first"]
    return "stopped" if gradient is None else "passes" if gradient else "zeroed"


def _scales(name: str) -> bool:
    norms = []
    for way in (Way.make("none"), SCALING[name](0.5)):
        network, data = made("chain")
        norms.append(trial(network, data, way).gradients[network.alone] or 0.0)
    return abs(norms[1] / norms[0] - 0.5) < 1e-6


def _compiles(name: str) -> str:
    """What becomes of a way when the loss is one graph of torch.compile's."""
    network, _ = made("chain")
    if "actions" not in vars(type(ALL[name](network.others))):
        return "outside"
    return "yes" if _traced_as_meant(name) else "no"


def _traced_as_meant(name: str) -> bool:
    network, data = made("chain")
    way, alone = ALL[name](network.others), network.modules[network.alone]
    torch.compiler.reset()
    # Whether it can be traced, forwards and backwards; which machine code would come of it is another question.
    compiled = torch.compile(lambda data: network.losses(way, data)["loss"], fullgraph=True, backend="aot_eager")
    try:
        with warnings.catch_warnings(action="ignore"):  # of PyTorch, about PyTorch
            way.backward(compiled(data), alone, 1)
    except (torch._dynamo.exc.TorchDynamoException, RuntimeError):
        return False
    finally:
        torch.compiler.reset()
    return not gradient_norm(alone) and bool(gradient_norm(network.others))


def _undone(name: str) -> bool:
    network, data = made("chain")
    way, alone = ALL[name](network.others), network.modules[network.alone]
    optimizer = torch.optim.SGD(way.held_parameters(network.others, alone), 0.1)
    with contextlib.suppress(RuntimeError):  # of the one that is refused
        step(network, data, way, optimizer)
    before = weights(network)[network.alone]
    step(network, data, Way.make("none"), optimizer)
    return not all(map(torch.equal, before, weights(network)[network.alone]))
