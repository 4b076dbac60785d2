"""Sound training programs of many styles, in which an audit has no fault to find.

A program takes `audit` as the loops of the gallery do, trains inside it, and returns what it yielded. Its comments are
those of the gallery: a cost is marked where there is one (`waste(discriminator)`), and so is what an audit cannot tell
from a mistake and may hint at (`unreached?(model)`). `learns` names the modules whose weights change, as they should.
"""

import copy
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from gallery import (
    Actor,
    Audit,
    Critic,
    Loop,
    Tower,
    frozen,
    labelled,
    mlp,
    nearest,
    optimize,
    polyak,
    replay,
    rollout,
    seeded,
    sine_task,
)
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.distributions import Categorical, Normal
from torch.func import functional_call
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Sound:
    """One sound program.

    Args:
        name: the function's name.
        title: what it does, as one would say it.
        learns: the names of the audited modules whose weights change.
        loop: the program; takes the audit and returns what it yielded.
    """

    name: str
    title: str
    learns: tuple[str, ...]
    loop: Loop


SOUND: list[Sound] = []


def sound(title: str, *, learns: str) -> Callable[[Loop], Loop]:
    """Enter a program into `SOUND`; `learns` are names with spaces between them."""

    def enter(loop: Loop) -> Loop:
        SOUND.append(Sound(loop.__name__, title, tuple(re.findall(r"\w+", learns)), seeded(loop)))
        return loop

    return enter


# Frozen, unused, seldom used.


