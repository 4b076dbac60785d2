"""An audit of gradients, for any PyTorch training code; it knows nothing of reinforcement learning.

What `GradientFlow.findings` names, for code that says nothing of its intentions:

Faults, each with evidence:

leak: a module is moved by the steps of two optimizers on different losses; or by a step that trains another module
    although it is itself written outside optimizers as a copy of other weights (a target network); or by a step that
    applies two losses, of which the one only passes through it to what another optimizer trains. One loss that moves
    several modules is none, two optimizers stepping on one loss are none, nor one after the other (pretraining), nor
    what is declared as `shared`.
stale_gradient: a step applies what a pass left before an earlier step, if a later pass has added to it. The earlier
    step was one that holds the parameter, and the later pass is another loss's or the step had applied it already; or
    it was one that the older pass was there for. Accumulation over several passes is none.
dead_link: an optimizer steps, never has anything to apply, and no pass since the step before reached what it holds.
drift: a step moves a module whose gradient is all zeros, or None, or rows whose gradient the code zeroes; the forward
    pass moves running statistics of what is otherwise frozen; or what is declared `frozen` changes in any way.
applied_twice: two optimizers apply one gradient, one after the other, and it is not declared `shared`.

Faults with evidence, else hints:

unreached: an optimizer holds it, and no pass reaches it in all its steps. Evidence: a stop cuts off what it computes.
unheld: it gets gradients, and no optimizer holds it. Evidence: the most of its module is held, it was made or replaced
    after the optimizer, or it is not registered.

Hints, for only meaning tells; they need tracing:

self_target: the prediction and the target of one regression are trained alike.
cut_term: a term of a loss reaches nothing that a step moves, behind a stop.
constant_gradient: a gradient that was returned without a graph enters a later loss.

Costs, where they are a share of a pass worth naming:

waste: a gradient was computed and no step applied it. What `torch.autograd.grad` returns is the caller's and no waste.
tracked_target: a loss's graph, or one that a detach cut off from it, leads to parameters of a module that no optimizer
    holds and that nobody trains by hand.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpg.gradient_flow.flow import GradientFlow
    from ddpg.gradient_flow.magic import load_ipython_extension
    from ddpg.gradient_flow.places import Place
    from ddpg.gradient_flow.records import Backward, Crossing, Finding, Step

__all__ = ["Backward", "Crossing", "Finding", "GradientFlow", "Place", "Step", "load_ipython_extension"]

_MODULES = {"GradientFlow": "flow", "load_ipython_extension": "magic", "Place": "places"}


def __getattr__(name: str) -> Any:
    # On first use: the command must not load PyTorch before the script that it runs does.
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'records')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
