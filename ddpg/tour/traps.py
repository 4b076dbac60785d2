"""Mistakes that look right, each run and then mended.

A trap is a training step as people write it, for the networks of `Setup`; what went wrong is measured, not told.
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddpg.gradient_flow import GradientFlow
from ddpg.tour.autograd import gradient_norm


@dataclass
class Setup:
    """An actor, a critic that values its actions, and data; the same from the same seed."""

    actor: nn.Sequential = field(default_factory=lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)))
    critic: nn.Sequential = field(default_factory=lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
    observations: Tensor = field(default_factory=lambda: torch.randn(16, 3))
    returns: Tensor = field(default_factory=lambda: torch.randn(16, 1))

    def value(self, actions: Tensor) -> Tensor:
        """The critic's value of the actions `(16, 1)`."""
        values: Tensor = self.critic(torch.cat([self.observations, actions], dim=1))
        return values

    def critic_loss(self, actions: Tensor) -> Tensor:
        """The squared distance from the returns."""
        return F.mse_loss(self.value(actions), self.returns)


@dataclass(frozen=True)
class Trap:
    """A mistake and its mend: two steps, each of which answers what is asked, and why it goes wrong."""

    title: str
    because: str
    asks: str
    wrong: Callable[[Setup], Any]
    mended: Callable[[Setup], Any]

    def run(self) -> "Outcome":
        """Run both."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            wrong = Setup()
            with GradientFlow(actor=wrong.actor, critic=wrong.critic, trace=True) as flow:
                seen = self.wrong(wrong)
            torch.manual_seed(0)
            return Outcome(_shown(seen), _shown(self.mended(Setup())), tuple(each.kind for each in flow.findings()))

    def code(self) -> tuple[str, str]:
        """The lines of the mistake and of its mend."""
        return _lines(self.wrong), _lines(self.mended)


@dataclass(frozen=True)
class Outcome:
    """What the mistake answered, what its mend did, and which findings the audit had for the mistake."""

    wrong: str
    mended: str
    findings: tuple[str, ...]


def _moved(module: nn.Module, step: Callable[[], object]) -> bool:
    """Whether a step moves the module."""
    before = [parameter.detach().clone() for parameter in module.parameters()]
    step()
    return not all(map(torch.equal, before, module.parameters()))


def _zeroed(setup: Setup) -> bool:
    both = [*setup.critic.parameters(), *setup.actor.parameters()]
    optimizer = torch.optim.Adam(both, weight_decay=0.01)
    setup.critic_loss(setup.actor(setup.observations)).backward()
    for parameter in setup.actor.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return _moved(setup.actor, optimizer.step)


def _dropped(setup: Setup) -> bool:
    both = [*setup.critic.parameters(), *setup.actor.parameters()]
    optimizer = torch.optim.Adam(both, weight_decay=0.01)
    setup.critic_loss(setup.actor(setup.observations)).backward()
    for parameter in setup.actor.parameters():
        parameter.grad = None
    return _moved(setup.actor, optimizer.step)


def _too_late(setup: Setup) -> float | None:
    actions = setup.actor(setup.observations)
    loss = setup.critic_loss(actions)
    actions = actions.detach()
    loss.backward()
    return gradient_norm(setup.actor)


def _in_time(setup: Setup) -> float | None:
    actions = setup.actor(setup.observations).detach()
    setup.critic_loss(actions).backward()
    return gradient_norm(setup.actor)


def _evaluation_mode(setup: Setup) -> float | None:
    setup.actor.eval()
    setup.critic_loss(setup.actor(setup.observations)).backward()
    return gradient_norm(setup.actor)


def _without_gradient(setup: Setup) -> float | None:
    with torch.no_grad():
        actions = setup.actor(setup.observations)
    setup.critic_loss(actions).backward()
    return gradient_norm(setup.actor)


def _alias(setup: Setup) -> bool:
    actions = setup.actor(setup.observations)
    before = actions.tolist()
    noisy = actions.detach()
    noisy += 1
    return bool(actions.tolist() != before)


def _copy(setup: Setup) -> bool:
    actions = setup.actor(setup.observations)
    before = actions.tolist()
    noisy = actions.detach().clone()
    noisy += 1
    return bool(actions.tolist() != before)


def _left_over(setup: Setup) -> float | None:
    critic_optimizer = torch.optim.SGD(setup.critic.parameters(), 0.1)
    actor_optimizer = torch.optim.SGD(setup.actor.parameters(), 0.1)
    (-setup.value(setup.actor(setup.observations)).mean()).backward()
    actor_optimizer.step()
    setup.critic_loss(setup.actor(setup.observations).detach()).backward()
    critic_optimizer.step()
    return gradient_norm(setup.critic)


def _cleared(setup: Setup) -> float | None:
    critic_optimizer = torch.optim.SGD(setup.critic.parameters(), 0.1)
    actor_optimizer = torch.optim.SGD(setup.actor.parameters(), 0.1)
    (-setup.value(setup.actor(setup.observations)).mean()).backward()
    actor_optimizer.step()
    critic_optimizer.zero_grad()
    setup.critic_loss(setup.actor(setup.observations).detach()).backward()
    critic_optimizer.step()
    return gradient_norm(setup.critic)


def _swallowed(setup: Setup) -> bool:
    optimizer = torch.optim.SGD(setup.critic.parameters(), 0.1)
    with torch.no_grad():
        actions = setup.actor(setup.observations)
        hidden = setup.critic[:2](torch.cat([setup.observations, actions], dim=1))
    F.mse_loss(setup.critic[2](hidden), setup.returns).backward()
    return _moved(setup.critic[0], optimizer.step)


def _kept(setup: Setup) -> bool:
    optimizer = torch.optim.SGD(setup.critic.parameters(), 0.1)
    with torch.no_grad():
        actions = setup.actor(setup.observations)
    hidden = setup.critic[:2](torch.cat([setup.observations, actions], dim=1))
    F.mse_loss(setup.critic[2](hidden), setup.returns).backward()
    return _moved(setup.critic[0], optimizer.step)


def _wrong_side(setup: Setup) -> float | None:
    actions = setup.actor(setup.observations)
    loss = -setup.value(actions.detach()).mean()
    loss.backward()
    return gradient_norm(setup.actor)


def _right_side(setup: Setup) -> float | None:
    setup.critic.requires_grad_(False)
    actions = setup.actor(setup.observations)
    loss = -setup.value(actions).mean()
    setup.critic.requires_grad_(True)
    loss.backward()
    return gradient_norm(setup.actor)


TRAPS = [
    Trap(
        "A zero gradient is not no gradient",
        "A weight whose `.grad` is None is skipped; zeros are a gradient, and weight decay and momentum act.",
        "the critic's step moves the actor",
        _zeroed,
        _dropped,
    ),
    Trap(
        "A stop after the fact",
        "The loss was computed from the tensor before; the name alone now means another one.",
        "the critic's loss leaves the actor a gradient of",
        _too_late,
        _in_time,
    ),
    Trap(
        "eval() is no stop",
        "It tells modules such as dropout how to behave; what is recorded does not depend on it.",
        "the critic's loss leaves the actor a gradient of",
        _evaluation_mode,
        _without_gradient,
    ),
    Trap(
        "What detach returns is the same memory",
        "It cuts the graph, and copies nothing.",
        "adding noise to it changes the original",
        _alias,
        _copy,
    ),
    Trap(
        "What the other loss left behind",
        "The actor's loss passed through the critic and left gradients there; backward adds to what is there.",
        "the critic's step applies a gradient of",
        _left_over,
        _cleared,
    ),
    Trap(
        "no_grad around too much",
        "Whatever runs inside leaves no graph, the layers that were to be trained included.",
        "the critic's first layer is trained",
        _swallowed,
        _kept,
    ),
    Trap(
        "A stop on the wrong side of the link",
        "The actor learns by what comes back through the critic: here the critic has to be held, not the link cut.",
        "the actor's own loss leaves it a gradient of",
        _wrong_side,
        _right_side,
    ),
]
"""In the order in which they are told."""


def _shown(answer: Any) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return "none" if answer is None else f"{answer:.3g}"


def _lines(step: Callable[..., Any]) -> str:
    return textwrap.dedent("\n".join(inspect.getsource(step).splitlines()[1:]))
