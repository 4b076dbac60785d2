"""An audit of gradients, for any PyTorch training code; it knows nothing of reinforcement learning.

What `GradientFlow.findings` names, for code that says nothing of its intentions:

leak: a module is moved by the steps of two optimizers on different losses, or by a step that trains another module
    although it is itself written outside optimizers as a copy of other weights (a target network). One loss that moves
    several modules is no leak, two optimizers stepping on one loss are none, nor one after the other (pretraining), nor
    what is declared as `shared`.
stale_gradient: a step applies what a pass left before an earlier step, if a later pass has added to it and either is
    another loss's, or that earlier step has applied it already. Accumulation over several passes is none.
dead_link: an optimizer steps, never has anything to apply, and no pass since the step before reached what it holds.
drift: a step moves a module whose gradient is all zeros (momentum, weight decay).
waste: a gradient was computed and no step applied it. What `torch.autograd.grad` returns is the caller's and no waste.
tracked_target: a loss's graph, or one that a detach cut off from it, leads to parameters of a module that no optimizer
    holds and that nobody trains by hand.
"""

from ddpg.gradient_flow.flow import GradientFlow
from ddpg.gradient_flow.places import Place
from ddpg.gradient_flow.records import Backward, Crossing, Finding, Step

__all__ = ["Backward", "Crossing", "Finding", "GradientFlow", "Place", "Step"]
