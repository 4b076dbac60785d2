"""The networks of the tour, and the ways to stop a gradient in them, as lines of code that are shown and run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


@dataclass(frozen=True)
class Network:
    """A network, its losses, and the place at which a way stands.

    Attributes:
        title, says: for the reader.
        make: returns modules and data for a width and a depth.
        alone: the module that a loss is not to train.
        link: what a way changes, "h = L1(X)".
        input: what the module is called with there.
        before, after: the lines around the link; the last of them make the losses, and `loss`.
        learns: for each loss the modules that it is to train.
    """

    title: str
    says: str
    make: Callable[[int, int], dict[str, nn.Module | Tensor]]
    alone: str
    link: str
    input: str
    after: tuple[str, ...]
    learns: Mapping[str, tuple[str, ...]]
    before: tuple[str, ...] = ()

    def names(self, width: int = 16, depth: int = 1) -> dict[str, Any]:
        """Return what the code of a run uses, the same each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return {**TOOLS, **self.make(width, depth)}

    @property
    def modules(self) -> list[str]:
        """The names of the modules that an optimizer may hold."""
        return [name for name, each in self.names(2).items() if isinstance(each, nn.Module) and trained(each)]


@dataclass(frozen=True)
class Way:
    """A way to stop a gradient: what stands for the link, for `loss.backward()`, and for what the optimizer holds.

    `{link}`, `{out}`, `{expression}`, `{module}`, `{input}` and `{others}` stand for parts of the network.
    """

    name: str
    why: str
    link: str = "{link}"
    backward: str = "loss.backward()"
    holds: str = "{everything}"

    def code(self, network: Network) -> list[str]:
        """Return the lines of one step; the first makes the optimizer."""
        out, _, expression = network.link.partition(" = ")
        others = ", ".join(name for name in network.modules if name != network.alone)
        parts = {"link": network.link, "out": out, "expression": expression, "others": others}
        parts |= {"module": network.alone, "input": network.input, "everything": ", ".join(network.modules)}
        first = f"optimizer = SGD(weights({self.holds}), lr=0.1)"
        lines = [first, *network.before, self.link, *network.after, self.backward, "optimizer.step()"]
        return "\n".join(line.format_map(parts) for line in lines).split("\n")


class Scale(torch.autograd.Function):
    """The identity forwards; backwards the gradient times a factor."""

    @staticmethod
    def forward(context: Any, values: Tensor, factor: float) -> Tensor:
        """Return the values."""
        context.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times the factor."""
        return gradient * context.factor, None


def weights(*modules: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of modules in one list."""
    return [each for module in modules for each in module.parameters()]


def trained(module: nn.Module) -> bool:
    """Whether a module's parameters require a gradient."""
    return all(each.requires_grad for each in module.parameters())


def join(observations: Tensor, actions: Tensor) -> Tensor:
    """Return what a critic takes."""
    return torch.cat([observations, actions], dim=1)


TOOLS = {"torch": torch, "SGD": torch.optim.SGD, "functional_call": functional_call, "Scale": Scale}
TOOLS |= {"weights": weights, "join": join}


def layers(inputs: int, outputs: int, depth: int = 1) -> nn.Sequential:
    """Return hidden layers with tanh between them."""
    sizes = [(inputs if place == 0 else outputs, outputs) for place in range(depth)]
    return nn.Sequential(*(layer for size in sizes for layer in (nn.Linear(*size), nn.Tanh())))


def chain(width: int, depth: int) -> dict[str, nn.Module | Tensor]:
    """L1, then the head L2."""
    return {"L1": layers(width, width, depth), "L2": nn.Linear(width, 1), "X": torch.randn(32, width)}


def middle(width: int, depth: int) -> dict[str, nn.Module | Tensor]:
    """Three modules in a row."""
    first, between = (layers(width, width, depth) for _ in range(2))
    return {"first": first, "middle": between, "head": nn.Linear(width, 1), "X": torch.randn(32, width)}


def heads(width: int, depth: int) -> dict[str, nn.Module | Tensor]:
    """Two heads on a trunk."""
    trunk, value, policy = layers(width, width, depth), nn.Linear(width, 1), nn.Linear(width, 1)
    return {"trunk": trunk, "value": value, "policy": policy, "X": torch.randn(32, width)}


def actor_critic(width: int, depth: int) -> dict[str, nn.Module | Tensor]:
    """An actor, a critic, a target critic that no optimizer holds, and a batch."""
    actor = nn.Sequential(*layers(3, width, depth), nn.Linear(width, 1), nn.Tanh())
    critic, target = (nn.Sequential(*layers(4, width, depth), nn.Linear(width, 1)) for _ in range(2))
    batch = {name: torch.randn(32, size) for name, size in {"s": 3, "a": 1, "r": 1, "s2": 3}.items()}
    return {"actor": actor, "critic": critic, "target_critic": target.requires_grad_(False), **batch}