@sound("A frozen backbone stays in Adam(model.parameters())", learns="model")
def frozen_backbone_in_the_optimizer(audit: Audit) -> Any:
    model = Tower()
    model.stem.requires_grad_(False)
    optimizer = Adam(model.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("A frozen backbone with batch norm in eval mode, declared frozen", learns="probe")
def backbone_declared_frozen(audit: Audit) -> Any:
    backbone, probe = frozen(nn.Sequential(mlp(3, 4), nn.BatchNorm1d(4))).eval(), nn.Linear(4, 3)
    optimizer = AdamW([*backbone.parameters(), *probe.parameters()], lr=1e-2)
    with audit(backbone=backbone, probe=probe, frozen="backbone") as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(probe(backbone(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound(
    "A linear probe: the backbone is in eval mode and under no_grad, and in Adam(model.parameters())", learns="model"
)
def probe_of_a_backbone_under_no_grad(audit: Audit) -> Any:
    model = Tower()
    optimizer = Adam(model.parameters(), lr=1e-2)
    model.stem.eval()
    model.body.eval()
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            with torch.no_grad():
                features = torch.tanh(model.body(torch.tanh(model.stem(images))))
            loss = F.cross_entropy(model.head(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # finds: unreached?(model)
    return flow


@sound("The pooler of a pretrained model is not used, and in the optimizer", learns="model")
def unused_pooler(audit: Audit) -> Any:
    class Encoder(Tower):
        def forward(self, images: Tensor, pool: bool = False) -> Tensor:
            features = torch.tanh(self.stem(images))
            pooled: Tensor = torch.tanh(self.body(features)) if pool else features
            return pooled

    model = Encoder()
    optimizer = AdamW(model.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model.head(model(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # finds: unreached?(model)
    return flow


class Experts(nn.Module):
    """A mixture of three experts; each input `(B, 3)` goes to the one with the largest gate, `(B, 3)`."""

    def __init__(self, bias: tuple[float, float, float]) -> None:
        super().__init__()
        self.gate = nn.Linear(3, 3)
        self.experts = nn.ModuleList([mlp(3, 3) for _ in range(3)])
        self.register_buffer("bias", torch.tensor(bias))

    def forward(self, images: Tensor) -> Tensor:
        weights = torch.softmax(self.gate(images) + self.bias, dim=-1)
        best, choice = weights.max(dim=-1)
        logits = torch.zeros(len(images), 3)
        for index, expert in enumerate(self.experts):
            chosen = (choice == index).nonzero().squeeze(-1)
            if len(chosen):
                logits = logits.index_add(0, chosen, best[chosen, None] * expert(images[chosen]))
        return logits


@sound("A mixture of experts with hard routing; one expert is never chosen", learns="model")
def expert_never_chosen(audit: Audit) -> Any:
    model = Experts(bias=(0, 0, -100))
    optimizer = AdamW(model.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # finds: unreached?(model)
    return flow


@sound("A mixture of experts with hard routing; one expert is chosen once in four steps", learns="model")
def expert_seldom_chosen(audit: Audit) -> Any:
    model = Experts(bias=(0, 0, 0))
    optimizer = AdamW(model.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for step in range(4):
            model.bias[2] = 100 if step == 1 else -100
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Stochastic depth: a residual block is left out at random", learns="stem block head")
def stochastic_depth(audit: Audit) -> Any:
    stem, block, head = nn.Linear(3, 4), mlp(4, 4), nn.Linear(4, 3)
    optimizer = AdamW([*stem.parameters(), *block.parameters(), *head.parameters()], lr=1e-2)
    with audit(stem=stem, block=block, head=head) as flow:
        for step in range(4):
            images, labels = labelled()
            features = stem(images)
            if step % 2 == 0:
                features = features + block(features)
            loss = F.cross_entropy(head(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Layers are unfrozen one after the other; the optimizer holds them all from the start", learns="model")
def progressive_unfreezing(audit: Audit) -> Any:
    model = Tower().requires_grad_(False)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for part in (model.head, model.body, model.stem):
            part.requires_grad_(True)
            for _ in range(2):
                images, labels = labelled()
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return flow


@sound("The head is warmed up on detached features, then everything is trained", learns="encoder head")
def head_warms_up_first(audit: Audit) -> Any:
    encoder, head = mlp(3, 4), nn.Linear(4, 3)
    optimizer = AdamW([*encoder.parameters(), *head.parameters()], lr=1e-2)
    with audit(encoder=encoder, head=head) as flow:
        for epoch in range(4):
            images, labels = labelled()
            features = encoder(images)
            if epoch < 2:
                features = features.detach()
            loss = F.cross_entropy(head(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound(
    "An auxiliary term has weight 0 at first; plain SGD leaves its decoder where it is", learns="encoder head decoder"
)
def curriculum_of_a_term(audit: Audit) -> Any:
    encoder, head, decoder = mlp(3, 4), nn.Linear(4, 3), mlp(4, 3)
    optimizer = SGD([*encoder.parameters(), *head.parameters(), *decoder.parameters()], lr=0.1)
    with audit(encoder=encoder, head=head, decoder=decoder) as flow:
        for epoch in range(4):
            images, labels = labelled()
            features = encoder(images)
            loss = F.cross_entropy(head(features), labels)
            loss = loss + max(0.0, 0.5 * (epoch - 1)) * F.mse_loss(decoder(features), images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("The first steps of LoRA: B is zero, so that A's gradient is exactly zero once", learns="model")
def lora(audit: Audit) -> Any:
    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = nn.Linear(3, 3).requires_grad_(False)
            self.lora_a, self.lora_b = nn.Linear(3, 2, bias=False), nn.Linear(2, 3, bias=False)
            nn.init.zeros_(self.lora_b.weight)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.base(images) + self.lora_b(self.lora_a(images))
            return logits

    model = Adapted()
    optimizer = AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Embeddings under AdamW, which moves the rows that are not used too", learns="words head")
def unused_rows_of_an_embedding(audit: Audit) -> Any:
    words, head = nn.Embedding(8, 4), nn.Linear(4, 3)
    optimizer = AdamW([*words.parameters(), *head.parameters()], lr=1e-2, weight_decay=0.1)
    with audit(words=words, head=head) as flow:
        for _ in range(3):
            text, labels = torch.randint(5, (8,)), torch.randint(3, (8,))
            loss = F.cross_entropy(head(words(text)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Textual inversion: the old words are written back after every step", learns="words")
def old_words_are_written_back(audit: Audit) -> Any:
    words, reader, old = nn.Embedding(6, 4), frozen(mlp(4, 3)), torch.arange(6) < 4
    before = words.weight.detach().clone()
    optimizer = AdamW(words.parameters(), lr=1e-2)
    with audit(words=words, reader=reader) as flow:
        for _ in range(3):
            text, labels = torch.randint(6, (8,)), torch.randint(3, (8,))
            loss = F.cross_entropy(reader(words(text)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                words.weight[old] = before[old]
    return flow


@sound("A perceptual network that nobody froze, made when the optimizer is there already", learns="upscaler")
def perceptual_network_not_frozen(audit: Audit) -> Any:
    upscaler = mlp(3, 6)
    optimizer = Adam(upscaler.parameters(), lr=1e-2)
    perceptual = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 4)).eval()
    with audit(upscaler=upscaler, perceptual=perceptual) as flow:
        for _ in range(3):
            small, large = torch.randn(8, 3), torch.randn(8, 6)
            with torch.no_grad():
                wanted = perceptual(large)
            seen = perceptual(upscaler(small))  # finds: unheld?(perceptual)
            loss = F.l1_loss(seen, wanted)
            optimizer.zero_grad()
            loss.backward()  # finds: waste(perceptual)
            optimizer.step()
    return flow


@sound("Batch norm without weights of its own, in a network that is trained", learns="model")
def batch_norm_without_weights(audit: Audit) -> Any:
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8, affine=False), nn.Tanh(), nn.Linear(8, 3))
    optimizer = SGD(model.parameters(), lr=0.1)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound(
    "A classifier with a margin and momentum: now and then a batch is right already, and its gradient is zero",
    learns="scorer",
)
def margin_kept_by_a_whole_batch(audit: Audit) -> Any:
    scorer = nn.Linear(3, 1)
    optimizer = SGD(scorer.parameters(), lr=0.1, momentum=0.9)
    with audit(scorer=scorer) as flow:
        for step in range(4):
            inputs = torch.randn(8, 3)
            margins = scorer(inputs).squeeze(-1) + (10 if step == 2 else 0)
            loss = F.relu(1 - margins).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # finds: drift?(scorer)
    return flow


@sound("Rows of the gradient are dropped at random, others in every step, under momentum", learns="layer head")
def gradient_dropout(audit: Audit) -> Any:
    layer, head = nn.Linear(3, 8), nn.Linear(8, 3)
    optimizer = SGD([*layer.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
    with audit(layer=layer, head=head) as flow:
        for _ in range(4):
            images, labels = labelled()
            loss = F.cross_entropy(head(torch.tanh(layer(images))), labels)
            optimizer.zero_grad()
            loss.backward()
            layer.weight.grad[torch.rand(8) < 0.3] = 0  # type: ignore[index]
            optimizer.step()
    return flow


@sound("Only the head is fine-tuned; the backbone is in no optimizer, and nobody has frozen it", learns="model")
def head_alone_is_tuned(audit: Audit) -> Any:
    model = Tower()
    optimizer = Adam(model.head.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            logits = model(images)  # finds: unheld?(model)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()  # finds: waste(model)
            optimizer.step()
    return flow


@sound("Adapters are tuned; the optimizer holds them alone, and nobody has frozen what is around them", learns="model")
def adapters_alone_are_tuned(audit: Audit) -> Any:
    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lower, self.adapter, self.upper = nn.Linear(3, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 3)
            self.middle = nn.Linear(8, 8)

        def forward(self, images: Tensor) -> Tensor:
            features = torch.tanh(self.lower(images))
            features = torch.tanh(self.middle(features + self.adapter(features)))
            logits: Tensor = self.upper(features)
            return logits

    model = Adapted()
    optimizer = AdamW(model.adapter.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            logits = model(images)  # finds: unheld?(model)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()  # finds: waste(model)
            optimizer.step()
    return flow


@sound(
    "A generator is inverted: the optimizer holds a latent, a plain tensor, and nobody has frozen the generator",
    learns="latent",
)
def inversion_of_a_generator(audit: Audit) -> Any:
    generator, latent, wanted = mlp(2, 3), torch.zeros(1, 2, requires_grad=True), torch.randn(1, 3)
    optimizer = Adam([latent], lr=1e-2)
    with audit(generator=generator, latent=latent) as flow:
        for _ in range(3):
            picture = generator(latent)  # finds: unheld?(generator)
            loss = F.mse_loss(picture, wanted) + 0.01 * latent.square().mean()
            optimizer.zero_grad()
            loss.backward()  # finds: waste(generator)
            optimizer.step()
    return flow


@sound("Every expert has an optimizer of its own, and all of them step; one expert is never chosen", learns="one other")
def optimizer_for_each_expert(audit: Audit) -> Any:
    one, other, third = mlp(3, 3), mlp(3, 3), mlp(3, 3)
    optimizers = [Adam(each.parameters(), lr=1e-2) for each in (one, other, third)]
    with audit(one=one, other=other, third=third) as flow:
        for step in range(4):
            images, labels = labelled()
            loss = F.cross_entropy((one, other, third)[step % 2](images), labels)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()  # finds: dead_link?(third)
    return flow


@sound("Statistics of batch norm are adapted to new data, without any training", learns="")
def statistics_are_adapted(audit: Audit) -> Any:
    model = frozen(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))).train()
    with audit(model=model) as flow, torch.no_grad():
        for _ in range(3):
            images, _ = labelled()
            model(images)
    return flow


# Copies and averages.


@sound(
    "A mean teacher with batch norm, in train mode under no_grad; an average of the student", learns="student teacher"
)
def mean_teacher_with_batch_norm(audit: Audit) -> Any:
    student = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    teacher = frozen(student)
    optimizer = SGD(student.parameters(), lr=0.1, momentum=0.9)
    with audit(student=student, teacher=teacher) as flow:
        for _ in range(3):
            images, labels = labelled()
            logits = student(images + 0.1 * torch.randn_like(images))
            with torch.no_grad():
                wanted = teacher(images)
            loss = F.cross_entropy(logits, labels) + F.mse_loss(logits.softmax(-1), wanted.softmax(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            polyak(student, teacher, tau=0.01)
    return flow


@sound(
    "Soft updates; the critic's optimizer holds the target too, whose gradients no_grad cuts off",
    learns="actor critic target",
)
def optimizer_holds_the_soft_updated_target(audit: Audit) -> Any:
    actor, critic = Actor(), Critic()
    target = copy.deepcopy(critic)
    actor_optimizer = Adam(actor.parameters(), lr=1e-2)
    critic_optimizer = Adam([*critic.parameters(), *target.parameters()], lr=1e-2)
    with audit(actor=actor, critic=critic, target=target) as flow:
        for _ in range(3):
            observations, actions, rewards, next_observations = replay()
            with torch.no_grad():
                targets = rewards + 0.9 * target(next_observations, actor(next_observations))
            critic_loss = F.mse_loss(critic(observations, actions), targets)
            critic_optimizer.zero_grad()
            critic_loss.backward()
            critic_optimizer.step()

            actor_loss = -critic(observations, actor(observations)).mean()
            actor_optimizer.zero_grad()
            actor_loss.backward(inputs=list(actor.parameters()))
            actor_optimizer.step()
            polyak(critic, target)
    return flow


@sound("Double Q-learning with a hard copy every other step", learns="q target")
def double_q_learning_with_hard_copies(audit: Audit) -> Any:
    q = mlp(3, 4)
    target = copy.deepcopy(q)
    optimizer = Adam(q.parameters(), lr=1e-2)
    with audit(q=q, target=target) as flow:
        for step in range(4):
            observations, _, rewards, next_observations = replay()
            with torch.no_grad():
                best = q(next_observations).argmax(dim=-1, keepdim=True)
                targets = rewards + 0.9 * target(next_observations).gather(1, best).squeeze(-1)
            values = q(observations).gather(1, torch.randint(4, (8, 1))).squeeze(-1)
            loss = F.smooth_l1_loss(values, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 2:
                target.load_state_dict(q.state_dict())
    return flow


@sound("Stochastic weight averaging, with a pass for the statistics of batch norm at the end", learns="model average")
def stochastic_weight_averaging(audit: Audit) -> Any:
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    average = AveragedModel(model)
    optimizer = SGD(model.parameters(), lr=0.1)
    with audit(model=model, average=average) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
        update_bn([labelled()[0] for _ in range(2)], average)
    return flow


@sound("A population of two: the worse one is overwritten by the better, and both train on", learns="one other")
def population_with_copies(audit: Audit) -> Any:
    one, other = mlp(3, 3), mlp(3, 3)
    optimizers = SGD(one.parameters(), lr=0.1), SGD(other.parameters(), lr=0.02)
    with audit(one=one, other=other) as flow:
        for generation in range(3):
            for network, optimizer in zip((one, other), optimizers, strict=True):
                for _ in range(2):
                    images, labels = labelled()
                    loss = F.cross_entropy(network(images), labels)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            if generation < 2:
                better, worse = (one, other) if generation % 2 else (other, one)
                worse.load_state_dict(better.state_dict())
    return flow


@sound(
    "BYOL: the target encoder is an average under no_grad, and both views are predicted",
    learns="online predictor target",
)
def byol(audit: Audit) -> Any:
    online, predictor = mlp(3, 4), mlp(4, 4)
    target = copy.deepcopy(online)
    optimizer = Adam([*online.parameters(), *predictor.parameters()], lr=1e-2)
    with audit(online=online, predictor=predictor, target=target) as flow:
        for _ in range(3):
            images = torch.randn(8, 3)
            one, other = images + 0.1 * torch.randn_like(images), images + 0.1 * torch.randn_like(images)
            with torch.no_grad():
                wanted_one, wanted_other = target(other), target(one)
            loss = -F.cosine_similarity(predictor(online(one)), wanted_one).mean()
            loss = loss - F.cosine_similarity(predictor(online(other)), wanted_other).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            polyak(online, target)
    return flow


@sound(
    "A vector-quantized autoencoder whose codes are averages of the features; the optimizer holds them too",
    learns="encoder codebook decoder",
)
def codes_as_averages(audit: Audit) -> Any:
    encoder, codebook, decoder = mlp(3, 4), nn.Embedding(5, 4), mlp(4, 3)
    optimizer = Adam([*encoder.parameters(), *codebook.parameters(), *decoder.parameters()], lr=1e-2)
    with audit(encoder=encoder, codebook=codebook, decoder=decoder) as flow:
        for _ in range(3):
            images, _ = labelled()
            features = encoder(images)
            choice = nearest(codebook, features)
            codes = codebook(choice).detach()
            loss = F.mse_loss(decoder(features + (codes - features).detach()), images)
            loss = loss + 0.25 * F.mse_loss(features, codes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for code in choice.unique():
                    codebook.weight[code].lerp_(features[choice == code].mean(dim=0), 0.1)
    return flow


# Optimizers.


class SharpnessAware(Optimizer):
    """Climbs by the gradient that is there, and descends by the one that is found above (SAM, Foret et al. 2021)."""

    def __init__(self, parameters: Any, base: Any, rho: float = 0.05) -> None:
        super().__init__(parameters, {"rho": rho})
        self.base = base(self.param_groups)

    def parameters(self) -> Iterator[nn.Parameter]:
        for group in self.param_groups:
            yield from group["params"]

    @torch.no_grad()
    def first_step(self) -> None:
        norm = torch.stack([each.grad.norm() for each in self.parameters() if each.grad is not None]).norm()
        for each in self.parameters():
            self.state[each]["before"] = each.clone()
            if each.grad is not None:
                each.add_(each.grad, alpha=float(self.defaults["rho"] / (norm + 1e-12)))
        self.zero_grad()

    @torch.no_grad()
    def second_step(self) -> None:
        for each in self.parameters():
            each.copy_(self.state[each]["before"])
        self.base.step()
        self.zero_grad()

    def step(self, closure: Any = None) -> None:
        self.first_step()
        with torch.enable_grad():
            closure()
        self.second_step()


@sound("Sharpness-aware minimization, its second pass in a closure", learns="model")
def sharpness_aware_with_a_closure(audit: Audit) -> Any:
    model = mlp(3, 3)
    optimizer = SharpnessAware(model.parameters(), lambda groups: SGD(groups, lr=0.1, momentum=0.9))
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()

            def closure(images: Tensor = images, labels: Tensor = labels) -> Tensor:
                loss = F.cross_entropy(model(images), labels)
                loss.backward()
                return loss

            closure()
            optimizer.step(closure)
    return flow


@sound("Sharpness-aware minimization in two steps that the training calls by name", learns="model")
def sharpness_aware_in_two_steps(audit: Audit) -> Any:
    model = mlp(3, 3)
    optimizer = SharpnessAware(model.parameters(), lambda groups: SGD(groups, lr=0.1, momentum=0.9))
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            F.cross_entropy(model(images), labels).backward()
            optimizer.first_step()
            F.cross_entropy(model(images), labels).backward()
            optimizer.second_step()
    return flow


@sound("Lookahead around Adam: every other step the weights go back half-way to slow ones", learns="model")
def lookahead(audit: Audit) -> Any:
    class Lookahead(Optimizer):
        def __init__(self, inner: Optimizer) -> None:
            super().__init__(inner.param_groups, {})
            self.inner, self.count = inner, 0
            self.slow = [[each.detach().clone() for each in group["params"]] for group in inner.param_groups]

        def step(self, closure: Any = None) -> None:
            self.inner.step(closure)
            self.count += 1
            if self.count % 2 == 0:
                with torch.no_grad():
                    for group, slow in zip(self.param_groups, self.slow, strict=True):
                        for parameter, each in zip(group["params"], slow, strict=True):
                            each.lerp_(parameter, 0.5)
                            parameter.copy_(each)

    model = mlp(3, 3)
    optimizer = Lookahead(Adam(model.parameters(), lr=1e-2))
    with audit(model=model) as flow:
        for _ in range(4):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound(
    "Two optimizers with rates of their own pull at one encoder after every pass, which is declared",
    learns="encoder head",
)
def two_rates_on_one_encoder(audit: Audit) -> Any:
    encoder, head = mlp(3, 4), nn.Linear(4, 3)
    slow = SGD(encoder.parameters(), lr=0.01, momentum=0.9)
    fast = SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    with audit(encoder=encoder, head=head, shared="encoder") as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(head(encoder(images)), labels)
            slow.zero_grad()
            fast.zero_grad()
            loss.backward()
            slow.step()
            fast.step()
    return flow


@sound("One optimizer for the matrices and another for the biases, after one backward pass", learns="model")
def optimizers_split_one_model(audit: Audit) -> Any:
    model = Tower()
    matrices = SGD([each for each in model.parameters() if each.ndim == 2], lr=0.1, momentum=0.9)
    biases = AdamW([each for each in model.parameters() if each.ndim < 2], lr=1e-2)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            model.zero_grad()
            loss.backward()
            matrices.step()
            biases.step()
    return flow


@sound("L-BFGS with a closure", learns="regressor")
def lbfgs(audit: Audit) -> Any:
    regressor = mlp(1, 1)
    optimizer = LBFGS(regressor.parameters(), lr=0.1, max_iter=4, line_search_fn="strong_wolfe")
    with audit(regressor=regressor) as flow:
        for _ in range(3):
            x, y = sine_task()

            def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
                optimizer.zero_grad()
                loss = F.mse_loss(regressor(x), y)
                loss.backward()
                return loss

            optimizer.step(closure)
    return flow


@sound("A GradScaler whose first scale is too large leaves the first steps out", learns="model")
def scaler_leaves_steps_out(audit: Audit) -> Any:
    model = mlp(3, 3)
    optimizer = Adam(model.parameters(), lr=1e-2)
    scaler = GradScaler("cpu", init_scale=2.0**127)
    with audit(model=model) as flow:
        for _ in range(6):
            images, labels = labelled()
            optimizer.zero_grad()
            scaler.scale(8 * F.cross_entropy(model(images), labels)).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
    return flow


@sound("A batch whose gradient is too large is left out by the training itself", learns="regressor")
def large_gradient_left_out(audit: Audit) -> Any:
    regressor = mlp(1, 1)
    optimizer = Adam(regressor.parameters(), lr=1e-2)
    with audit(regressor=regressor) as flow:
        for step in range(4):
            x, y = sine_task()
            loss = F.mse_loss(regressor(x), y + (1e6 if step == 1 else 0))
            optimizer.zero_grad()
            loss.backward()  # finds: waste(regressor)
            if nn.utils.clip_grad_norm_(regressor.parameters(), 10.0) > 1e4:
                continue
            optimizer.step()
    return flow


@sound("Gradients of four micro-batches are accumulated", learns="model")
def accumulation(audit: Audit) -> Any:
    model = mlp(3, 3)
    optimizer = Adam(model.parameters(), lr=1e-2)
    with audit(model=model) as flow:
        for micro_batch in range(8):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels) / 4
            loss.backward()
            if micro_batch % 4 == 3:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    return flow


@sound("A trainer's object does backward, accumulation and clipping for a GAN", learns="generator discriminator")
def trainer_does_backward(audit: Audit) -> Any:
    class Trainer:
        def __init__(self, every: int) -> None:
            self.every = every

        def backward(self, loss: Tensor) -> None:
            (loss / self.every).backward()

        def step(self, optimizer: Optimizer) -> None:
            for group in optimizer.param_groups:
                nn.utils.clip_grad_norm_(group["params"], 1.0)
            optimizer.step()
            optimizer.zero_grad()

    generator, discriminator, trainer = mlp(2, 3), mlp(3, 1), Trainer(every=2)
    g_optimizer, d_optimizer = Adam(generator.parameters(), lr=1e-2), Adam(discriminator.parameters(), lr=1e-2)
    with audit(generator=generator, discriminator=discriminator) as flow:
        for _ in range(3):
            for _ in range(trainer.every):
                real, fake = torch.randn(8, 3), generator(torch.randn(8, 2)).detach()
                trainer.backward(F.softplus(discriminator(fake)).mean() + F.softplus(-discriminator(real)).mean())
            trainer.step(d_optimizer)

            discriminator.requires_grad_(False)
            for _ in range(trainer.every):
                fake = generator(torch.randn(8, 2))
                trainer.backward(F.softplus(-discriminator(fake)).mean())
            trainer.step(g_optimizer)
            discriminator.requires_grad_(True)
    return flow


@sound(
    "DINO: the last layer's gradient is dropped in the first epoch, which costs next to nothing", learns="backbone head"
)
def last_layer_waits_an_epoch(audit: Audit) -> Any:
    backbone = nn.Sequential(
        nn.Linear(3, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh()
    )
    head = nn.Linear(256, 3)
    optimizer = AdamW([*backbone.parameters(), *head.parameters()], lr=1e-2)
    with audit(backbone=backbone, head=head) as flow:
        for epoch in range(2):
            for _ in range(2):
                images, labels = labelled()
                loss = F.cross_entropy(head(backbone(images)), labels)
                optimizer.zero_grad()
                loss.backward()
                if epoch < 1:
                    for parameter in head.parameters():
                        parameter.grad = None
                optimizer.step()
    return flow


@sound("A step before the first gradient, so that the scheduler does not complain", learns="model")
def step_before_the_first_gradient(audit: Audit) -> Any:
    model = mlp(3, 3)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    with audit(model=model) as flow:
        optimizer.step()
        for _ in range(3):
            images, labels = labelled()
            scheduler.step()
            optimize(optimizer, F.cross_entropy(model(images), labels))
    return flow


@sound("A preconditioner, itself an optimizer, scales the gradients before another optimizer's step", learns="model")
def preconditioner_before_the_step(audit: Audit) -> Any:
    class Preconditioner(Optimizer):
        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for each in self.param_groups[0]["params"]:
                each.grad.div_(each.grad.norm() + 1e-6)

    model = mlp(3, 3)
    preconditioner, optimizer = Preconditioner(model.parameters(), {}), SGD(model.parameters(), lr=0.1)
    with audit(model=model) as flow:
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            preconditioner.step()
            optimizer.step()
    return flow


@sound("Elastic weight consolidation: a first task's gradients are only read, squared", learns="model")
def elastic_weight_consolidation(audit: Audit) -> Any:
    model = mlp(3, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    with audit(model=model) as flow:
        importance = [torch.zeros_like(each) for each in model.parameters()]
        for _ in range(3):
            images, labels = labelled()
            F.cross_entropy(model(images), labels).backward()  # finds: waste(model)
            for each, parameter in zip(importance, model.parameters(), strict=True):
                each += parameter.grad.square()  # type: ignore[union-attr]
            model.zero_grad()
        before = [each.detach().clone() for each in model.parameters()]
        for _ in range(3):
            images, labels = labelled()
            loss = F.cross_entropy(model(images), labels)
            for each, parameter, anchor in zip(importance, model.parameters(), before, strict=True):
                loss = loss + (each * (parameter - anchor).square()).sum()
            optimize(optimizer, loss)
    return flow


# Several losses, several optimizers.


@sound(
    "A GAN with detached fakes and a discriminator that is frozen while the generator learns",
    learns="generator discriminator",
)
def gan_with_batch_norm(audit: Audit) -> Any:
    generator = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    discriminator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
    g_optimizer, d_optimizer = Adam(generator.parameters(), lr=1e-2), Adam(discriminator.parameters(), lr=1e-2)
    with audit(generator=generator, discriminator=discriminator) as flow:
        for _ in range(3):
            real, fake = torch.randn(8, 3), generator(torch.randn(8, 2)).detach()
            d_loss = F.softplus(discriminator(fake)).mean() + F.softplus(-discriminator(real)).mean()
            d_optimizer.zero_grad()
            d_loss.backward()
            d_optimizer.step()

            discriminator.requires_grad_(False)
            g_loss = F.softplus(-discriminator(generator(torch.randn(8, 2)))).mean()
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()
            discriminator.requires_grad_(True)
    return flow


@sound(
    "A GAN as the tutorial has it: the generator's loss adds to the discriminator's gradient, which is cleared",
    learns="generator discriminator",
)
def gan_of_the_tutorial(audit: Audit) -> Any:
    generator, discriminator = mlp(2, 3), mlp(3, 1)
    g_optimizer, d_optimizer = Adam(generator.parameters(), lr=1e-2), Adam(discriminator.parameters(), lr=1e-2)
    with audit(generator=generator, discriminator=discriminator) as flow:
        for _ in range(3):
            real, fake = torch.randn(8, 3), generator(torch.randn(8, 2))
            d_optimizer.zero_grad()
            F.softplus(-discriminator(real)).mean().backward()
            F.softplus(discriminator(fake.detach())).mean().backward()
            d_optimizer.step()

            g_optimizer.zero_grad()
            g_loss = F.softplus(-discriminator(fake)).mean()
            g_loss.backward()  # finds: waste(discriminator)
            g_optimizer.step()
    return flow


@sound(
    "An encoder's own optimizer steps once an iteration, on two losses; the heads step in between",
    learns="encoder critic actor",
)
def encoder_that_waits(audit: Audit) -> Any:
    encoder, critic, actor = mlp(3, 4), nn.Linear(4, 1), nn.Linear(4, 3)
    optimizers = [Adam(each.parameters(), lr=1e-2) for each in (critic, actor, encoder)]
    with audit(encoder=encoder, critic=critic, actor=actor, shared="encoder") as flow:
        for _ in range(3):
            for optimizer in optimizers:
                optimizer.zero_grad()
            images, labels = labelled()
            critic(encoder(images)).square().mean().backward()
            optimizers[0].step()
            F.cross_entropy(actor(encoder(images)), labels).backward()
            optimizers[1].step()
            optimizers[2].step()
    return flow


@sound("Of an actor and a critic with an optimizer each, the actor alone is named", learns="actor")
def actor_alone_is_named(audit: Audit) -> Any:
    actor, critic = mlp(3, 4), mlp(3, 1)
    actor_optimizer, critic_optimizer = Adam(actor.parameters(), lr=1e-2), Adam(critic.parameters(), lr=1e-2)
    with audit(actor=actor) as flow:
        for _ in range(3):
            observations, returns = rollout()
            values = critic(observations).squeeze(-1)
            distribution = Categorical(logits=actor(observations))
            advantages = returns - values.detach()
            optimize(critic_optimizer, F.mse_loss(values, returns))
            optimize(actor_optimizer, -(distribution.log_prob(distribution.sample()) * advantages).mean())
    return flow


@sound("A validation between the epochs, and the best weights are kept and brought back", learns="model")
def validation_and_the_best_weights(audit: Audit) -> Any:
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer, best, least = AdamW(model.parameters(), lr=1e-2), copy.deepcopy(model.state_dict()), float("inf")
    with audit(model=model) as flow:
        for _ in range(3):
            model.train()
            for _ in range(2):
                images, labels = labelled()
                optimize(optimizer, F.cross_entropy(model(images), labels))
            model.eval()
            with torch.no_grad():
                images, labels = labelled()
                loss = F.cross_entropy(model(images), labels).item()
            if loss < least:
                best, least = copy.deepcopy(model.state_dict()), loss
        model.load_state_dict(best)
    return flow


@sound(
    "Two tasks, a backward pass each; an optimizer for the encoder and one for each head step afterwards",
    learns="encoder classes depth",
)
def two_tasks_and_three_optimizers(audit: Audit) -> Any:
    encoder, classes, depth = mlp(3, 4), nn.Linear(4, 3), nn.Linear(4, 1)
    optimizers = [Adam(each.parameters(), lr=1e-2) for each in (encoder, classes, depth)]
    with audit(encoder=encoder, classes=classes, depth=depth) as flow:
        for _ in range(3):
            for optimizer in optimizers:
                optimizer.zero_grad()
            images, labels = labelled()
            F.cross_entropy(classes(encoder(images)), labels).backward()
            F.mse_loss(depth(encoder(images)), images[:, :1]).backward()
            for optimizer in optimizers:
                optimizer.step()
    return flow


@sound(
    "Reconstruction and values both train the encoder before either optimizer steps, which is declared",
    learns="encoder decoder critic",
)
def both_backward_and_shared(audit: Audit) -> Any:
    encoder, decoder, critic = mlp(3, 4), mlp(4, 3), mlp(4, 1)
    encoder_optimizer = Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    critic_optimizer = Adam(critic.parameters(), lr=1e-2)
    with audit(encoder=encoder, decoder=decoder, critic=critic, shared="encoder") as flow:
        for _ in range(3):
            observations, returns = rollout()
            encoder_optimizer.zero_grad()
            F.mse_loss(decoder(encoder(observations)), observations).backward()
            critic_optimizer.zero_grad()
            F.mse_loss(critic(encoder(observations)).squeeze(-1), returns).backward()
            encoder_optimizer.step()
            critic_optimizer.step()
    return flow


@sound(
    "All losses are sent backward first and all optimizers step afterwards; no loss reaches another's network",
    learns="policy values",
)
def harvest_of_separate_networks(audit: Audit) -> Any:
    policy, values = mlp(3, 4), mlp(3, 1)
    policy_optimizer, values_optimizer = Adam(policy.parameters(), lr=1e-2), Adam(values.parameters(), lr=1e-2)
    with audit(policy=policy, values=values) as flow:
        for _ in range(3):
            observations, returns = rollout()
            predicted = values(observations).squeeze(-1)
            distribution = Categorical(logits=policy(observations))
            advantages = returns - predicted.detach()
            values_optimizer.zero_grad()
            F.mse_loss(predicted, returns).backward()
            policy_optimizer.zero_grad()
            (-distribution.log_prob(distribution.sample()) * advantages).mean().backward()
            values_optimizer.step()
            policy_optimizer.step()
    return flow


@sound("Matrix factorization, the two factors in turn on one loss", learns="users items")
def factors_in_turn(audit: Audit) -> Any:
    users, items = nn.Embedding(5, 3), nn.Embedding(6, 3)
    optimizers = SGD(users.parameters(), lr=0.5), SGD(items.parameters(), lr=0.5)
    with audit(users=users, items=items) as flow:
        for _ in range(3):
            who, what, ratings = torch.randint(5, (8,)), torch.randint(6, (8,)), torch.randn(8)
            for optimizer in optimizers:
                for each in optimizers:
                    each.zero_grad()
                loss = F.mse_loss((users(who) * items(what)).sum(dim=-1), ratings)
                loss.backward()  # finds: waste(users, items)
                optimizer.step()
    return flow


@sound(
    "Expectation and maximization of an alternating kind: each block's gradients alone are asked for",
    learns="left right",
)
def blocks_in_turn(audit: Audit) -> Any:
    left, right = mlp(3, 4), mlp(3, 4)
    optimizers = {"left": SGD(left.parameters(), lr=0.1), "right": SGD(right.parameters(), lr=0.1)}
    with audit(left=left, right=right) as flow:
        for _ in range(3):
            images = torch.randn(8, 3)
            for name, block in (("left", left), ("right", right)):
                loss = -F.cosine_similarity(left(images), right(images.flip(-1))).mean()
                optimizers[name].zero_grad()
                loss.backward(inputs=list(block.parameters()))
                optimizers[name].step()
    return flow


@sound(
    "An autoencoder is trained first, and then a classifier on its codes by another optimizer",
    learns="encoder decoder head",
)
def pretraining(audit: Audit) -> Any:
    encoder, decoder, head = mlp(3, 4), mlp(4, 3), nn.Linear(4, 3)
    pretrainer = Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    optimizer = Adam([*encoder.parameters(), *head.parameters()], lr=1e-3)
    with audit(encoder=encoder, decoder=decoder, head=head) as flow:
        for _ in range(4):
            images, _ = labelled()
            optimize(pretrainer, F.mse_loss(decoder(encoder(images)), images))
        for _ in range(4):
            images, labels = labelled()
            optimize(optimizer, F.cross_entropy(head(encoder(images)), labels))
    return flow


@sound(
    "Gradient surgery: each task's gradient is returned, and what they agree on is put together by hand", learns="trunk"
)
def gradient_surgery(audit: Audit) -> Any:
    trunk = mlp(3, 4)
    optimizer = Adam(trunk.parameters(), lr=1e-2)
    with audit(trunk=trunk) as flow:
        for _ in range(3):
            images, labels = labelled()
            outputs, parameters = trunk(images), list(trunk.parameters())
            losses = F.cross_entropy(outputs[:, :3], labels), F.mse_loss(outputs[:, 3], images[:, 0])
            one, other = (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses)
            optimizer.zero_grad()
            for parameter, a, b in zip(parameters, one, other, strict=True):
                conflict = (a * b).sum().clamp(max=0)
                parameter.grad = a + b - conflict * (b / b.square().sum() + a / a.square().sum())
            optimizer.step()
    return flow


@sound("Gradient surgery from copies: each task goes backward, its gradient is cloned and cleared", learns="trunk")
def gradient_surgery_from_copies(audit: Audit) -> Any:
    trunk = mlp(3, 4)
    optimizer = SGD(trunk.parameters(), lr=0.1)
    with audit(trunk=trunk) as flow:
        for _ in range(3):
            images, labels = labelled()
            outputs, copies = trunk(images), []
            for loss in (F.cross_entropy(outputs[:, :3], labels), F.mse_loss(outputs[:, 3], images[:, 0])):
                optimizer.zero_grad()
                loss.backward(retain_graph=True)
                copies.append([each.grad.clone() for each in trunk.parameters() if each.grad is not None])
            for parameter, a, b in zip(trunk.parameters(), *copies, strict=True):
                parameter.grad = torch.where((a * b).sum() < 0, a, a + b)
            optimizer.step()
    return flow


# Stops where they belong.


@sound("SimSiam: one side of each pair is detached, and the encoder learns by the other", learns="encoder predictor")
def simsiam(audit: Audit) -> Any:
    encoder, predictor = mlp(3, 4), mlp(4, 4)
    optimizer = SGD([*encoder.parameters(), *predictor.parameters()], lr=0.1)
    with audit(encoder=encoder, predictor=predictor) as flow:
        for _ in range(3):
            images = torch.randn(8, 3)
            one, other = (encoder(images + 0.1 * torch.randn_like(images)) for _ in range(2))
            loss = -F.cosine_similarity(predictor(one), other.detach()).mean()
            loss = loss - F.cosine_similarity(predictor(other), one.detach()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Two calls of one network are to agree, and both are moved", learns="network")
def consistency_of_two_calls(audit: Audit) -> Any:
    network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer = Adam(network.parameters(), lr=1e-2)
    with audit(network=network) as flow:
        for _ in range(3):
            images, labels = labelled()
            one, other = network(images), network(images)
            loss = F.cross_entropy(one, labels) + F.mse_loss(one, other)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("A siamese network: pairs of one class are drawn together, others pushed apart", learns="network")
def siamese_pairs(audit: Audit) -> Any:
    network = mlp(3, 4)
    optimizer = Adam(network.parameters(), lr=1e-2)
    with audit(network=network) as flow:
        for _ in range(3):
            one, other, same = torch.randn(8, 3), torch.randn(8, 3), torch.rand(8) < 0.5
            distances = (network(one) - network(other)).pow(2).sum(dim=-1)
            loss = torch.where(same, distances, F.relu(2 - distances)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Distillation from a frozen teacher", learns="student")
def distillation(audit: Audit) -> Any:
    teacher, student = frozen(mlp(3, 3)).eval(), mlp(3, 3)
    optimizer = AdamW(student.parameters(), lr=1e-2)
    with audit(teacher=teacher, student=student) as flow:
        for _ in range(3):
            images, labels = labelled()
            logits = student(images)
            wanted = F.softmax(teacher(images) / 2, dim=-1)
            loss = F.cross_entropy(logits, labels) + F.kl_div(
                F.log_softmax(logits / 2, -1), wanted, reduction="batchmean"
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Truncated backpropagation through time: the state is detached between two windows", learns="cell head")
def truncated_backpropagation(audit: Audit) -> Any:
    cell, head = nn.GRUCell(3, 4), nn.Linear(4, 1)
    optimizer = Adam([*cell.parameters(), *head.parameters()], lr=1e-2)
    with audit(cell=cell, head=head) as flow:
        state = torch.zeros(8, 4)
        for _ in range(3):
            state, losses = state.detach(), []
            for _ in range(4):
                state = cell(torch.randn(8, 3), state)
                losses.append(F.mse_loss(head(state).squeeze(-1), torch.randn(8)))
            loss = torch.stack(losses).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(cell.parameters(), 1.0)
            optimizer.step()
    return flow


@sound("The output layer is tied to the word vectors", learns="words body output")
def weight_tying(audit: Audit) -> Any:
    words, body, output = nn.Embedding(6, 4), mlp(4, 4), nn.Linear(4, 6, bias=False)
    output.weight = words.weight
    optimizer = AdamW([*words.parameters(), *body.parameters()], lr=1e-2)
    with audit(words=words, body=body, output=output) as flow:
        for _ in range(3):
            text, following = torch.randint(6, (8,)), torch.randint(6, (8,))
            loss = F.cross_entropy(output(body(words(text))), following)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("REINFORCE with a moving average for a baseline", learns="policy")
def reinforce_with_a_moving_average(audit: Audit) -> Any:
    policy, seen = mlp(3, 4), deque([0.0], maxlen=10)
    optimizer = Adam(policy.parameters(), lr=1e-2)
    with audit(policy=policy) as flow:
        for _ in range(3):
            observations, returns = rollout()
            distribution = Categorical(logits=policy(observations))
            log_probs = distribution.log_prob(distribution.sample())
            baseline = sum(seen) / len(seen)
            loss = -(log_probs * (returns - baseline)).mean() - 0.01 * distribution.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(returns.mean().item())
    return flow


@sound("PPO: minibatches of one rollout, a shared trunk, a clipped loss", learns="trunk policy values")
def ppo(audit: Audit) -> Any:
    trunk, policy, values = mlp(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)
    parameters = [*trunk.parameters(), *policy.parameters(), *values.parameters()]
    optimizer = Adam(parameters, lr=1e-2)
    with audit(trunk=trunk, policy=policy, values=values) as flow:
        for _ in range(2):
            observations, returns = rollout(16)
            with torch.no_grad():
                features = trunk(observations)
                distribution = Categorical(logits=policy(features))
                actions = distribution.sample()
                old = distribution.log_prob(actions)
                advantages = returns - values(features).squeeze(-1)
            for rows in torch.randperm(16).chunk(4):
                features = trunk(observations[rows])
                distribution = Categorical(logits=policy(features))
                ratios = (distribution.log_prob(actions[rows]) - old[rows]).exp()
                clipped = ratios.clamp(0.8, 1.2)
                policy_loss = -torch.min(ratios * advantages[rows], clipped * advantages[rows]).mean()
                value_loss = F.mse_loss(values(features).squeeze(-1), returns[rows])
                loss = policy_loss + 0.5 * value_loss - 0.01 * distribution.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimizer.step()
    return flow


@sound(
    "SAC, with everything cut off where it should be, and a temperature that is a plain tensor",
    learns="actor one other log_alpha",
)
def sac(audit: Audit) -> Any:
    actor, one, other = mlp(3, 4), Critic(), Critic()
    targets = [frozen(one), frozen(other)]
    log_alpha = torch.zeros(1, requires_grad=True)
    actor_optimizer, alpha_optimizer = Adam(actor.parameters(), lr=1e-2), Adam([log_alpha], lr=1e-2)
    critic_optimizer = Adam([*one.parameters(), *other.parameters()], lr=1e-2)

    def act(observations: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = actor(observations).chunk(2, dim=-1)
        distribution = Normal(mean, log_std.clamp(-5, 2).exp())
        actions = distribution.rsample()
        return actions.tanh(), distribution.log_prob(actions).sum(dim=-1)

    with audit(actor=actor, one=one, other=other, log_alpha=log_alpha) as flow:
        for _ in range(3):
            observations, actions, rewards, next_observations = replay()
            with torch.no_grad():
                next_actions, log_probs = act(next_observations)
                least = torch.min(*(each(next_observations, next_actions) for each in targets))
                wanted = rewards + 0.9 * (least - log_alpha.exp() * log_probs)
            critic_loss = F.mse_loss(one(observations, actions), wanted) + F.mse_loss(
                other(observations, actions), wanted
            )
            optimize(critic_optimizer, critic_loss)

            for critic in (one, other):
                critic.requires_grad_(False)
            actions, log_probs = act(observations)
            least = torch.min(one(observations, actions), other(observations, actions))
            actor_loss = (log_alpha.exp().detach() * log_probs - least).mean()
            optimize(actor_optimizer, actor_loss)
            for critic in (one, other):
                critic.requires_grad_(True)

            alpha_loss = -(log_alpha.exp() * (log_probs.detach() - 2)).mean()
            optimize(alpha_optimizer, alpha_loss)
            for critic, target in zip((one, other), targets, strict=True):
                polyak(critic, target)
    return flow


@sound(
    "The actor follows the critic's gradient at its actions, which is returned and enters as a number",
    learns="actor critic",
)
def policy_gradient_by_hand(audit: Audit) -> Any:
    actor, critic = Actor(), Critic()
    actor_optimizer, critic_optimizer = Adam(actor.parameters(), lr=1e-2), Adam(critic.parameters(), lr=1e-2)
    with audit(actor=actor, critic=critic) as flow:
        for _ in range(3):
            observations, actions, rewards, _ = replay()
            optimize(critic_optimizer, F.mse_loss(critic(observations, actions), rewards))
            policy_actions = actor(observations)
            leaves = policy_actions.detach().requires_grad_()
            (uphill,) = torch.autograd.grad(critic(observations, leaves).sum(), leaves)
            optimize(actor_optimizer, -(policy_actions * uphill).mean())
    return flow


@sound("Training on adversarial inputs, which a returned gradient has made", learns="classifier")
def adversarial_training(audit: Audit) -> Any:
    classifier = mlp(3, 3)
    optimizer = SGD(classifier.parameters(), lr=0.1)
    with audit(classifier=classifier) as flow:
        for _ in range(3):
            images, labels = labelled()
            images.requires_grad_()
            (uphill,) = torch.autograd.grad(F.cross_entropy(classifier(images), labels), images)
            worse = images.detach() + 0.1 * uphill / uphill.norm(dim=-1, keepdim=True)
            loss = F.cross_entropy(classifier(worse), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Ratios of a policy to itself, cut off below, and a distance to a reference that is frozen", learns="policy")
def ratios_to_oneself(audit: Audit) -> Any:
    policy = mlp(3, 4)
    reference = frozen(policy)
    optimizer = Adam(policy.parameters(), lr=1e-2)
    with audit(policy=policy, reference=reference) as flow:
        for _ in range(3):
            observations, returns = rollout()
            distribution = Categorical(logits=policy(observations))
            log_probs = distribution.log_prob(actions := distribution.sample())
            ratios = (log_probs - log_probs.detach()).exp()
            away = Categorical(logits=reference(observations)).log_prob(actions) - log_probs
            loss = -(ratios * (returns - returns.mean()) / returns.std()).mean() + 0.1 * (away.exp() - away - 1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("A hypernetwork writes the weights of a network, whose own are never used", learns="writer")
def hypernetwork(audit: Audit) -> Any:
    network = nn.Linear(3, 3)
    writer = mlp(2, sum(each.numel() for each in network.parameters()))
    optimizer = Adam(writer.parameters(), lr=1e-2)
    with audit(writer=writer, network=network) as flow:
        for _ in range(3):
            images, labels = labelled()
            written = writer(torch.randn(2))
            weights = {"weight": written[:9].view(3, 3), "bias": written[9:]}
            loss = F.cross_entropy(functional_call(network, weights, (images,)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Binary features with a straight-through gradient", learns="encoder head")
def straight_through(audit: Audit) -> Any:
    encoder, head = mlp(3, 4), nn.Linear(4, 3)
    optimizer = Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
    with audit(encoder=encoder, head=head) as flow:
        for _ in range(3):
            images, labels = labelled()
            soft = torch.sigmoid(encoder(images))
            bits = soft + (soft.round() - soft).detach()
            loss = F.cross_entropy(head(bits), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow


@sound("Activation checkpoints: the forward pass is done again during the backward pass", learns="body head")
def checkpoints(audit: Audit) -> Any:
    body, head = mlp(3, 4), nn.Linear(4, 3)
    optimizer = Adam([*body.parameters(), *head.parameters()], lr=1e-2)
    with audit(body=body, head=head) as flow:
        for _ in range(3):
            images, labels = labelled()
            features = checkpoint(body, images, use_reentrant=False)
            loss = F.cross_entropy(head(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flow
