"""Every way side by side: what it does to the gradient, what it saves, if a compiler takes it, if it can be undone."""

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ddpg.tour.networks import NETWORKS, made
from ddpg.tour.trial import Trial, step, trial, weights
from ddpg.tour.ways import BEYOND, SCALING, TUTORIAL, Way

ALL = {**TUTORIAL, **BEYOND}

# The mistake that is made with each, and the trap or the table that shows it.
MISTAKES: Mapping[str, str] = {
    "none": "believing that eval() stops it",
    "detach": "writing into what it returns, which is the same memory",
    "no_grad": "putting too much inside it",
    "inference_mode": "using what it returns in a graph",
    "inference_mode+clone": "cloning inside the block, where the clone is an inference tensor too",
    "optimizer": "leaving the gradient there for the next loss",
    "manual": "zeros instead of None",
    "set_grad_enabled": "putting too much inside it",
    "requires_grad_": "forgetting to set it back",
    "functional_call": "forgetting the buffers, which it takes from the module",
    "backward(inputs=)": "leaving out a module that is to be trained",
    "register_hook": "zeros are applied: momentum and weight decay go on",
    "autograd.Function": "zeros are applied: momentum and weight decay go on",
}


@dataclass(frozen=True)
class Comparison:
    """One way.

    Attributes:
        trials: by the network's name.
        upstream: the gradient of what lies before the module: "stopped", "passes", or "zeroed".
        scales: whether it can halve the module's gradient instead.
        saves: bytes of the graph that it spares, of the control's, on the chain.
        compiles: whether torch.compile traces the loss as one graph.
        undone: whether the next step can train the module again, with the same optimizer.
    """

    trials: Mapping[str, Trial]
    upstream: str
    scales: bool
    saves: int
    compiles: bool
    undone: bool


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


def choice(trials: Mapping[str, Trial], ways: Sequence[str] = tuple(ALL)) -> list[str]:
    """The ways that do as meant, by the memory they hold, the gradients they compute, and what they save on the way."""
    fit = [way for way in ways if trials[way].as_meant]
    return sorted(fit, key=lambda way: (trials[way].held, trials[way].computed, trials[way].saved))


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


def _compiles(name: str) -> bool:
    network, data = made("chain")
    way = ALL[name](network.others)
    torch.compiler.reset()
    # What is asked is whether it can be traced; which machine code would come of it is another question.
    compiled = torch.compile(lambda data: network.losses(way, data)["loss"], fullgraph=True, backend="eager")
    try:
        with warnings.catch_warnings(action="ignore"):  # of PyTorch, about PyTorch
            compiled(data).backward()
    except Exception:  # whatever the compiler and what it calls may raise
        return False
    finally:
        torch.compiler.reset()
    return True


def _undone(name: str) -> bool:
    network, data = made("chain")
    way, alone = ALL[name](network.others), network.modules[network.alone]
    optimizer = torch.optim.SGD(way.held_parameters(network.others, alone), 0.1)
    with contextlib.suppress(RuntimeError):  # of the one that is refused
        step(network, data, way, optimizer)
    before = weights(network)[network.alone]
    step(network, data, Way.make("none"), optimizer)
    return not all(map(torch.equal, before, weights(network)[network.alone]))
