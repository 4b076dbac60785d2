"""A gallery of training loops in which a gradient goes where it should not, each beside its mended twin.

A case is a class with two loops. `faulty` holds one fault as people make it; `mended` is the same loop without it. Both
take `audit`, called as `audit(actor=actor, critic=critic)`, train inside it, and return what it yielded. A trailing
comment says what an audit has to find on that line, as `kind(module)`, separated by commas, or `kind?(module)` for
what is no more than a hint; on every other line, and in every loop without such a comment, it has to find nothing. The
module is named as the audit is given it, also where a part of it is meant, and left out where none of those given is
concerned; several modules in one pair of brackets are one finding. The kinds:

    leak               two losses move the module through different optimizers, or one moves what is otherwise a copy
    stale_gradient     a step applies a gradient that an earlier step should have had to itself
    dead_link          an optimizer steps, and no loss reaches what it holds
    drift              the module moves though its gradient is zero or none, or though it is frozen
    applied_twice      two optimizers apply one gradient, one after the other
    unreached          an optimizer holds the module, and no loss ever reaches it
    unheld             gradients are computed for parameters that no optimizer holds and that are no copy of others
    self_target        a regression's target comes from the network that it trains, with its graph
    cut_term           a term of a loss reaches nothing that the step moves
    constant_gradient  a gradient without its graph enters a later loss
    waste              a gradient is computed into the module, and no step applies it
    tracked_target     a graph is recorded through a trainable copy that nothing trains

The last two are costs, and what is marked with `?` is a hint; the others are faults. A leak, an `unheld`, a
`self_target`, a `cut_term` and a `tracked_target` are marked where the module is called, statistics that move as well,
a `constant_gradient` where the gradient is taken, a waste at the backward pass, and everything else at the step.

The networks are tiny and the data are noise: a loop shows where its gradients go, and learns nothing worth having.
"""

import copy
import functools
import inspect
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.distributions import Categorical, Normal
from torch.func import functional_call
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer, RMSprop

Audit = Callable[..., AbstractContextManager[Any]]
"""What opens an audit: `audit(actor=actor, critic=critic)`.

With `shared="encoder"` for what several losses may train, and `frozen="encoder"` for what is not to move.
"""

Loop = Callable[[Audit], Any]


@dataclass(frozen=True)
class Case:
    """One fault.

    Args:
        name: the class's name, in words joined by underscores.
        title: the fault, as one would say it.
        mend: how the twin mends it.
        faulty: the loop with the fault; takes the audit and returns what it yielded.
        mended: the twin.
    """

    name: str
    title: str
    mend: str
    faulty: Loop
    mended: Loop


CASES: list[Case] = []


def case(title: str, *, mends: str) -> Callable[[type], type]:
    """Enter a class with the static methods `faulty` and `mended` into `CASES`."""

    def enter(loops: Any) -> type:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", loops.__name__).lower()
        CASES.append(Case(name, title, mends, seeded(loops.faulty), seeded(loops.mended)))
        return loops  # type: ignore[no-any-return]

    return enter


def seeded(loop: Loop) -> Loop:
    """The loop with the same random numbers on every run; the caller's generator is left as it was."""

    @functools.wraps(loop)
    def run(audit: Audit) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return loop(audit)

    return run


# What the loops share: networks, data and the slow copy. No module is called here but by its own class.


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Two layers; tanh, so that no unit is dead and no gradient zero by accident."""
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


class Actor(nn.Module):
    """μ(s) `(B, act)` in −1 ... 1 for s `(B, obs)`."""

    def __init__(self, observations: int = 3) -> None:
        super().__init__()
        self.net = mlp(observations, 2)

    def forward(self, observations: Tensor) -> Tensor:
        return torch.tanh(self.net(observations))


class Critic(nn.Module):
    """Q(s, a) `(B,)` for s `(B, obs)` and a `(B, act)`."""

    def __init__(self, observations: int = 3) -> None:
        super().__init__()
        self.net = mlp(observations + 2, 1)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        values: Tensor = self.net(torch.cat((observations, actions), dim=-1))
        return values.squeeze(-1)


def frozen(module: nn.Module) -> Any:
    """A copy whose parameters ask for no gradient."""
    return copy.deepcopy(module).requires_grad_(False)


def replay(rows: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch of transitions: s `(B, 3)`, a `(B, 2)`, r `(B,)`, s' `(B, 3)`."""
    return torch.randn(rows, 3), torch.randn(rows, 2).tanh(), torch.randn(rows), torch.randn(rows, 3)


def rollout(rows: int = 8) -> tuple[Tensor, Tensor]:
    """What was seen and what came of it: s `(B, 3)` and the returns `(B,)`."""
    return torch.randn(rows, 3), torch.randn(rows)


def labelled(rows: int = 8) -> tuple[Tensor, Tensor]:
    """Inputs `(B, 3)` and one of three classes for each, `(B,)`."""
    return torch.randn(rows, 3), torch.randint(3, (rows,))


def sine_task(rows: int = 8) -> tuple[Tensor, Tensor]:
    """A sine of some amplitude and phase, sampled: x `(B, 1)` and y `(B, 1)`."""
    amplitude, phase, x = 1 + torch.rand(1), torch.rand(1), torch.randn(rows, 1)
    return x, amplitude * torch.sin(x + phase)


@torch.no_grad()
def polyak(source: nn.Module, target: nn.Module, tau: float = 0.1) -> None:
    """Move `target` a step towards `source`: θ' ← (1 − τ) θ' + τ θ."""
    for new, slow in zip(source.parameters(), target.parameters(), strict=True):
        slow.lerp_(new, tau)


def optimize(optimizer: Optimizer, loss: Tensor) -> None:
    """One helper for every loss, as trainers have it."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Tower(nn.Module):
    """Three layers, each a part with a name: logits `(B, 3)` for inputs `(B, 3)`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.body(torch.tanh(self.stem(images)))))
        return logits


class Cut(nn.Module):
    """Cuts off what lies before it."""

    def forward(self, features: Tensor) -> Tensor:
        return features.detach()


def nearest(codebook: nn.Embedding, features: Tensor) -> Tensor:
    """The index of the code next to each of the features `(B, 4)`, `(B,)`."""
    return torch.cdist(features.detach(), codebook.weight.detach()).argmin(dim=-1)


# Leaks: a loss moves what is another's to move.


