"""A gallery of training loops in which a gradient goes where it should not, each beside its mended twin.

A case is a class with two loops. `faulty` holds one fault as people make it; `mended` is the same loop without it. Both
take `audit`, called as `audit(actor=actor, critic=critic)`, train inside it, and return what it yielded. A trailing
comment says what an audit has to find on that line, as `kind(module)`, separated by commas; on every other line, and
in every loop without such a comment, it has to find nothing. The kinds:

    leak            two losses move the module through different optimizers, or one moves what is otherwise a copy
    stale_gradient  a step applies a gradient that an earlier step should have had to itself
    dead_link       an optimizer steps, and no loss reaches what it holds
    drift           a step moves the module though its gradient is zero
    waste           a gradient is computed into the module, and no step applies it
    tracked_target  a graph is recorded through trainable parameters that nothing trains

The networks are tiny and the data are noise: a loop shows where its gradients go, and learns nothing worth having.
"""

import copy
import functools
import inspect
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical, Normal
from torch.func import functional_call
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer, RMSprop

Audit = Callable[..., AbstractContextManager[Any]]
"""What opens an audit: `audit(actor=actor, critic=critic)`, and `shared=("encoder",)` for what two may train."""

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
                critic_loss.backward()  # finds: waste(target_actor), waste(target_critic)
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
                seen = perceptual(upscaled)  # finds: tracked_target(perceptual)
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
                features = body(images)  # finds: tracked_target(body)
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
                    gradients = torch.autograd.grad(support_loss, slow)
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
                    gradients = torch.autograd.grad(support_loss, slow)
                    fast = [weight - 0.1 * gradient for weight, gradient in zip(slow, gradients, strict=True)]
                    predictions = functional_call(regressor, dict(zip(names, fast, strict=True)), (x[4:],))
                    query_loss = F.mse_loss(predictions, y[4:])
                    query_loss.backward()
                meta_optimizer.step()
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
                advantages = returns - critic(observations).squeeze(-1)
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
    mends="the auxiliary loss is left out of the sum",
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
        parameters = [*encoder.parameters(), *head.parameters(), *decoder.parameters()]
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


def due(loop: Loop) -> set[tuple[str, str, int]]:
    """What the comments in a loop's source say an audit must find: kind, module, line."""
    lines, first = inspect.getsourcelines(inspect.unwrap(loop))
    return {
        (kind, module, first + place)
        for place, line in enumerate(lines)
        for marks in re.findall(r"# finds: (.*)$", line.rstrip())
        for kind, module in re.findall(r"(\w+)\((\w+)\)", marks)
    }


def table() -> str:
    """The gallery as a Markdown table."""
    rows = ["| the fault | found as | mended by |", "|---|---|---|"]
    for each in CASES:
        marks = sorted(due(each.faulty), key=lambda mark: (mark[2], *mark))
        found = ", ".join(dict.fromkeys(f"{kind} ({module})" for kind, module, _ in marks))
        rows.append(f"| {each.title} | {found} | {each.mend} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