TWO_LOSSES = ("value_loss = value({}).square().mean()", "policy_loss = -policy(features).mean()")
NETWORKS = {
    "chain": Network(
        title="L1, then L2",
        says="Only L2 is to learn; L1, before it, is to stay.",
        make=chain,
        alone="L1",
        link="h = L1(X)",
        input="X",
        after=("loss = L2(h).square().mean()",),
        learns={"loss": ("L2",)},
    ),
    "middle": Network(
        title="a module in the middle",
        says="The first module and the head are to learn; the middle, between them, is to stay.",
        make=middle,
        alone="middle",
        link="h = middle(first(X))",
        input="first(X)",
        after=("loss = head(h).square().mean()",),
        learns={"loss": ("first", "head")},
    ),
    "heads": Network(
        title="two heads, the trunk run for each",
        says="The trunk is to learn from the value's loss, and not from the policy's.",
        make=heads,
        alone="trunk",
        link="features = trunk(X)",
        input="X",
        after=(TWO_LOSSES[0].format("trunk(X)"), TWO_LOSSES[1], "loss = value_loss + policy_loss"),
        learns={"value_loss": ("trunk", "value"), "policy_loss": ("policy",)},
    ),
    "shared": Network(
        title="two heads, the trunk run once",
        says="The trunk is to learn from the value's loss, and not from the policy's.",
        make=heads,
        alone="trunk",
        link="features = h",
        input="X",
        after=(TWO_LOSSES[0].format("h"), TWO_LOSSES[1], "loss = value_loss + policy_loss"),
        learns={"value_loss": ("trunk", "value"), "policy_loss": ("policy",)},
        before=("h = trunk(X)",),
    ),
    "critic's loss": Network(
        title="actor and critic: the critic's loss",
        says="The critic is to learn; the actor, which chose the next action a2, is to stay.",
        make=actor_critic,
        alone="actor",
        link="a2 = actor(s2)",
        input="s2",
        after=("y = r + 0.99 * target_critic(join(s2, a2))", "loss = (critic(join(s, a)) - y).square().mean()"),
        learns={"loss": ("critic",)},
    ),
    "actor's loss": Network(
        title="actor and critic: the actor's loss",
        says="The actor is to learn through the critic; the critic is to stay.",
        make=actor_critic,
        alone="critic",
        link="q = critic(join(s, actor(s)))",
        input="join(s, actor(s))",
        after=("loss = -q.mean()",),
        learns={"loss": ("actor",)},
    ),
}
WAYS = [
    Way("control", "Every module that the loss was computed from gets a gradient."),
    Way(
        "detach",
        "It returns the same values without their graph: no gradient goes this way, to whatever lies upstream.",
        "{out} = {expression}.detach()",
    ),
    Way(
        "no_grad",
        "What runs inside the block leaves no graph; what ran before it keeps its own.",
        "with torch.no_grad():\n    {link}",
    ),
    Way(
        "inference_mode",
        "What runs inside leaves no graph; PyTorch refuses where such a tensor must be saved for a backward pass.",
        "with torch.inference_mode():\n    {link}",
    ),
    Way(
        "inference_mode + clone",
        "What runs inside leaves no graph, what ran before keeps its own; the clone, made outside, may enter one.",
        "with torch.inference_mode():\n    {link}\n{out} = {out}.clone()",
    ),
    Way(
        "optimizer",
        "The gradient arrives, whichever loss it is from; the step does not hold the module.",
        holds="{others}",
    ),
    Way(
        "by hand",
        "The gradient arrives, and is dropped before the step, whichever loss it is from.",
        backward="loss.backward()\n{module}.zero_grad()",
    ),
    Way(
        "set_grad_enabled",
        "It is no_grad, switched on by a condition.",
        "with torch.set_grad_enabled(False):\n    {link}",
    ),
    Way(
        "requires_grad_",
        "What runs in between asks for no gradient of the weights, and lets it pass through to what lies upstream.",
        "{module}.requires_grad_(False)\n{link}\n{module}.requires_grad_(True)",
    ),
    Way(
        "functional_call",
        "The module runs with detached weights, a run of its own, and lets the gradient pass to what lies upstream.",
        "w = {{k: w.detach() for k, w in {module}.named_parameters()}}\n"
        "{out} = functional_call({module}, w, ({input},))",
    ),
    Way(
        "backward(inputs=)",
        "The pass is asked for the gradients of the other modules only, of all losses together.",
        backward="loss.backward(inputs=weights({others}))",
    ),
    Way(
        "a hook",
        "All gradient that comes to this tensor, whichever loss it is from, becomes zeros, and they run on upstream.",
        "{link}\n{out}.register_hook(torch.zeros_like)",
    ),
    Way(
        "autograd.Function",
        "Gradient that comes this way is multiplied by the factor 0, and the zeros run on upstream.",
        "{out} = Scale.apply({expression}, 0.0)",
    ),
]