@case(
    "The TD target runs through the online actor, and the critic's optimizer holds both networks",
    mends="the target is computed under no_grad",
)
class TdTargetThroughTheOnlineActor:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = frozen(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam([*critic.parameters(), *actor.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                next_actions = actor(next_observations)  # finds: leak(actor)
                targets = rewards + 0.9 * target_critic(next_observations, next_actions)
                critic_loss = F.mse_loss(critic(observations, actions), targets)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
                polyak(critic, target_critic)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = frozen(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam([*critic.parameters(), *actor.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                with torch.no_grad():
                    next_actions = actor(next_observations)
                    targets = rewards + 0.9 * target_critic(next_observations, next_actions)
                critic_loss = F.mse_loss(critic(observations, actions), targets)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
                polyak(critic, target_critic)
        return flow


@case(
    "The actor's optimizer holds the critic too, and raises Q by moving the critic",
    mends="the actor's optimizer holds the actor alone, and backward is asked for the actor's gradients only",
)
class ActorOptimizerHoldsTheCritic:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = SGD(critic.parameters(), lr=0.1)
        actor_optimizer = SGD([*actor.parameters(), *critic.parameters()], lr=0.1)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_optimizer.zero_grad()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_loss.backward()
                critic_optimizer.step()

                actor_optimizer.zero_grad()
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()  # finds: leak(critic)
                actor_loss.backward()
                actor_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = SGD(critic.parameters(), lr=0.1)
        actor_optimizer = SGD(actor.parameters(), lr=0.1)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_optimizer.zero_grad()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_loss.backward()
                critic_optimizer.step()

                actor_optimizer.zero_grad()
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
        return flow


@case(
    "The advantage is not detached, so the policy gradient trains the critic that judges it",
    mends="the values are detached in the policy's loss",
)
class AdvantageNotDetached:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, returns = rollout()
                value_loss = F.mse_loss(critic(observations).squeeze(-1), returns)
                critic_optimizer.zero_grad()
                value_loss.backward()
                critic_optimizer.step()

                distribution = Categorical(logits=actor(observations))
                values = critic(observations).squeeze(-1)  # finds: leak(critic)
                advantages = returns - values
                policy_loss = -(distribution.log_prob(distribution.sample()) * advantages).mean()
                actor_optimizer.zero_grad()
                policy_loss.backward()
                actor_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, returns = rollout()
                value_loss = F.mse_loss(critic(observations).squeeze(-1), returns)
                critic_optimizer.zero_grad()
                value_loss.backward()
                critic_optimizer.step()

                distribution = Categorical(logits=actor(observations))
                values = critic(observations).squeeze(-1)
                advantages = returns - values.detach()
                policy_loss = -(distribution.log_prob(distribution.sample()) * advantages).mean()
                actor_optimizer.zero_grad()
                policy_loss.backward()
                actor_optimizer.step()
        return flow


@case(
    "The actor trains the encoder that the critic's loss is there to train",
    mends="the actor sees detached features, as in DrQ-v2",
)
class ActorTrainsTheEncoder:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, actor, critic = mlp(3, 4), Actor(4), Critic(4)
        encoder_optimizer = Adam(encoder.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam([*actor.parameters(), *encoder.parameters()], lr=1e-2)
        with audit(encoder=encoder, actor=actor, critic=critic) as flow:
            for _ in range(3):
                images, actions, rewards, _ = replay()
                features = encoder(images)
                critic_loss = F.mse_loss(critic(features, actions), rewards)
                encoder_optimizer.zero_grad()
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()
                encoder_optimizer.step()

                features = encoder(images)  # finds: leak(encoder)
                critic.requires_grad_(False)
                policy_actions = actor(features)
                actor_loss = -critic(features, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, actor, critic = mlp(3, 4), Actor(4), Critic(4)
        encoder_optimizer = Adam(encoder.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(encoder=encoder, actor=actor, critic=critic) as flow:
            for _ in range(3):
                images, actions, rewards, _ = replay()
                features = encoder(images)
                critic_loss = F.mse_loss(critic(features, actions), rewards)
                encoder_optimizer.zero_grad()
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()
                encoder_optimizer.step()

                features = encoder(images).detach()
                critic.requires_grad_(False)
                policy_actions = actor(features)
                actor_loss = -critic(features, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow


@case(
    "Two heads with an optimizer each pull at one backbone, and nobody says that this is meant",
    mends="the backbone is declared shared",
)
class BackboneOfTwoHeads:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        backbone, depth_head, pose_head = mlp(3, 4), nn.Linear(4, 1), nn.Linear(4, 2)
        depth_optimizer = Adam([*depth_head.parameters(), *backbone.parameters()], lr=1e-2)
        pose_optimizer = Adam([*pose_head.parameters(), *backbone.parameters()], lr=1e-2)

        def features_of(images: Tensor) -> Any:
            augmented = images + 0.1 * torch.randn_like(images)
            return backbone(augmented)  # finds: leak(backbone)

        with audit(backbone=backbone, depth_head=depth_head, pose_head=pose_head) as flow:
            for _ in range(3):
                images, poses, depths, _ = replay()
                depth_loss = F.mse_loss(depth_head(features_of(images)).squeeze(-1), depths)
                depth_optimizer.zero_grad()
                depth_loss.backward()
                depth_optimizer.step()

                pose_loss = F.mse_loss(pose_head(features_of(images)), poses)
                pose_optimizer.zero_grad()
                pose_loss.backward()
                pose_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        backbone, depth_head, pose_head = mlp(3, 4), nn.Linear(4, 1), nn.Linear(4, 2)
        depth_optimizer = Adam([*depth_head.parameters(), *backbone.parameters()], lr=1e-2)
        pose_optimizer = Adam([*pose_head.parameters(), *backbone.parameters()], lr=1e-2)

        def features_of(images: Tensor) -> Any:
            augmented = images + 0.1 * torch.randn_like(images)
            return backbone(augmented)

        with audit(backbone=backbone, depth_head=depth_head, pose_head=pose_head, shared=("backbone",)) as flow:
            for _ in range(3):
                images, poses, depths, _ = replay()
                depth_loss = F.mse_loss(depth_head(features_of(images)).squeeze(-1), depths)
                depth_optimizer.zero_grad()
                depth_loss.backward()
                depth_optimizer.step()

                pose_loss = F.mse_loss(pose_head(features_of(images)), poses)
                pose_optimizer.zero_grad()
                pose_loss.backward()
                pose_optimizer.step()
        return flow


@case(
    "The target network is in the optimizer, and its own TD error pulls at it between the slow updates",
    mends="the target is computed under no_grad, and the optimizer holds the critic alone",
)
class TargetNetworkInTheOptimizer:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        critic = Critic()
        target_critic = copy.deepcopy(critic)
        optimizer = Adam([*critic.parameters(), *target_critic.parameters()], lr=1e-2)
        with audit(critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                next_values = target_critic(next_observations, actions)  # finds: leak(target_critic)
                values = critic(observations, actions)
                loss = F.mse_loss(values, rewards + 0.9 * next_values)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                for new, slow in zip(critic.parameters(), target_critic.parameters(), strict=True):
                    slow.data.copy_(0.1 * new.data + 0.9 * slow.data)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        critic = Critic()
        target_critic = copy.deepcopy(critic)
        optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                with torch.no_grad():
                    next_values = target_critic(next_observations, actions)
                values = critic(observations, actions)
                loss = F.mse_loss(values, rewards + 0.9 * next_values)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                for new, slow in zip(critic.parameters(), target_critic.parameters(), strict=True):
                    slow.data.copy_(0.1 * new.data + 0.9 * slow.data)
        return flow


@case(
    "The discriminator's optimizer holds the generator, which learns to be told apart",
    mends="the discriminator's optimizer holds the discriminator alone, and its fakes are detached",
)
class DiscriminatorOptimizerHoldsTheGenerator:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        d_optimizer = Adam([*discriminator.parameters(), *generator.parameters()], lr=1e-2)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                real_scores = discriminator(torch.randn(8, 3))
                fake = generator(torch.randn(8, 2))  # finds: leak(generator)
                fake_scores = discriminator(fake)
                d_loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
                d_optimizer.zero_grad()
                d_loss.backward()
                d_optimizer.step()

                discriminator.requires_grad_(False)
                fake = generator(torch.randn(8, 2))
                g_loss = F.softplus(-discriminator(fake)).mean()
                g_optimizer.zero_grad()
                g_loss.backward()
                g_optimizer.step()
                discriminator.requires_grad_(True)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        d_optimizer = Adam(discriminator.parameters(), lr=1e-2)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                real_scores = discriminator(torch.randn(8, 3))
                fake = generator(torch.randn(8, 2)).detach()
                fake_scores = discriminator(fake)
                d_loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
                d_optimizer.zero_grad()
                d_loss.backward()
                d_optimizer.step()

                discriminator.requires_grad_(False)
                fake = generator(torch.randn(8, 2))
                g_loss = F.softplus(-discriminator(fake)).mean()
                g_optimizer.zero_grad()
                g_loss.backward()
                g_optimizer.step()
                discriminator.requires_grad_(True)
        return flow


@case(
    "eval() is taken for a freeze: it switches dropout off and lets every gradient pass",
    mends="requires_grad_(False) while the actor's loss is computed",
)
class EvalIsNoFreeze:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                critic.eval()
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()  # finds: leak(critic)
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                critic.train()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                critic.requires_grad_(False)
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow


@case(
    "A linear probe trains the encoder that it is to judge; one helper serves both losses",
    mends="the probe reads detached features, and its optimizer holds the probe alone",
)
class ProbeTrainsTheEncoder:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, probe = mlp(3, 4), nn.Linear(4, 3)
        encoder_optimizer = SGD(encoder.parameters(), lr=0.1)
        probe_optimizer = SGD([*probe.parameters(), *encoder.parameters()], lr=0.1)

        def optimise(loss: Tensor, optimizer: Optimizer) -> None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        with audit(encoder=encoder, probe=probe) as flow:
            for _ in range(3):
                images, labels = labelled()
                codes = encoder(images)
                optimise(F.mse_loss(codes, torch.randn(8, 4)), encoder_optimizer)
                features = encoder(images)  # finds: leak(encoder)
                logits = probe(features)
                optimise(F.cross_entropy(logits, labels), probe_optimizer)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, probe = mlp(3, 4), nn.Linear(4, 3)
        encoder_optimizer = SGD(encoder.parameters(), lr=0.1)
        probe_optimizer = SGD(probe.parameters(), lr=0.1)

        def optimise(loss: Tensor, optimizer: Optimizer) -> None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        with audit(encoder=encoder, probe=probe) as flow:
            for _ in range(3):
                images, labels = labelled()
                codes = encoder(images)
                optimise(F.mse_loss(codes, torch.randn(8, 4)), encoder_optimizer)
                features = encoder(images).detach()
                logits = probe(features)
                optimise(F.cross_entropy(logits, labels), probe_optimizer)
        return flow


@case(
    "One loop over pairs of loss and optimizer; the critic's optimizer holds the actor as well",
    mends="the critic's optimizer holds the critic alone, and each loss is asked only for what its optimizer holds",
)
class LoopOverPairs:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = frozen(critic)
        critic_optimizer = Adam([*critic.parameters(), *actor.parameters()], lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)

        def critic_loss() -> Tensor:
            observations, actions, rewards, next_observations = replay()
            next_actions = actor(next_observations)  # finds: leak(actor)
            targets = rewards + 0.9 * target_critic(next_observations, next_actions)
            return F.mse_loss(critic(observations, actions), targets)

        def actor_loss() -> Tensor:
            observations = replay()[0]
            actions = actor(observations)
            values: Tensor = critic(observations, actions)
            return -values.mean()

        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                for loss_of, optimizer in ((critic_loss, critic_optimizer), (actor_loss, actor_optimizer)):
                    optimizer.zero_grad()
                    loss = loss_of()
                    loss.backward()  # finds: waste(critic)
                    optimizer.step()
                polyak(critic, target_critic)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = frozen(critic)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)

        def critic_loss() -> Tensor:
            observations, actions, rewards, next_observations = replay()
            next_actions = actor(next_observations)
            targets = rewards + 0.9 * target_critic(next_observations, next_actions)
            return F.mse_loss(critic(observations, actions), targets)

        def actor_loss() -> Tensor:
            observations = replay()[0]
            actions = actor(observations)
            values: Tensor = critic(observations, actions)
            return -values.mean()

        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                for loss_of, optimizer in ((critic_loss, critic_optimizer), (actor_loss, actor_optimizer)):
                    optimizer.zero_grad()
                    loss = loss_of()
                    loss.backward(inputs=[held for group in optimizer.param_groups for held in group["params"]])
                    optimizer.step()
                polyak(critic, target_critic)
        return flow


@case(
    "One helper optimizes every loss; the actor's optimizer holds the critic too",
    mends="the actor's optimizer holds the actor alone, and the critic is frozen meanwhile",
)
class OneHelperForEveryLoss:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                optimize(critic_optimizer, critic_loss)

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()  # finds: leak(critic)
                optimize(actor_optimizer, actor_loss)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                optimize(critic_optimizer, critic_loss)

                critic.requires_grad_(False)
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                optimize(actor_optimizer, actor_loss)
                critic.requires_grad_(True)
        return flow


@case(
    "The policy's optimizer holds the temperature as well, a plain tensor, which the entropy bonus drives up",
    mends="the temperature is a number in the policy's loss, and its own optimizer alone holds it",
)
class PolicyOptimizerHoldsTheTemperature:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, log_alpha = mlp(3, 4), torch.zeros(1, requires_grad=True)
        actor_optimizer = Adam([*actor.parameters(), log_alpha], lr=1e-2)
        alpha_optimizer = Adam([log_alpha], lr=1e-2)
        with audit(actor=actor, log_alpha=log_alpha) as flow:
            for _ in range(3):
                observations, returns = rollout()
                distribution = Categorical(logits=actor(observations))
                entropies = distribution.entropy()
                wanted = -distribution.log_prob(distribution.sample()) * returns
                actor_optimizer.zero_grad()
                (wanted - log_alpha.exp() * entropies).mean().backward()  # finds: leak(log_alpha)
                actor_optimizer.step()

                alpha_optimizer.zero_grad()
                (log_alpha.exp() * (entropies.detach() - 1)).mean().backward()
                alpha_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, log_alpha = mlp(3, 4), torch.zeros(1, requires_grad=True)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        alpha_optimizer = Adam([log_alpha], lr=1e-2)
        with audit(actor=actor, log_alpha=log_alpha) as flow:
            for _ in range(3):
                observations, returns = rollout()
                distribution = Categorical(logits=actor(observations))
                entropies = distribution.entropy()
                wanted = -distribution.log_prob(distribution.sample()) * returns
                actor_optimizer.zero_grad()
                (wanted - log_alpha.exp().item() * entropies).mean().backward()
                actor_optimizer.step()

                alpha_optimizer.zero_grad()
                (log_alpha.exp() * (entropies.detach() - 1)).mean().backward()
                alpha_optimizer.step()
        return flow


@case(
    "Both losses are sent backward before either optimizer steps, and the critic's step raises Q with the actor's loss",
    mends="the actor's loss is asked for the actor's gradients only",
)
class BothBackwardBeforeEitherSteps:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()  # finds: leak(critic)
                actor_optimizer.zero_grad()
                actor_loss.backward()

                critic_optimizer.step()
                actor_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))

                critic_optimizer.step()
                actor_optimizer.step()
        return flow


@case(
    "Discriminator and generator are sent backward first and step afterwards, and the fakes are not detached",
    mends="the fakes are detached, and the discriminator is frozen while the generator is judged",
)
class GanStepsAfterBothBackwardPasses:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        d_optimizer = Adam(discriminator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                real, fake = torch.randn(8, 3), generator(torch.randn(8, 2))
                d_loss = F.softplus(discriminator(fake)).mean() + F.softplus(-discriminator(real)).mean()
                d_optimizer.zero_grad()
                d_loss.backward(retain_graph=True)  # finds: waste(generator)

                g_loss = F.softplus(-discriminator(fake)).mean()  # finds: leak(discriminator)
                g_optimizer.zero_grad()
                g_loss.backward()

                d_optimizer.step()
                g_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        d_optimizer = Adam(discriminator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                real, fake = torch.randn(8, 3), generator(torch.randn(8, 2))
                d_loss = F.softplus(discriminator(fake.detach())).mean() + F.softplus(-discriminator(real)).mean()
                d_optimizer.zero_grad()
                d_loss.backward()

                discriminator.requires_grad_(False)
                g_loss = F.softplus(-discriminator(fake)).mean()
                g_optimizer.zero_grad()
                g_loss.backward()
                discriminator.requires_grad_(True)

                d_optimizer.step()
                g_optimizer.step()
        return flow


# One gradient, two steps.


@case(
    "The encoder has an optimizer of its own and is in the decoder's as well: every gradient is applied twice",
    mends="the decoder's optimizer holds the decoder alone",
)
class EncoderInBothOptimizers:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, decoder = mlp(3, 4), mlp(4, 3)
        encoder_optimizer = SGD(encoder.parameters(), lr=0.1)
        decoder_optimizer = SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
        with audit(encoder=encoder, decoder=decoder) as flow:
            for _ in range(3):
                images, _ = labelled()
                loss = F.mse_loss(decoder(encoder(images)), images)
                encoder_optimizer.zero_grad()
                decoder_optimizer.zero_grad()
                loss.backward()
                encoder_optimizer.step()
                decoder_optimizer.step()  # finds: applied_twice(encoder)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, decoder = mlp(3, 4), mlp(4, 3)
        encoder_optimizer = SGD(encoder.parameters(), lr=0.1)
        decoder_optimizer = SGD(decoder.parameters(), lr=0.1)
        with audit(encoder=encoder, decoder=decoder) as flow:
            for _ in range(3):
                images, _ = labelled()
                loss = F.mse_loss(decoder(encoder(images)), images)
                encoder_optimizer.zero_grad()
                decoder_optimizer.zero_grad()
                loss.backward()
                encoder_optimizer.step()
                decoder_optimizer.step()
        return flow


@case(
    "The word vectors are tied to the output layer, and reader and writer have an optimizer each",
    mends="the writer's optimizer leaves the tied weight out",
)
class TiedWordVectors:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        reader = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 4))
        writer = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 6, bias=False))
        writer[2].weight = reader[0].weight
        reader_optimizer = Adam(reader.parameters(), lr=1e-2)
        writer_optimizer = Adam(writer.parameters(), lr=1e-2)
        with audit(reader=reader, writer=writer) as flow:
            for _ in range(3):
                words, following = torch.randint(6, (8,)), torch.randint(6, (8,))
                loss = F.cross_entropy(writer(reader(words)), following)
                reader_optimizer.zero_grad()
                writer_optimizer.zero_grad()
                loss.backward()
                reader_optimizer.step()
                writer_optimizer.step()  # finds: applied_twice(reader, writer)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        reader = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 4))
        writer = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 6, bias=False))
        writer[2].weight = reader[0].weight
        reader_optimizer = Adam(reader.parameters(), lr=1e-2)
        writer_optimizer = Adam(writer[0].parameters(), lr=1e-2)
        with audit(reader=reader, writer=writer) as flow:
            for _ in range(3):
                words, following = torch.randint(6, (8,)), torch.randint(6, (8,))
                loss = F.cross_entropy(writer(reader(words)), following)
                reader_optimizer.zero_grad()
                writer_optimizer.zero_grad()
                loss.backward()
                reader_optimizer.step()
                writer_optimizer.step()
        return flow


# Targets that a graph runs through, and gradients that nobody applies.


@case(
    "The TD target is computed with the graph on, and its gradient piles up in both target networks",
    mends="the target is computed under no_grad",
)
class TargetNetworksWithTheGraphOn:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_actor, target_critic = copy.deepcopy(actor), copy.deepcopy(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic, target_actor=target_actor, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                next_actions = target_actor(next_observations)  # finds: tracked_target(target_actor)
                next_values = target_critic(next_observations, next_actions)  # finds: tracked_target(target_critic)
                values = critic(observations, actions)
                critic_loss = F.mse_loss(values, rewards + 0.9 * next_values)
                critic_optimizer.zero_grad()
                critic_loss.backward()  # finds: waste(target_actor, target_critic)
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
                polyak(actor, target_actor)
                polyak(critic, target_critic)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_actor, target_critic = copy.deepcopy(actor), copy.deepcopy(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic, target_actor=target_actor, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                with torch.no_grad():
                    next_actions = target_actor(next_observations)
                    next_values = target_critic(next_observations, next_actions)
                values = critic(observations, actions)
                critic_loss = F.mse_loss(values, rewards + 0.9 * next_values)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
                polyak(actor, target_actor)
                polyak(critic, target_critic)
        return flow


@case(
    "The TD target is detached behind the target network, through which a graph is recorded for nothing",
    mends="the target network's parameters ask for no gradient",
)
class TargetDetachedBehind:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        q_network = mlp(3, 4)
        target_network = copy.deepcopy(q_network)
        optimizer = RMSprop(q_network.parameters(), lr=1e-2)
        with audit(q_network=q_network, target_network=target_network) as flow:
            for step in range(4):
                observations, _, rewards, next_observations = replay()
                next_values = target_network(next_observations)  # finds: tracked_target(target_network)
                targets = (rewards + 0.9 * next_values.max(dim=-1).values).detach()
                values = q_network(observations)[:, 0]
                loss = F.smooth_l1_loss(values, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if step % 2 == 1:
                    target_network.load_state_dict(q_network.state_dict())
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        q_network = mlp(3, 4)
        target_network = copy.deepcopy(q_network)
        target_network.requires_grad_(False)
        optimizer = RMSprop(q_network.parameters(), lr=1e-2)
        with audit(q_network=q_network, target_network=target_network) as flow:
            for step in range(4):
                observations, _, rewards, next_observations = replay()
                next_values = target_network(next_observations)
                targets = (rewards + 0.9 * next_values.max(dim=-1).values).detach()
                values = q_network(observations)[:, 0]
                loss = F.smooth_l1_loss(values, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if step % 2 == 1:
                    target_network.load_state_dict(q_network.state_dict())
        return flow


@case(
    ".data cuts off the actor's output, and the target critic behind it stays in the graph",
    mends="the target critic's parameters ask for no gradient",
)
class DataStopsTooEarly:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = copy.deepcopy(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                next_actions = actor(next_observations).data
                next_values = target_critic(next_observations, next_actions)  # finds: tracked_target(target_critic)
                values = critic(observations, actions)
                critic_loss = F.mse_loss(values, rewards + 0.9 * next_values)
                critic_optimizer.zero_grad()
                critic_loss.backward()  # finds: waste(target_critic)
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
                polyak(critic, target_critic)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = frozen(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                next_actions = actor(next_observations).data
                next_values = target_critic(next_observations, next_actions)
                values = critic(observations, actions)
                critic_loss = F.mse_loss(values, rewards + 0.9 * next_values)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
                polyak(critic, target_critic)
        return flow


@case(
    "The network of a perceptual loss is in eval mode, and its weights still ask for gradients",
    mends="requires_grad_(False): the gradient runs through the network and stays out of its weights",
)
class PerceptualLoss:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        upscaler, perceptual = mlp(3, 6), mlp(6, 4).eval()
        optimizer = Adam(upscaler.parameters(), lr=1e-2)
        with audit(upscaler=upscaler, perceptual=perceptual) as flow:
            for _ in range(3):
                small, large = torch.randn(8, 3), torch.randn(8, 6)
                with torch.no_grad():
                    wanted = perceptual(large)
                upscaled = upscaler(small)
                seen = perceptual(upscaled)  # finds: unheld?(perceptual)
                loss = F.mse_loss(seen, wanted)
                optimizer.zero_grad()
                loss.backward()  # finds: waste(perceptual)
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        upscaler, perceptual = mlp(3, 6), mlp(6, 4).eval().requires_grad_(False)
        optimizer = Adam(upscaler.parameters(), lr=1e-2)
        with audit(upscaler=upscaler, perceptual=perceptual) as flow:
            for _ in range(3):
                small, large = torch.randn(8, 3), torch.randn(8, 6)
                with torch.no_grad():
                    wanted = perceptual(large)
                upscaled = upscaler(small)
                seen = perceptual(upscaled)
                loss = F.mse_loss(seen, wanted)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The mean teacher is in eval mode, and the consistency loss runs back into it",
    mends="the teacher speaks under no_grad",
)
class MeanTeacher:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        student = nn.Sequential(mlp(3, 8), nn.Dropout(0.2), nn.Linear(8, 3))
        teacher = copy.deepcopy(student).eval()
        optimizer = SGD(student.parameters(), lr=0.1, momentum=0.9)
        with audit(student=student, teacher=teacher) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = student(images + 0.1 * torch.randn_like(images))
                wanted = teacher(images)  # finds: tracked_target(teacher)
                loss = F.cross_entropy(logits, labels) + F.mse_loss(logits, wanted)
                optimizer.zero_grad()
                loss.backward()  # finds: waste(teacher)
                optimizer.step()
                polyak(student, teacher, tau=0.01)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        student = nn.Sequential(mlp(3, 8), nn.Dropout(0.2), nn.Linear(8, 3))
        teacher = copy.deepcopy(student).eval()
        optimizer = SGD(student.parameters(), lr=0.1, momentum=0.9)
        with audit(student=student, teacher=teacher) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = student(images + 0.1 * torch.randn_like(images))
                with torch.no_grad():
                    wanted = teacher(images)
                loss = F.cross_entropy(logits, labels) + F.mse_loss(logits, wanted)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                polyak(student, teacher, tau=0.01)
        return flow


@case(
    "Training by hand, and the update forgets the body of the network",
    mends="the update goes over every parameter",
)
class UpdateByHandForgetsTheBody:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        body, head = mlp(3, 4), nn.Linear(4, 3)
        with audit(body=body, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = body(images)  # finds: unheld?(body)
                loss = F.cross_entropy(head(features), labels)
                loss.backward()  # finds: waste(body)
                with torch.no_grad():
                    for parameter in head.parameters():
                        parameter -= 0.1 * parameter.grad  # type: ignore[operator, misc]
                        parameter.grad = None
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        body, head = mlp(3, 4), nn.Linear(4, 3)
        with audit(body=body, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = body(images)
                loss = F.cross_entropy(head(features), labels)
                loss.backward()
                with torch.no_grad():
                    for parameter in [*body.parameters(), *head.parameters()]:
                        parameter -= 0.1 * parameter.grad  # type: ignore[operator, misc]
                        parameter.grad = None
        return flow


@case(
    "The fakes are not detached in the discriminator's step, which computes gradients for the generator",
    mends="the fakes are detached",
)
class FakesNotDetached:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        d_optimizer = Adam(discriminator.parameters(), lr=1e-2)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                discriminator.requires_grad_(True)
                d_optimizer.zero_grad()
                real_scores = discriminator(torch.randn(8, 3))
                fake = generator(torch.randn(8, 2))
                fake_scores = discriminator(fake)
                d_loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
                d_loss.backward()  # finds: waste(generator)
                d_optimizer.step()

                discriminator.requires_grad_(False)
                g_optimizer.zero_grad()
                fake = generator(torch.randn(8, 2))
                g_loss = F.softplus(-discriminator(fake)).mean()
                g_loss.backward()
                g_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        d_optimizer = Adam(discriminator.parameters(), lr=1e-2)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                discriminator.requires_grad_(True)
                d_optimizer.zero_grad()
                real_scores = discriminator(torch.randn(8, 3))
                fake = generator(torch.randn(8, 2)).detach()
                fake_scores = discriminator(fake)
                d_loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
                d_loss.backward()
                d_optimizer.step()

                discriminator.requires_grad_(False)
                g_optimizer.zero_grad()
                fake = generator(torch.randn(8, 2))
                g_loss = F.softplus(-discriminator(fake)).mean()
                g_loss.backward()
                g_optimizer.step()
        return flow


@case(
    "The critic's optimizer trains the encoder, and the actor's loss computes gradients for it all the same",
    mends="the actor sees detached features",
)
class ActorLossReachesTheEncoder:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, actor, critic = mlp(3, 4), Actor(4), Critic(4)
        critic_optimizer = Adam([*critic.parameters(), *encoder.parameters()], lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(encoder=encoder, actor=actor, critic=critic) as flow:
            for _ in range(3):
                images, actions, rewards, _ = replay()
                features = encoder(images)
                critic_loss = F.mse_loss(critic(features, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                critic.requires_grad_(False)
                features = encoder(images)
                policy_actions = actor(features)
                actor_loss = -critic(features, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()  # finds: waste(encoder)
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, actor, critic = mlp(3, 4), Actor(4), Critic(4)
        critic_optimizer = Adam([*critic.parameters(), *encoder.parameters()], lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(encoder=encoder, actor=actor, critic=critic) as flow:
            for _ in range(3):
                images, actions, rewards, _ = replay()
                features = encoder(images)
                critic_loss = F.mse_loss(critic(features, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                critic.requires_grad_(False)
                features = encoder(images).detach()
                policy_actions = actor(features)
                actor_loss = -critic(features, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow


@case(
    "The temperature's loss is not cut off from the policy, and retain_graph silences the error that would tell",
    mends="the log-probabilities are detached in the temperature's loss",
)
class TemperatureLossReachesThePolicy:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), Critic().requires_grad_(False)
        log_alpha = nn.Parameter(torch.zeros(()))
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        alpha_optimizer = Adam([log_alpha], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations = torch.randn(8, 3)
                mean, log_std = actor(observations).chunk(2, dim=-1)
                distribution = Normal(mean, log_std.exp())
                actions = distribution.rsample()
                log_probs = distribution.log_prob(actions).sum(dim=-1)
                alpha_loss = -(log_alpha.exp() * (log_probs - 2.0)).mean()
                alpha_optimizer.zero_grad()
                alpha_loss.backward(retain_graph=True)  # finds: waste(actor)
                alpha_optimizer.step()

                actor_loss = (log_alpha.exp().detach() * log_probs - critic(observations, actions)).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), Critic().requires_grad_(False)
        log_alpha = nn.Parameter(torch.zeros(()))
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        alpha_optimizer = Adam([log_alpha], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations = torch.randn(8, 3)
                mean, log_std = actor(observations).chunk(2, dim=-1)
                distribution = Normal(mean, log_std.exp())
                actions = distribution.rsample()
                log_probs = distribution.log_prob(actions).sum(dim=-1)
                alpha_loss = -(log_alpha.exp() * (log_probs.detach() - 2.0)).mean()
                alpha_optimizer.zero_grad()
                alpha_loss.backward()
                alpha_optimizer.step()

                actor_loss = (log_alpha.exp().detach() * log_probs - critic(observations, actions)).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
        return flow


@case(
    "requires_grad_(False) comes when the graph is there already: the critic's gradients are computed and dropped",
    mends="the critic is frozen before it is called",
)
class FrozenTooLate:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                critic.requires_grad_(False)
                actor_optimizer.zero_grad()
                actor_loss.backward()  # finds: waste(critic)
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                critic.requires_grad_(False)
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow


@case(
    "zero_grad stands between backward and step, and nothing is ever learned",
    mends="zero_grad stands before backward",
)
class ZeroGradBeforeTheStep:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1, momentum=0.9)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels)
                loss.backward()  # finds: waste(classifier)
                optimizer.zero_grad()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1, momentum=0.9)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "zero_grad(set_to_none=False) stands between backward and step, and weight decay is all that is left",
    mends="zero_grad stands behind the step",
)
class OnlyWeightDecayIsLeft:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1, weight_decay=0.01)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels)
                loss.backward()  # finds: waste(classifier)
                optimizer.zero_grad(set_to_none=False)
                optimizer.step()  # finds: drift(classifier)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1, weight_decay=0.01)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
        return flow


@case(
    "zero_grad is called for every micro-batch, so only the last of four reaches the step",
    mends="zero_grad is called once for the four",
)
class ZeroGradForEveryMicroBatch:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        with audit(classifier=classifier) as flow:
            for _ in range(2):
                for _ in range(4):
                    images, labels = labelled()
                    optimizer.zero_grad()
                    loss = F.cross_entropy(classifier(images), labels) / 4
                    loss.backward()  # finds: waste(classifier)
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        with audit(classifier=classifier) as flow:
            for _ in range(2):
                optimizer.zero_grad()
                for _ in range(4):
                    images, labels = labelled()
                    loss = F.cross_entropy(classifier(images), labels) / 4
                    loss.backward()
                optimizer.step()
        return flow


@case(
    "The last group of micro-batches is not full, and its gradient is never applied",
    mends="the last micro-batch steps as well",
)
class LastGroupNeverApplied:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier, batches = mlp(3, 3), [labelled() for _ in range(8)]
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        with audit(classifier=classifier) as flow:
            for index, (images, labels) in enumerate(batches, start=1):
                loss = F.cross_entropy(classifier(images), labels) / 3
                loss.backward()  # finds: waste(classifier)
                if index % 3 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier, batches = mlp(3, 3), [labelled() for _ in range(8)]
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        with audit(classifier=classifier) as flow:
            for index, (images, labels) in enumerate(batches, start=1):
                loss = F.cross_entropy(classifier(images), labels) / 3
                loss.backward()
                if index % 3 == 0 or index == len(batches):
                    optimizer.step()
                    optimizer.zero_grad()
        return flow


@case(
    "The torso is tied, the actor sees it detached, and its loss computes gradients for the critic's head",
    mends="the actor's loss is asked for the actor's head only",
)
class TiedTorso:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        torso = mlp(3, 4)
        actor, critic = nn.Sequential(torso, Cut(), Actor(4)), nn.ModuleDict({"torso": torso, "q": Critic(4)})
        actor_optimizer = Adam(actor[2].parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                images, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic["q"](torso(images), actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(images)
                actor_loss = -critic["q"](torso(images).detach(), policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()  # finds: waste(critic)
                actor_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        torso = mlp(3, 4)
        actor, critic = nn.Sequential(torso, Cut(), Actor(4)), nn.ModuleDict({"torso": torso, "q": Critic(4)})
        actor_optimizer = Adam(actor[2].parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                images, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic["q"](torso(images), actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(images)
                actor_loss = -critic["q"](torso(images).detach(), policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor[2].parameters()))
                actor_optimizer.step()
        return flow


@case(
    "Two agents in one loop, whose targets are detached after the fact: one line to mend for all of them",
    mends="the target is computed under no_grad",
)
class TargetsOfTwoAgents:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        one, other = Critic(), Critic()
        targets = copy.deepcopy(one), copy.deepcopy(other)
        optimizers = [Adam(each.parameters(), lr=1e-2) for each in (one, other)]
        with audit(one=one, other=other, target_one=targets[0], target_other=targets[1]) as flow:
            for _ in range(3):
                for critic, optimizer in zip((one, other), optimizers, strict=True):
                    observations, actions, rewards, next_observations = replay()
                    values = []
                    for each in targets:
                        value = each(next_observations, actions)  # finds: tracked_target(target_one, target_other)
                        values.append(value)
                    wanted = rewards + 0.9 * torch.min(*values).detach()
                    optimize(optimizer, F.mse_loss(critic(observations, actions), wanted))
                polyak(one, targets[0])
                polyak(other, targets[1])
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        one, other = Critic(), Critic()
        targets = copy.deepcopy(one), copy.deepcopy(other)
        optimizers = [Adam(each.parameters(), lr=1e-2) for each in (one, other)]
        with audit(one=one, other=other, target_one=targets[0], target_other=targets[1]) as flow:
            for _ in range(3):
                for critic, optimizer in zip((one, other), optimizers, strict=True):
                    observations, actions, rewards, next_observations = replay()
                    with torch.no_grad():
                        values = [target(next_observations, actions) for target in targets]
                    wanted = rewards + 0.9 * torch.min(*values).detach()
                    optimize(optimizer, F.mse_loss(critic(observations, actions), wanted))
                polyak(one, targets[0])
                polyak(other, targets[1])
        return flow


# Unheld: gradients for parameters that no optimizer holds.


@case(
    "The optimizer is given two of the model's three parts by name, and the third stays as it was initialized",
    mends="the optimizer is given the model's parameters",
)
class ThirdPartForgotten:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        model = Tower()
        optimizer = Adam([*model.stem.parameters(), *model.body.parameters()], lr=1e-2)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = model(images)  # finds: unheld(model)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        model = Tower()
        optimizer = Adam(model.parameters(), lr=1e-2)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The head is replaced for the new classes when the optimizer is there already, and the old one is what it holds",
    mends="the head is replaced first",
)
class HeadReplacedAfterTheOptimizer:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        model = Tower()
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        model.head = nn.Linear(4, 5)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = model(images)  # finds: unheld(model)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        model = Tower()
        model.head = nn.Linear(4, 5)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The network grows by a layer half-way, and the optimizer never hears of it",
    mends="the layer is handed to the optimizer by add_param_group",
)
class NetworkGrows:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        network = mlp(3, 3)
        optimizer = SGD(network.parameters(), lr=0.1)
        network.extend([nn.Tanh(), nn.Linear(3, 3)])
        with audit(network=network) as flow:
            for epoch in range(4):
                images, labels = labelled()
                logits = network(images) if epoch >= 2 else network[:3](images)  # finds: unheld(network)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        network = mlp(3, 3)
        optimizer = SGD(network.parameters(), lr=0.1)
        network.extend([nn.Tanh(), nn.Linear(3, 3)])
        optimizer.add_param_group({"params": network[4].parameters()})
        with audit(network=network) as flow:
            for epoch in range(4):
                images, labels = labelled()
                logits = network(images) if epoch >= 2 else network[:3](images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The model is loaded anew when its optimizer is there already, which goes on with the old one's parameters",
    mends="the optimizer is made when the model is there",
)
class ModelLoadedAfterTheOptimizer:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        classifier = copy.deepcopy(classifier)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = classifier(images)  # finds: unheld(classifier)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: dead_link()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        classifier = copy.deepcopy(classifier)
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = classifier(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The projection head of a contrastive loss is no part of the encoder, and so in no optimizer",
    mends="the optimizer is given both",
)
class ProjectorForgotten:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, projector = mlp(3, 4), mlp(4, 4)
        optimizer = Adam(encoder.parameters(), lr=1e-2)
        with audit(encoder=encoder, projector=projector) as flow:
            for _ in range(3):
                images = torch.randn(8, 3)
                features = encoder(torch.cat((images, images + 0.1 * torch.randn_like(images))))
                one, other = projector(features).chunk(2)  # finds: unheld?(projector)
                loss = F.cross_entropy(one @ other.T, torch.arange(8))
                optimizer.zero_grad()
                loss.backward()  # finds: waste(projector)
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, projector = mlp(3, 4), mlp(4, 4)
        optimizer = Adam([*encoder.parameters(), *projector.parameters()], lr=1e-2)
        with audit(encoder=encoder, projector=projector) as flow:
            for _ in range(3):
                images = torch.randn(8, 3)
                features = encoder(torch.cat((images, images + 0.1 * torch.randn_like(images))))
                one, other = projector(features).chunk(2)
                loss = F.cross_entropy(one @ other.T, torch.arange(8))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


# Stale gradients: a step applies what belongs to an earlier one.


@case(
    "Accumulation over four micro-batches, and nobody clears the gradient after the step",
    mends="zero_grad follows the step",
)
class AccumulationNeverCleared:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1)
        with audit(classifier=classifier) as flow:
            for index in range(1, 13):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels) / 4
                loss.backward()
                if index % 4 == 0:
                    optimizer.step()  # finds: stale_gradient(classifier)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1)
        with audit(classifier=classifier) as flow:
            for index in range(1, 13):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels) / 4
                loss.backward()
                if index % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
        return flow


@case(
    "The discriminator is not cleared, and its step applies what the generator's loss left in it",
    mends="the discriminator is frozen in the generator's step and cleared in its own",
)
class GeneratorLossStaysInTheDiscriminator:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        d_optimizer = Adam(discriminator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                fake = generator(torch.randn(8, 2))
                g_loss = F.softplus(-discriminator(fake)).mean()
                g_optimizer.zero_grad()
                g_loss.backward()
                g_optimizer.step()

                real_scores = discriminator(torch.randn(8, 3))
                fake_scores = discriminator(fake.detach())
                d_loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
                d_loss.backward()
                d_optimizer.step()  # finds: stale_gradient(discriminator)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        g_optimizer = Adam(generator.parameters(), lr=1e-2)
        d_optimizer = Adam(discriminator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                discriminator.requires_grad_(False)
                fake = generator(torch.randn(8, 2))
                g_loss = F.softplus(-discriminator(fake)).mean()
                g_optimizer.zero_grad()
                g_loss.backward()
                g_optimizer.step()
                discriminator.requires_grad_(True)

                real_scores = discriminator(torch.randn(8, 3))
                fake_scores = discriminator(fake.detach())
                d_loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
                d_optimizer.zero_grad()
                d_loss.backward()
                d_optimizer.step()
        return flow


@case(
    "A copied line clears the actor twice and the critic never",
    mends="each block clears its own optimizer, and the actor's loss is asked for the actor's gradients only",
)
class CopiedZeroGrad:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                actor_optimizer.zero_grad()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_loss.backward()
                critic_optimizer.step()  # finds: stale_gradient(critic)

                actor_optimizer.zero_grad()
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_loss.backward()  # finds: waste(critic)
                actor_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_optimizer.zero_grad()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_loss.backward()
                critic_optimizer.step()

                actor_optimizer.zero_grad()
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
        return flow


@case(
    "One optimizer holds two networks, and only one of them is cleared",
    mends="the optimizer clears what it holds",
)
class OnlyOneOfTwoCleared:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, returns = rollout()
                distribution = Categorical(logits=actor(observations))
                advantages = returns - critic(observations).squeeze(-1)
                policy_loss = -(distribution.log_prob(distribution.sample()) * advantages.detach()).mean()
                loss = policy_loss + 0.5 * advantages.pow(2).mean()
                actor.zero_grad()
                loss.backward()
                optimizer.step()  # finds: stale_gradient(critic)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, returns = rollout()
                distribution = Categorical(logits=actor(observations))
                advantages = returns - critic(observations).squeeze(-1)
                policy_loss = -(distribution.log_prob(distribution.sample()) * advantages.detach()).mean()
                loss = policy_loss + 0.5 * advantages.pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The closure of L-BFGS does not clear the gradient before it computes the next",
    mends="the closure begins with zero_grad",
)
class ClosureWithoutZeroGrad:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        regressor, (x, y) = mlp(1, 1), sine_task()
        optimizer = LBFGS(regressor.parameters(), lr=0.1, max_iter=3)

        def closure() -> Tensor:
            loss = F.mse_loss(regressor(x), y)
            loss.backward()
            return loss

        with audit(regressor=regressor) as flow:
            for _ in range(3):
                optimizer.step(closure)  # finds: stale_gradient(regressor)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        regressor, (x, y) = mlp(1, 1), sine_task()
        optimizer = LBFGS(regressor.parameters(), lr=0.1, max_iter=3)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.mse_loss(regressor(x), y)
            loss.backward()
            return loss

        with audit(regressor=regressor) as flow:
            for _ in range(3):
                optimizer.step(closure)
        return flow


@case(
    "A Wasserstein critic takes several steps in a row and is never cleared",
    mends="zero_grad before each of the critic's steps",
)
class WassersteinCriticNeverCleared:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        generator, critic = mlp(2, 3), mlp(3, 1)
        generator_optimizer = RMSprop(generator.parameters(), lr=1e-2)
        critic_optimizer = RMSprop(critic.parameters(), lr=1e-2)
        with audit(generator=generator, critic=critic) as flow:
            for _ in range(2):
                for _ in range(3):
                    real_scores = critic(torch.randn(8, 3))
                    fake_scores = critic(generator(torch.randn(8, 2)).detach())
                    critic_loss = fake_scores.mean() - real_scores.mean()
                    critic_loss.backward()
                    critic_optimizer.step()  # finds: stale_gradient(critic)
                    for parameter in critic.parameters():
                        parameter.data.clamp_(-0.1, 0.1)

                generator_optimizer.zero_grad()
                fake = generator(torch.randn(8, 2))
                generator_loss = -critic(fake).mean()
                generator_loss.backward(inputs=list(generator.parameters()))
                generator_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        generator, critic = mlp(2, 3), mlp(3, 1)
        generator_optimizer = RMSprop(generator.parameters(), lr=1e-2)
        critic_optimizer = RMSprop(critic.parameters(), lr=1e-2)
        with audit(generator=generator, critic=critic) as flow:
            for _ in range(2):
                for _ in range(3):
                    critic_optimizer.zero_grad()
                    real_scores = critic(torch.randn(8, 3))
                    fake_scores = critic(generator(torch.randn(8, 2)).detach())
                    critic_loss = fake_scores.mean() - real_scores.mean()
                    critic_loss.backward()
                    critic_optimizer.step()
                    for parameter in critic.parameters():
                        parameter.data.clamp_(-0.1, 0.1)

                generator_optimizer.zero_grad()
                fake = generator(torch.randn(8, 2))
                generator_loss = -critic(fake).mean()
                generator_loss.backward(inputs=list(generator.parameters()))
                generator_optimizer.step()
        return flow


@case(
    "The gradient of one meta-batch is left over in the next",
    mends="zero_grad before each meta-batch",
)
class MetaGradientLeftOver:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        regressor = mlp(1, 1)
        meta_optimizer = Adam(regressor.parameters(), lr=1e-2)
        with audit(regressor=regressor) as flow:
            for _ in range(3):
                for _ in range(2):
                    x, y = sine_task()
                    names, slow = zip(*regressor.named_parameters(), strict=True)
                    support_loss = F.mse_loss(regressor(x[:4]), y[:4])
                    gradients = torch.autograd.grad(support_loss, slow, create_graph=True)
                    fast = [weight - 0.1 * gradient for weight, gradient in zip(slow, gradients, strict=True)]
                    predictions = functional_call(regressor, dict(zip(names, fast, strict=True)), (x[4:],))
                    query_loss = F.mse_loss(predictions, y[4:])
                    query_loss.backward()
                meta_optimizer.step()  # finds: stale_gradient(regressor)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        regressor = mlp(1, 1)
        meta_optimizer = Adam(regressor.parameters(), lr=1e-2)
        with audit(regressor=regressor) as flow:
            for _ in range(3):
                meta_optimizer.zero_grad()
                for _ in range(2):
                    x, y = sine_task()
                    names, slow = zip(*regressor.named_parameters(), strict=True)
                    support_loss = F.mse_loss(regressor(x[:4]), y[:4])
                    gradients = torch.autograd.grad(support_loss, slow, create_graph=True)
                    fast = [weight - 0.1 * gradient for weight, gradient in zip(slow, gradients, strict=True)]
                    predictions = functional_call(regressor, dict(zip(names, fast, strict=True)), (x[4:],))
                    query_loss = F.mse_loss(predictions, y[4:])
                    query_loss.backward()
                meta_optimizer.step()
        return flow


@case(
    "zero_grad stands there without its brackets, and is never called",
    mends="it is called",
)
class ZeroGradWithoutBrackets:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels)
                optimizer.zero_grad  # noqa: B018
                loss.backward()
                optimizer.step()  # finds: stale_gradient(classifier)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = Adam(classifier.parameters(), lr=1e-2)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(classifier(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "One GradScaler serves two optimizers, and only one of them is cleared",
    mends="both are cleared",
)
class ScalerOfTwoOptimizers:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        encoder_optimizer, head_optimizer = SGD(encoder.parameters(), lr=0.1), SGD(head.parameters(), lr=0.1)
        scaler = GradScaler("cpu", init_scale=8.0)
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                encoder_optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(encoder_optimizer)
                scaler.step(head_optimizer)  # finds: stale_gradient(head)
                scaler.update()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        encoder_optimizer, head_optimizer = SGD(encoder.parameters(), lr=0.1), SGD(head.parameters(), lr=0.1)
        scaler = GradScaler("cpu", init_scale=8.0)
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                encoder_optimizer.zero_grad()
                head_optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(encoder_optimizer)
                scaler.step(head_optimizer)
                scaler.update()
        return flow


@case(
    "The discriminator is never cleared, and its steps apply its own old gradient and the generator's",
    mends="it is cleared before its loss goes backward, and the generator's loss is asked for the generator's only",
)
class DiscriminatorNeverCleared:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        g_optimizer = RMSprop(generator.parameters(), lr=1e-2)
        d_optimizer = RMSprop(discriminator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                real = torch.randn(8, 3)
                fake = generator(torch.randn(8, 2)).detach()
                d_loss = F.relu(1 - discriminator(real)).mean() + F.relu(1 + discriminator(fake)).mean()
                d_loss.backward()
                d_optimizer.step()  # finds: stale_gradient(discriminator)

                fake = generator(torch.randn(8, 2))
                g_loss = -discriminator(fake).mean()
                g_optimizer.zero_grad()
                g_loss.backward()  # finds: waste(discriminator)
                g_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        generator, discriminator = mlp(2, 3), mlp(3, 1)
        g_optimizer = RMSprop(generator.parameters(), lr=1e-2)
        d_optimizer = RMSprop(discriminator.parameters(), lr=1e-2)
        with audit(generator=generator, discriminator=discriminator) as flow:
            for _ in range(3):
                real = torch.randn(8, 3)
                fake = generator(torch.randn(8, 2)).detach()
                d_loss = F.relu(1 - discriminator(real)).mean() + F.relu(1 + discriminator(fake)).mean()
                d_optimizer.zero_grad()
                d_loss.backward()
                d_optimizer.step()

                fake = generator(torch.randn(8, 2))
                g_loss = -discriminator(fake).mean()
                g_optimizer.zero_grad()
                g_loss.backward(inputs=list(generator.parameters()))
                g_optimizer.step()
        return flow


# Dead links: an optimizer steps, and no loss reaches what it holds.


@case(
    "The action is detached in the actor's loss, where the gradient has to pass",
    mends="the action stays in the graph, and the critic is frozen instead",
)
class DetachOnTheWrongSide:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions.detach()).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()  # finds: waste(critic)
                actor_optimizer.step()  # finds: dead_link(actor)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                critic.requires_grad_(False)
                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                critic.requires_grad_(True)
        return flow


@case(
    "The action is clamped through .data, which leaves the graph",
    mends="the action itself is clamped",
)
class ClampedThroughData:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_optimizer.zero_grad()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_loss.backward()
                critic_optimizer.step()

                actor_optimizer.zero_grad()
                policy_actions = actor(observations).data.clamp(-0.9, 0.9)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()  # finds: dead_link(actor)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_optimizer.zero_grad()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_loss.backward()
                critic_optimizer.step()

                actor_optimizer.zero_grad()
                policy_actions = actor(observations).clamp(-0.9, 0.9)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
        return flow


@case(
    "The log-probabilities are stored as numbers and made a tensor again, which has no history",
    mends="the tensors themselves are stored; one summed loss, two optimizers",
)
class LogProbabilitiesAsNumbers:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, returns = rollout()
                stored = []
                for observation in observations:
                    distribution = Categorical(logits=actor(observation))
                    stored.append(distribution.log_prob(distribution.sample()).item())
                log_probs = torch.tensor(stored)
                advantages = returns - critic(observations).squeeze(-1)  # finds: cut_term?(critic)
                loss = 0.5 * advantages.pow(2).mean() - (log_probs * advantages.detach()).mean()
                actor_optimizer.zero_grad()
                critic_optimizer.zero_grad()
                loss.backward()
                actor_optimizer.step()  # finds: dead_link(actor)
                critic_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, returns = rollout()
                stored = []
                for observation in observations:
                    distribution = Categorical(logits=actor(observation))
                    stored.append(distribution.log_prob(distribution.sample()))
                log_probs = torch.stack(stored)
                advantages = returns - critic(observations).squeeze(-1)
                loss = 0.5 * advantages.pow(2).mean() - (log_probs * advantages.detach()).mean()
                actor_optimizer.zero_grad()
                critic_optimizer.zero_grad()
                loss.backward()
                actor_optimizer.step()
                critic_optimizer.step()
        return flow


@case(
    "The encoder that is to be fine-tuned is called under no_grad",
    mends="it is called with the graph on",
)
class NoGradAroundTheEncoder:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        encoder_optimizer = AdamW(encoder.parameters(), lr=1e-3)
        head_optimizer = AdamW(head.parameters(), lr=1e-2)
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                with torch.no_grad():
                    features = encoder(images)
                loss = F.cross_entropy(head(features), labels)
                encoder_optimizer.zero_grad()
                head_optimizer.zero_grad()
                loss.backward()
                encoder_optimizer.step()  # finds: dead_link(encoder)
                head_optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        encoder_optimizer = AdamW(encoder.parameters(), lr=1e-3)
        head_optimizer = AdamW(head.parameters(), lr=1e-2)
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = encoder(images)
                loss = F.cross_entropy(head(features), labels)
                encoder_optimizer.zero_grad()
                head_optimizer.zero_grad()
                loss.backward()
                encoder_optimizer.step()
                head_optimizer.step()
        return flow


@case(
    "The inner optimizer of Reptile is built over the slow weights, and the learner stays where it is",
    mends="the inner optimizer is built over the learner",
)
class InnerOptimizerOverTheSlowWeights:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        meta = mlp(1, 1)
        learner = copy.deepcopy(meta)
        with audit(meta=meta, learner=learner) as flow:
            for _ in range(3):
                x, y = sine_task()
                learner.load_state_dict(meta.state_dict())
                inner_optimizer = SGD(meta.parameters(), lr=0.1)
                for _ in range(2):
                    predictions = learner(x)  # finds: tracked_target(learner)
                    loss = F.mse_loss(predictions, y)
                    inner_optimizer.zero_grad()
                    loss.backward()  # finds: waste(learner)
                    inner_optimizer.step()  # finds: dead_link(meta)
                polyak(learner, meta, tau=0.5)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        meta = mlp(1, 1)
        learner = copy.deepcopy(meta)
        with audit(meta=meta, learner=learner) as flow:
            for _ in range(3):
                x, y = sine_task()
                learner.load_state_dict(meta.state_dict())
                inner_optimizer = SGD(learner.parameters(), lr=0.1)
                for _ in range(2):
                    predictions = learner(x)
                    loss = F.mse_loss(predictions, y)
                    inner_optimizer.zero_grad()
                    loss.backward()
                    inner_optimizer.step()
                polyak(learner, meta, tau=0.5)
        return flow


@case(
    "First-order MAML never hands the learner's gradient to the slow weights",
    mends="the gradient at the learner becomes that of the slow weights",
)
class LearnersGradientNotHandedOn:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        meta = mlp(1, 1)
        learner = copy.deepcopy(meta)
        meta_optimizer = Adam(meta.parameters(), lr=1e-2)
        inner_optimizer = SGD(learner.parameters(), lr=0.1)
        with audit(meta=meta, learner=learner) as flow:
            for _ in range(3):
                x, y = sine_task()
                learner.load_state_dict(meta.state_dict())
                support_loss = F.mse_loss(learner(x[:4]), y[:4])
                inner_optimizer.zero_grad()
                support_loss.backward()
                inner_optimizer.step()

                query_loss = F.mse_loss(learner(x[4:]), y[4:])
                meta_optimizer.zero_grad()
                query_loss.backward()  # finds: waste(learner)
                meta_optimizer.step()  # finds: dead_link(meta)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        meta = mlp(1, 1)
        learner = copy.deepcopy(meta)
        meta_optimizer = Adam(meta.parameters(), lr=1e-2)
        inner_optimizer = SGD(learner.parameters(), lr=0.1)
        with audit(meta=meta, learner=learner) as flow:
            for _ in range(3):
                x, y = sine_task()
                learner.load_state_dict(meta.state_dict())
                support_loss = F.mse_loss(learner(x[:4]), y[:4])
                inner_optimizer.zero_grad()
                support_loss.backward()
                inner_optimizer.step()

                query_loss = F.mse_loss(learner(x[4:]), y[4:])
                gradients = torch.autograd.grad(query_loss, list(learner.parameters()))
                for slow, gradient in zip(meta.parameters(), gradients, strict=True):
                    slow.grad = gradient
                meta_optimizer.step()
        return flow


@case(
    "The prediction is detached in place of the target, and a later loss hides that the critic never learns",
    mends="the target is what is detached, by no_grad",
)
class PredictionDetached:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = copy.deepcopy(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                next_values = target_critic(next_observations, actions)  # finds: tracked_target(target_critic)
                targets = rewards + 0.9 * next_values
                critic_loss = F.mse_loss(critic(observations, actions).detach(), targets)
                critic_optimizer.zero_grad()
                critic_loss.backward()  # finds: waste(target_critic)
                critic_optimizer.step()  # finds: dead_link(critic)

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()  # finds: waste(critic)
                actor_optimizer.step()
                polyak(critic, target_critic)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        target_critic = copy.deepcopy(critic)
        actor_optimizer = Adam(actor.parameters(), lr=1e-2)
        critic_optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic, target_critic=target_critic) as flow:
            for _ in range(3):
                observations, actions, rewards, next_observations = replay()
                with torch.no_grad():
                    next_values = target_critic(next_observations, actions)
                    targets = rewards + 0.9 * next_values
                critic_loss = F.mse_loss(critic(observations, actions), targets)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()
                polyak(critic, target_critic)
        return flow


@case(
    "The closure returns the loss and never sends it backward",
    mends="the closure sends it backward",
)
class ClosureWithoutBackward:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        regressor = mlp(1, 1)
        optimizer = LBFGS(regressor.parameters(), max_iter=2)
        with audit(regressor=regressor) as flow:
            for _ in range(3):
                x, y = sine_task()

                def closure(x: Tensor = x, y: Tensor = y) -> float:
                    optimizer.zero_grad()
                    loss = F.mse_loss(regressor(x), y)
                    return loss.item()

                optimizer.step(closure)  # finds: dead_link(regressor)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        regressor = mlp(1, 1)
        optimizer = LBFGS(regressor.parameters(), max_iter=2)
        with audit(regressor=regressor) as flow:
            for _ in range(3):
                x, y = sine_task()

                def closure(x: Tensor = x, y: Tensor = y) -> float:
                    optimizer.zero_grad()
                    loss = F.mse_loss(regressor(x), y)
                    loss.backward()
                    return loss.item()

                optimizer.step(closure)
        return flow


@case(
    "The loss asked for a gradient because its error said so: requires_grad_() on what was cut off before",
    mends="the logits stay in the graph, and nothing has to ask",
)
class LossAskedToRequireAGradient:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = classifier(images).data
                loss = F.cross_entropy(logits, labels).requires_grad_()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: dead_link(classifier)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        classifier = mlp(3, 3)
        optimizer = SGD(classifier.parameters(), lr=0.1)
        with audit(classifier=classifier) as flow:
            for _ in range(3):
                images, labels = labelled()
                logits = classifier(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


# Unreached: one optimizer over everything, and a part of it that no loss ever reaches.


@case(
    "Two views are put together, and one of them is detached on its way; the optimizer holds its encoder in vain",
    mends="both views stay in the graph",
)
class OneViewDetached:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        sight, touch, head = mlp(3, 4), mlp(3, 4), nn.Linear(8, 3)
        optimizer = Adam([*sight.parameters(), *touch.parameters(), *head.parameters()], lr=1e-2)
        with audit(sight=sight, touch=touch, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = torch.cat((sight(images), touch(images.flip(-1)).detach()), dim=-1)
                loss = F.cross_entropy(head(features), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: unreached(touch)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        sight, touch, head = mlp(3, 4), mlp(3, 4), nn.Linear(8, 3)
        optimizer = Adam([*sight.parameters(), *touch.parameters(), *head.parameters()], lr=1e-2)
        with audit(sight=sight, touch=touch, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = torch.cat((sight(images), touch(images.flip(-1))), dim=-1)
                loss = F.cross_entropy(head(features), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The model calls its stem under no_grad, which was good for pretraining its upper parts and is there still",
    mends="the stem is called with the graph on",
)
class StemUnderNoGrad:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        class Pretrained(Tower):
            def forward(self, images: Tensor) -> Tensor:
                with torch.no_grad():
                    features = torch.tanh(self.stem(images))
                logits: Tensor = self.head(torch.tanh(self.body(features)))
                return logits

        model = Pretrained()
        optimizer = SGD(model.parameters(), lr=0.1)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: unreached?(model)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        model = Tower()
        optimizer = SGD(model.parameters(), lr=0.1)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "A vector-quantized autoencoder has the commitment loss, and the one that moves the codes is missing",
    mends="the codes are drawn to the features by a loss of their own",
)
class CodebookWithoutItsLoss:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, codebook, decoder = mlp(3, 4), nn.Embedding(5, 4), mlp(4, 3)
        optimizer = Adam([*encoder.parameters(), *codebook.parameters(), *decoder.parameters()], lr=1e-2)
        with audit(encoder=encoder, codebook=codebook, decoder=decoder) as flow:
            for _ in range(3):
                images, _ = labelled()
                features = encoder(images)
                codes = codebook(nearest(codebook, features))
                quantized = features + (codes - features).detach()
                loss = F.mse_loss(decoder(quantized), images) + 0.25 * F.mse_loss(features, codes.detach())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: unreached(codebook)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, codebook, decoder = mlp(3, 4), nn.Embedding(5, 4), mlp(4, 3)
        optimizer = Adam([*encoder.parameters(), *codebook.parameters(), *decoder.parameters()], lr=1e-2)
        with audit(encoder=encoder, codebook=codebook, decoder=decoder) as flow:
            for _ in range(3):
                images, _ = labelled()
                features = encoder(images)
                codes = codebook(nearest(codebook, features))
                quantized = features + (codes - features).detach()
                loss = F.mse_loss(decoder(quantized), images) + 0.25 * F.mse_loss(features, codes.detach())
                loss = loss + F.mse_loss(codes, features.detach())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The features make a detour through numpy, and the encoder in front of it is out of reach",
    mends="the features are normalized as tensors",
)
class DetourThroughNumpy:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        optimizer = Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = encoder(images).detach().numpy()
                features = torch.tensor(features / features.std(axis=0))
                loss = F.cross_entropy(head(features), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: unreached?(encoder)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        optimizer = Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = encoder(images)
                features = features / features.std(dim=0)
                loss = F.cross_entropy(head(features), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "A layer is built in __init__ and forgotten in forward",
    mends="forward calls it",
)
class LayerNeverCalled:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        class Forgetful(Tower):
            def forward(self, images: Tensor) -> Tensor:
                logits: Tensor = self.head(torch.tanh(self.stem(images)))
                return logits

        model = Forgetful()
        optimizer = Adam(model.parameters(), lr=1e-2)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: unreached?(model)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        model = Tower()
        optimizer = Adam(model.parameters(), lr=1e-2)
        with audit(model=model) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


# Inside one loss: what only its meaning tells, and so no more than a hint.


@case(
    "Q-learning without a target network, and the value of the next state keeps its graph",
    mends="the target is computed under no_grad",
)
class TargetOfTheOnlineNetwork:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        q = mlp(3, 4)
        optimizer = Adam(q.parameters(), lr=1e-2)
        with audit(q=q) as flow:
            for _ in range(3):
                observations, _, rewards, next_observations = replay()
                values = q(observations).gather(1, torch.randint(4, (8, 1))).squeeze(-1)
                next_values = q(next_observations).amax(dim=-1)  # finds: self_target?(q)
                loss = F.smooth_l1_loss(values, rewards + 0.9 * next_values)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        q = mlp(3, 4)
        optimizer = Adam(q.parameters(), lr=1e-2)
        with audit(q=q) as flow:
            for _ in range(3):
                observations, _, rewards, next_observations = replay()
                values = q(observations).gather(1, torch.randint(4, (8, 1))).squeeze(-1)
                with torch.no_grad():
                    next_values = q(next_observations).amax(dim=-1)
                loss = F.smooth_l1_loss(values, rewards + 0.9 * next_values)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The critic's loss is the squared advantage, and the bootstrapped value in it keeps its graph",
    mends="the next state's value is detached",
)
class SquaredAdvantage:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, _, rewards, next_observations = replay()
                values = critic(observations).squeeze(-1)
                next_values = critic(next_observations).squeeze(-1)  # finds: self_target?(critic)
                advantages = rewards + 0.9 * next_values - values
                distribution = Categorical(logits=actor(observations))
                policy_loss = -(distribution.log_prob(distribution.sample()) * advantages.detach()).mean()
                loss = policy_loss + advantages.pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = mlp(3, 4), mlp(3, 1)
        optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, _, rewards, next_observations = replay()
                values = critic(observations).squeeze(-1)
                next_values = critic(next_observations).squeeze(-1).detach()
                advantages = rewards + 0.9 * next_values - values
                distribution = Categorical(logits=actor(observations))
                policy_loss = -(distribution.log_prob(distribution.sample()) * advantages.detach()).mean()
                loss = policy_loss + advantages.pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The style term of a translator's loss judges a detached picture, and trains nobody",
    mends="the picture is judged as it is",
)
class StyleTermOfADetachedPicture:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        translator, judge = mlp(3, 3), frozen(mlp(3, 4))
        optimizer = Adam(translator.parameters(), lr=1e-2)
        with audit(translator=translator, judge=judge) as flow:
            for _ in range(3):
                images, wanted = torch.randn(8, 3), torch.randn(8, 3)
                content = F.l1_loss(translator(images), wanted)
                style = F.mse_loss(judge(translator(images).detach()), judge(wanted))  # finds: cut_term?(translator)
                loss = content + 10 * style
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        translator, judge = mlp(3, 3), frozen(mlp(3, 4))
        optimizer = Adam(translator.parameters(), lr=1e-2)
        with audit(translator=translator, judge=judge) as flow:
            for _ in range(3):
                images, wanted = torch.randn(8, 3), torch.randn(8, 3)
                content = F.l1_loss(translator(images), wanted)
                style = F.mse_loss(judge(translator(images)), judge(wanted))
                loss = content + 10 * style
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The entropy bonus is computed from detached logits, and keeps no policy from collapsing",
    mends="it is computed from the logits",
)
class EntropyOfDetachedLogits:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor = mlp(3, 4)
        optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(actor=actor) as flow:
            for _ in range(3):
                observations, returns = rollout()
                logits = actor(observations)  # finds: cut_term?(actor)
                policy_loss = (F.cross_entropy(logits, torch.randint(4, (8,)), reduction="none") * returns).mean()
                entropy = Categorical(logits=logits.detach()).entropy().mean()
                loss = policy_loss - 0.01 * entropy
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor = mlp(3, 4)
        optimizer = Adam(actor.parameters(), lr=1e-2)
        with audit(actor=actor) as flow:
            for _ in range(3):
                observations, returns = rollout()
                logits = actor(observations)
                policy_loss = (F.cross_entropy(logits, torch.randint(4, (8,)), reduction="none") * returns).mean()
                entropy = Categorical(logits=logits).entropy().mean()
                loss = policy_loss - 0.01 * entropy
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "no_grad was meant for the teacher, and the student's answer is computed within it as well",
    mends="the teacher alone is called under no_grad",
)
class StudentWithinTheTeachersNoGrad:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        student, teacher = mlp(3, 3), frozen(mlp(3, 3))
        optimizer = Adam(student.parameters(), lr=1e-2)
        with audit(student=student, teacher=teacher) as flow:
            for _ in range(3):
                images, labels = labelled()
                unlabelled = torch.randn(8, 3)
                loss = F.cross_entropy(student(images), labels)
                with torch.no_grad():
                    distance = F.mse_loss(student(unlabelled), teacher(unlabelled))  # finds: cut_term?(student)
                loss = loss + distance
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        student, teacher = mlp(3, 3), frozen(mlp(3, 3))
        optimizer = Adam(student.parameters(), lr=1e-2)
        with audit(student=student, teacher=teacher) as flow:
            for _ in range(3):
                images, labels = labelled()
                unlabelled = torch.randn(8, 3)
                loss = F.cross_entropy(student(images), labels)
                with torch.no_grad():
                    wanted = teacher(unlabelled)
                distance = F.mse_loss(student(unlabelled), wanted)
                loss = loss + distance
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "MAML's inner gradient is taken without its graph, and the outer loss sees a constant in it",
    mends="create_graph=True",
)
class InnerGradientWithoutItsGraph:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        regressor = mlp(1, 1)
        optimizer = Adam(regressor.parameters(), lr=1e-2)
        with audit(regressor=regressor) as flow:
            for _ in range(3):
                x, y = sine_task()
                fast = dict(regressor.named_parameters())
                support_loss = F.mse_loss(functional_call(regressor, fast, (x[:4],)), y[:4])
                slow = list(fast.values())
                gradients = torch.autograd.grad(support_loss, slow)  # finds: constant_gradient?(regressor)
                fast = {name: slow - 0.1 * each for (name, slow), each in zip(fast.items(), gradients, strict=True)}
                query_loss = F.mse_loss(functional_call(regressor, fast, (x[4:],)), y[4:])
                optimizer.zero_grad()
                query_loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        regressor = mlp(1, 1)
        optimizer = Adam(regressor.parameters(), lr=1e-2)
        with audit(regressor=regressor) as flow:
            for _ in range(3):
                x, y = sine_task()
                fast = dict(regressor.named_parameters())
                support_loss = F.mse_loss(functional_call(regressor, fast, (x[:4],)), y[:4])
                gradients = torch.autograd.grad(support_loss, list(fast.values()), create_graph=True)
                fast = {name: slow - 0.1 * each for (name, slow), each in zip(fast.items(), gradients, strict=True)}
                query_loss = F.mse_loss(functional_call(regressor, fast, (x[4:],)), y[4:])
                optimizer.zero_grad()
                query_loss.backward()
                optimizer.step()
        return flow


@case(
    "The gradient penalty is computed without create_graph, and is a number that penalizes nothing",
    mends="create_graph=True",
)
class GradientPenaltyWithoutItsGraph:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        critic = mlp(3, 1)
        optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(critic=critic) as flow:
            for _ in range(3):
                real, fake = torch.randn(8, 3), torch.randn(8, 3)
                mixed = torch.lerp(real, fake, torch.rand(8, 1)).requires_grad_()
                (slopes,) = torch.autograd.grad(critic(mixed).sum(), mixed)  # finds: constant_gradient?(critic)
                penalty = (slopes.norm(dim=-1) - 1).pow(2).mean()
                loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        critic = mlp(3, 1)
        optimizer = Adam(critic.parameters(), lr=1e-2)
        with audit(critic=critic) as flow:
            for _ in range(3):
                real, fake = torch.randn(8, 3), torch.randn(8, 3)
                mixed = torch.lerp(real, fake, torch.rand(8, 1)).requires_grad_()
                (slopes,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
                penalty = (slopes.norm(dim=-1) - 1).pow(2).mean()
                loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


# Drift: a step moves weights whose gradient is zero.


@case(
    "The encoder is frozen half-way, and weight decay goes on moving it, since zero_grad left zeros in it",
    mends="zero_grad sets the gradients to None, which the optimizer passes over",
)
class WeightDecayOnTheFrozenEncoder:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        optimizer = SGD([*encoder.parameters(), *head.parameters()], lr=0.1, weight_decay=0.01)
        with audit(encoder=encoder, head=head) as flow:
            for epoch in range(4):
                if epoch == 2:
                    encoder.requires_grad_(False)
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                optimizer.zero_grad(set_to_none=False)
                loss.backward()
                optimizer.step()  # finds: drift(encoder)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        optimizer = SGD([*encoder.parameters(), *head.parameters()], lr=0.1, weight_decay=0.01)
        with audit(encoder=encoder, head=head) as flow:
            for epoch in range(4):
                if epoch == 2:
                    encoder.requires_grad_(False)
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The critic's gradient is set to zero before the actor's step, and the optimizer's moments move the critic on",
    mends="backward is asked for the actor's gradients only, so the critic's is None",
)
class MomentsMoveTheCritic:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                optimizer.zero_grad()
                critic_loss.backward()
                optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                optimizer.zero_grad()
                actor_loss.backward()  # finds: waste(critic)
                for parameter in critic.parameters():
                    parameter.grad.zero_()  # type: ignore[union-attr]
                optimizer.step()  # finds: drift(critic)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for _ in range(3):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                optimizer.zero_grad()
                critic_loss.backward()
                optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean()
                optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                optimizer.step()
        return flow


@case(
    "The critic's warm-up multiplies the actor's loss by zero, and the actor decays meanwhile",
    mends="the actor's update is skipped during the warm-up",
)
class WarmUpByZeroMask:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = AdamW(actor.parameters(), lr=1e-2)
        critic_optimizer = AdamW(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for step in range(4):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                policy_actions = actor(observations)
                actor_loss = -critic(observations, policy_actions).mean() * float(step >= 2)
                actor_optimizer.zero_grad()
                actor_loss.backward(inputs=list(actor.parameters()))
                actor_optimizer.step()  # finds: drift(actor)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        actor, critic = Actor(), Critic()
        actor_optimizer = AdamW(actor.parameters(), lr=1e-2)
        critic_optimizer = AdamW(critic.parameters(), lr=1e-2)
        with audit(actor=actor, critic=critic) as flow:
            for step in range(4):
                observations, actions, rewards, _ = replay()
                critic_loss = F.mse_loss(critic(observations, actions), rewards)
                critic_optimizer.zero_grad()
                critic_loss.backward()
                critic_optimizer.step()

                if step >= 2:
                    policy_actions = actor(observations)
                    actor_loss = -critic(observations, policy_actions).mean()
                    actor_optimizer.zero_grad()
                    actor_loss.backward(inputs=list(actor.parameters()))
                    actor_optimizer.step()
        return flow


@case(
    "An auxiliary loss is switched off by a weight of 0, and its decoder decays",
    mends="the auxiliary loss is left out of the sum, and the decoder out of the optimizer",
)
class AuxiliaryLossWeightedByZero:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, head, decoder, weight = mlp(3, 4), nn.Linear(4, 3), mlp(4, 3), 0.0
        parameters = [*encoder.parameters(), *head.parameters(), *decoder.parameters()]
        optimizer = AdamW(parameters, lr=1e-2, weight_decay=0.1)
        with audit(encoder=encoder, head=head, decoder=decoder) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = encoder(images)
                loss = F.cross_entropy(head(features), labels)
                reconstruction = decoder(features)
                loss = loss + weight * F.mse_loss(reconstruction, images)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: drift(decoder)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, head, decoder, weight = mlp(3, 4), nn.Linear(4, 3), mlp(4, 3), 0.0
        parameters = [*encoder.parameters(), *head.parameters()]
        parameters += decoder.parameters() if weight > 0 else []
        optimizer = AdamW(parameters, lr=1e-2, weight_decay=0.1)
        with audit(encoder=encoder, head=head, decoder=decoder) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = encoder(images)
                loss = F.cross_entropy(head(features), labels)
                if weight > 0:
                    reconstruction = decoder(features)
                    loss = loss + weight * F.mse_loss(reconstruction, images)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "An optimizer written by hand decays every weight that it holds, those without a gradient too",
    mends="it passes over what has no gradient",
)
class DecayWithoutAGradient:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        class SignDescent(Optimizer):
            @torch.no_grad()
            def step(self, closure: Any = None) -> None:
                for parameter in self.param_groups[0]["params"]:
                    parameter.mul_(0.999)
                    if parameter.grad is not None:
                        parameter.sub_(0.01 * parameter.grad.sign())

        encoder, head = frozen(mlp(3, 4)), nn.Linear(4, 3)
        optimizer = SignDescent([*encoder.parameters(), *head.parameters()], {})
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: drift(encoder)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        class SignDescent(Optimizer):
            @torch.no_grad()
            def step(self, closure: Any = None) -> None:
                for parameter in self.param_groups[0]["params"]:
                    if parameter.grad is not None:
                        parameter.mul_(0.999)
                        parameter.sub_(0.01 * parameter.grad.sign())

        encoder, head = frozen(mlp(3, 4)), nn.Linear(4, 3)
        optimizer = SignDescent([*encoder.parameters(), *head.parameters()], {})
        with audit(encoder=encoder, head=head) as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "The encoder is frozen, and its batch norm goes on averaging what passes through",
    mends="the frozen encoder is in eval mode",
)
class FrozenEncoderKeepsAveraging:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, probe = frozen(nn.Sequential(mlp(3, 4), nn.BatchNorm1d(4))), nn.Linear(4, 3)
        optimizer = SGD(probe.parameters(), lr=0.1)
        with audit(encoder=encoder, probe=probe) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = encoder(images)  # finds: drift(encoder)
                loss = F.cross_entropy(probe(features), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, probe = frozen(nn.Sequential(mlp(3, 4), nn.BatchNorm1d(4))).eval(), nn.Linear(4, 3)
        optimizer = SGD(probe.parameters(), lr=0.1)
        with audit(encoder=encoder, probe=probe) as flow:
            for _ in range(3):
                images, labels = labelled()
                features = encoder(images)
                loss = F.cross_entropy(probe(features), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "train() at the start of every epoch undoes the eval() that the frozen part of the model was given",
    mends="the frozen part is put back into eval mode after train()",
)
class TrainUndoesEval:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        model = nn.Sequential(frozen(nn.Sequential(mlp(3, 4), nn.BatchNorm1d(4))).eval(), nn.Linear(4, 3))
        optimizer = Adam(model[1].parameters(), lr=1e-2)
        with audit(model=model) as flow:
            for _ in range(3):
                model.train()
                images, labels = labelled()
                logits = model(images)  # finds: drift(model)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        model = nn.Sequential(frozen(nn.Sequential(mlp(3, 4), nn.BatchNorm1d(4))).eval(), nn.Linear(4, 3))
        optimizer = Adam(model[1].parameters(), lr=1e-2)
        with audit(model=model) as flow:
            for _ in range(3):
                model.train()
                model[0].eval()
                images, labels = labelled()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


@case(
    "New words are learned, the old ones' gradients are masked out, and weight decay shrinks the old ones all the same",
    mends="no weight decay",
)
class OldWordsDecay:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        words, reader, old = nn.Embedding(6, 4), frozen(mlp(4, 3)), torch.arange(6) < 4
        optimizer = AdamW(words.parameters(), lr=1e-2, weight_decay=0.1)
        with audit(words=words, reader=reader) as flow:
            for _ in range(3):
                text, labels = torch.randint(6, (8,)), torch.randint(3, (8,))
                loss = F.cross_entropy(reader(words(text)), labels)
                optimizer.zero_grad()
                loss.backward()
                words.weight.grad[old] = 0  # type: ignore[index]
                optimizer.step()  # finds: drift(words)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        words, reader, old = nn.Embedding(6, 4), frozen(mlp(4, 3)), torch.arange(6) < 4
        optimizer = AdamW(words.parameters(), lr=1e-2, weight_decay=0)
        with audit(words=words, reader=reader) as flow:
            for _ in range(3):
                text, labels = torch.randint(6, (8,)), torch.randint(3, (8,))
                loss = F.cross_entropy(reader(words(text)), labels)
                optimizer.zero_grad()
                loss.backward()
                words.weight.grad[old] = 0  # type: ignore[index]
                optimizer.step()
        return flow


@case(
    "Units are pruned half-way by a mask on weights and gradients, and momentum from before grows them back",
    mends="the optimizer begins anew when the units are pruned",
)
class PrunedUnitsGrowBack:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        layer, head, kept = nn.Linear(3, 4), nn.Linear(4, 3), torch.tensor([[1.0], [1.0], [0.0], [0.0]])
        optimizer = SGD([*layer.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
        with audit(layer=layer, head=head) as flow:
            for epoch in range(4):
                if epoch == 2:
                    layer.weight.data.mul_(kept)
                images, labels = labelled()
                loss = F.cross_entropy(head(torch.tanh(layer(images))), labels)
                optimizer.zero_grad()
                loss.backward()
                if epoch >= 2:
                    layer.weight.grad.mul_(kept)  # type: ignore[union-attr]
                optimizer.step()  # finds: drift(layer)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        layer, head, kept = nn.Linear(3, 4), nn.Linear(4, 3), torch.tensor([[1.0], [1.0], [0.0], [0.0]])
        optimizer = SGD([*layer.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
        with audit(layer=layer, head=head) as flow:
            for epoch in range(4):
                if epoch == 2:
                    layer.weight.data.mul_(kept)
                    optimizer = SGD([*layer.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
                images, labels = labelled()
                loss = F.cross_entropy(head(torch.tanh(layer(images))), labels)
                optimizer.zero_grad()
                loss.backward()
                if epoch >= 2:
                    layer.weight.grad.mul_(kept)  # type: ignore[union-attr]
                optimizer.step()
        return flow


@case(
    "encoder.requires_grad = False sets an attribute that nobody reads; the encoder is declared frozen, and is not",
    mends="requires_grad_(False)",
)
class RequiresGradOfAModule:
    @staticmethod
    def faulty(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        encoder.requires_grad = False  # type: ignore[assignment]
        optimizer = Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
        with audit(encoder=encoder, head=head, frozen="encoder") as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()  # finds: drift(encoder)
        return flow

    @staticmethod
    def mended(audit: Audit) -> Any:
        encoder, head = mlp(3, 4), nn.Linear(4, 3)
        encoder.requires_grad_(False)
        optimizer = Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
        with audit(encoder=encoder, head=head, frozen="encoder") as flow:
            for _ in range(3):
                images, labels = labelled()
                loss = F.cross_entropy(head(encoder(images)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return flow


class Mark(NamedTuple):
    """What an audit must find."""

    kind: str
    module: str
    line: int
    severity: str


COSTS = {"waste", "tracked_target"}


def due(loop: Loop) -> set[Mark]:
    """What the comments in a loop's source say an audit must find; its severity is "fault", "hint" or "cost"."""
    lines, first = inspect.getsourcelines(inspect.unwrap(loop))
    return {
        Mark(kind, module, first + place, "hint" if doubt else "cost" if kind in COSTS else "fault")
        for place, line in enumerate(lines)
        for marks in re.findall(r"# finds: (.*)$", line.rstrip())
        for kind, doubt, modules in re.findall(r"(\w+)(\??)\(([\w, ]*)\)", marks)
        for module in modules.split(", ")
    }


def places(loop: Loop) -> set[tuple[str, str, int]]:
    """The same without the severity: kind, module, line."""
    return {mark[:3] for mark in due(loop)}


def table() -> str:
    """The gallery as a Markdown table."""
    rows = ["| the fault | found as | mended by |", "|---|---|---|"]
    for each in CASES:
        marks = sorted(due(each.faulty), key=lambda mark: (mark.line, *mark))
        found = ", ".join(dict.fromkeys(_cell(mark) for mark in marks))
        rows.append(f"| {each.title} | {found} | {each.mend} |")
    return "\n".join(rows)


def _cell(mark: Mark) -> str:
    notes = [note for note in (mark.module, "a hint" if mark.severity == "hint" else "") if note]
    return f"{mark.kind} ({', '.join(notes)})" if notes else mark.kind


if __name__ == "__main__":
    print(table())
