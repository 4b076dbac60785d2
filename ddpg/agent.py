"""The agent: deep deterministic policy gradient (Lillicrap et al., 2015, arXiv:1509.02971, algorithm 1)."""

import copy
import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn import functional as F

from ddpg.base import optimizers
from ddpg.base.devices import usable_device
from ddpg.base.errors import InputError, choices, real, require, whole
from ddpg.base.memory import physical_memory
from ddpg.base.spaces import as_rows, centre_and_half_range, check_spaces, size
from ddpg.critic_freeze import CriticFreeze
from ddpg.exploration import Exploration
from ddpg.gradient_stop import GradientStop
from ddpg.networks import Actor, Critic
from ddpg.replay_buffer import GREATEST_SEED, Batch

_NETWORKS = ("actor", "critic", "target_actor", "target_critic", "bootstrapping_actor")
_REPLACED = (
    "the optimizers would go on training the old one. Load weights into it, as in "
    "agent.actor.load_state_dict(mine.state_dict()); for another size say DDPG(…, hidden_sizes=…)."
)


class DDPG:
    """Actor, critic, their target networks, and one short function for each update.

    Args:
        observation_space, action_space: gymnasium Boxes, flat or not; the action space bounded.
        gradient_stop: how the critic's update closes the link to the actor: a name, or an instance.
        critic_freeze: how the actor's update holds the critic still: a name, or an instance.
        bootstrap_actor: which actor chooses a' in the TD target: "target" (the paper) or "online".
        hidden_sizes: the width of each hidden layer of both networks.
        actor_lr, critic_lr: learning rates.
        discount: γ, in [0, 1].
        polyak: the share of the online network in a soft target update, in (0, 1]; the paper's τ.
        critic_weight_decay: L2 on the critic's parameters.
        final_layer_bound: final layers start uniform in ± this; None keeps PyTorch's initialisation.
        action_layer: the critic's layer that the action enters; 0 is the input.
        optimizer: a class of torch.optim, its name, or a partial of it; its fused kernel is taken where it has one.
        exploration: the noise of `act(…, explore=True)`: a name, or an instance, of which the agent takes a copy.
        device: of networks and updates.
        seed: of the initial weights and of the noise.

    Raises:
        InputError: for spaces that DDPG does not take, and values out of their range.
    """

    def __init__(
        self,
        observation_space: Box,
        action_space: Box,
        *,
        gradient_stop: str | Mapping[str, Any] | GradientStop = "no_grad",
        critic_freeze: str | Mapping[str, Any] | CriticFreeze = "requires_grad",
        bootstrap_actor: str = "target",
        hidden_sizes: Sequence[int] = (256, 256),
        actor_lr: float = 1e-3,
        critic_lr: float = 1e-3,
        discount: float = 0.99,
        polyak: float = 0.02,
        critic_weight_decay: float = 0.0,
        final_layer_bound: float | None = 3e-3,
        action_layer: int = 0,
        optimizer: str | optimizers.OptimizerFactory = torch.optim.Adam,
        exploration: str | Mapping[str, Any] | Exploration = "gaussian",
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        check_spaces(observation_space, action_space)
        options = _checked_options(
            bootstrap_actor=bootstrap_actor,
            hidden_sizes=hidden_sizes,
            actor_lr=actor_lr,
            critic_lr=critic_lr,
            discount=discount,
            polyak=polyak,
            critic_weight_decay=critic_weight_decay,
            final_layer_bound=final_layer_bound,
            action_layer=action_layer,
            seed=seed,
        )
        if isinstance(optimizer, str):
            optimizer = optimizers.named(optimizer, {})
        self.observation_space = observation_space
        self.action_space = action_space
        self.gradient_stop = GradientStop.make(gradient_stop)
        self.critic_freeze = CriticFreeze.make(critic_freeze)
        self.exploration = copy.deepcopy(Exploration.make(exploration))  # its state is this agent's alone
        self.discount: float = options["discount"]
        self.polyak: float = options["polyak"]
        self.device = usable_device(device)
        self.critic_updates = 0
        self._half_range = centre_and_half_range(action_space)[1]
        self.generator = np.random.default_rng(options["seed"])

        _check_size(observation_space, action_space, options)
        # The seed decides the weights, drawn on the CPU whatever the device, and nobody else's random numbers.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(options["seed"])
            actor, critic = make_networks(observation_space, action_space, options)
        self.actor, self.critic = actor.to(self.device), critic.to(self.device)
        self.target_actor = copy.deepcopy(self.actor)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        # The bootstrapping actor's parameters require a gradient, so that the stop alone decides whether one flows.
        self.target_actor.requires_grad_(bootstrap_actor == "target")
        self.bootstrapping_actor = self.target_actor if bootstrap_actor == "target" else self.actor

        critic_holds = self.gradient_stop.held_parameters(self.critic, self.bootstrapping_actor)
        actor_holds = self.critic_freeze.held_parameters(self.actor, self.critic)
        self.critic_optimizer = optimizers.build(
            optimizer, critic_holds, options["critic_lr"], self.critic.parameters(), options["critic_weight_decay"]
        )
        self.actor_optimizer = optimizers.build(optimizer, actor_holds, options["actor_lr"])
        self.options = options
        self.optimizer = optimizer
        self._parameters = self._present_parameters()

    def __setattr__(self, name: str, value: object) -> None:
        if name in _NETWORKS and value is not vars(self).get(name, value):
            raise InputError(f"agent.{name} cannot be replaced: {_REPLACED}")
        super().__setattr__(name, value)

    def act(
        self, observation: np.ndarray, explore: bool = False, policy: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> np.ndarray:
        """The policy's action in the environment's units, clipped to the bounds.

        Args:
            observation: one observation, or several with a leading axis (one environment a row).
            explore: add exploration noise; row i belongs to the noise process of environment i.
            policy: maps observations `(n, obs)` to actions `(n, act)`, as `policy` does; a compiled one, for instance.

        Raises:
            InputError: if the shape is not that of the observation space.
        """
        rows = as_rows(self.observation_space, observation, "observation")
        actions = (policy or self.policy)(rows)
        if explore:
            actions = actions + self._half_range * self.exploration.sample(actions.shape, self.generator)
        several = np.ndim(observation) > len(self.observation_space.shape)
        actions = actions.reshape((*([len(rows)] if several else []), *self.action_space.shape))
        clipped = np.minimum(np.maximum(actions, self.action_space.low), self.action_space.high)
        return np.asarray(clipped, dtype=self.action_space.dtype)

    def policy(self, observations: np.ndarray) -> np.ndarray:
        """The actor's actions `(n, act)` for observations `(n, obs)`, in the environment's units."""
        array = np.array(observations, np.float64, order="C")  # a dtype and a layout that PyTorch knows
        with torch.no_grad():
            actions: Tensor = self.actor(torch.from_numpy(array).to(self.device, self.actor.centre.dtype))
        return actions.cpu().numpy()

    def value(self, observation: np.ndarray, action: np.ndarray) -> float:
        """The critic's Q(s, a) of one observation and one action in the environment's units."""
        dtype = self.actor.centre.dtype
        pair = (
            torch.as_tensor(as_rows(space, array, name), dtype=dtype, device=self.device)
            for space, array, name in (
                (self.observation_space, observation, "observation"),
                (self.action_space, action, "action"),
            )
        )
        with torch.no_grad():
            return float(self.critic(*pair))

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One critic step, one actor step, one soft target update; the measurements of both steps."""
        critic = self.update_critic(batch)
        actor = self.update_actor(batch)
        self.update_targets()
        return critic | actor

    def update_critic(self, batch: Batch) -> dict[str, Tensor]:
        """One step down `mean (Q(s, a) − y)²` (equation 4 of the paper).

        Returns 0-d tensors under their TensorBoard tags. Raises `InputError` if the batch does not fit the spaces.
        """
        self.check(batch)
        values = self.critic(batch.observations, batch.actions)
        loss = F.mse_loss(values, self.td_target(batch))
        self.clear_gradients()
        update = self.critic_updates + 1
        self.gradient_stop.backward(loss, self.bootstrapping_actor, update)
        self.critic_optimizer.step()
        self.critic_updates = update
        return {"losses/critic": loss.detach(), "values/q_mean": values.detach().mean()}

    def td_target(self, batch: Batch) -> Tensor:
        """`y = r + γ (1 − terminated) Q'(s', a')`, `a' = policy(s')` (equation 5), of shape `(B,)`.

        What the gradient stop leaves of the graph behind a' is still attached to it.
        """
        actions = self.gradient_stop.actions(self.bootstrapping_actor, batch.next_observations)
        values: Tensor = self.target_critic(batch.next_observations, actions)
        return batch.rewards + self.discount * (1 - batch.terminations) * values

    def update_actor(self, batch: Batch) -> dict[str, Tensor]:
        """One step down `−mean Q(s, μ(s))` (equation 6 of the paper).

        Returns 0-d tensors under their TensorBoard tags. Raises `InputError` if the batch does not fit the spaces.
        """
        self.check(batch)
        actions = self.actor(batch.observations)
        loss = -self.critic_freeze.values(self.critic, batch.observations, actions).mean()
        self.clear_gradients()
        self.critic_freeze.backward(loss, self.actor, self.critic)
        self.actor_optimizer.step()
        return {"losses/actor": loss.detach()}

    def update_targets(self) -> None:
        """`target ← (1 − polyak) · target + polyak · online`, for actor and critic."""
        with torch.no_grad():
            targets: list[Tensor] = [*self.target_actor.parameters(), *self.target_critic.parameters()]
            online: list[Tensor] = [*self.actor.parameters(), *self.critic.parameters()]
            torch._foreach_lerp_(targets, online, self.polyak)

    def target_actor_gap(self, observations: Tensor) -> Tensor:
        """`mean |μ'(s) − μ(s)|` over observations `(B, obs)`: how far the target actor has strayed; 0-d."""
        with torch.no_grad():
            gap: Tensor = (self.target_actor(observations) - self.actor(observations)).abs().mean()
        return gap

    def clear_gradients(self) -> None:
        """Drop every `.grad` of the four networks. Raises `InputError` if a layer or a parameter was replaced."""
        present = self._present_parameters()
        same = len(present) == len(self._parameters) and all(map(operator.is_, present, self._parameters))
        require(same, f"a parameter of the agent's networks was replaced: {_REPLACED}")
        # All of them: a stop or a freeze may have left a gradient in a module that this step does not train.
        for parameter in present:
            parameter.grad = None

    def _present_parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self.modules().values() for parameter in module.parameters()]

    def modules(self) -> dict[str, nn.Module]:
        """The four networks by name."""
        return {
            "actor": self.actor,
            "critic": self.critic,
            "target_actor": self.target_actor,
            "target_critic": self.target_critic,
        }

    def check(self, batch: Batch) -> None:
        """Raise `InputError` unless the batch fits spaces and precision, and gradients are recorded."""
        check_gradients_are_recorded()
        require(isinstance(batch, Batch), f"batch of type {type(batch).__name__}: pass a ddpg.Batch.")
        rows = len(batch.rewards) if batch.rewards.dim() else 0
        observations, actions = (rows, size(self.observation_space)), (rows, size(self.action_space))
        expected = (observations, actions, (rows,), observations, (rows,))
        dtype = self.actor.centre.dtype
        for name, tensor, shape in zip(batch._fields, batch, expected, strict=True):
            if tensor.shape != shape or tensor.dtype != dtype or rows == 0:
                raise InputError(
                    f"batch.{name}: {tensor.dtype} of shape {tuple(tensor.shape)}; expected {dtype} of shape {shape}, "
                    "with one or more rows: rewards and terminations are (B,), the others (B, size of the space)."
                )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write networks, optimizers, counters and noise to a file that `load` reads.

        Raises:
            InputError: if the path does not end in `.safetensors`, which the file will be.
        """
        from ddpg.saving import agent_state  # which knows the agent

        agent_state.save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """The agent in a checkpoint, or in a run's folder (its newest checkpoint).

        Args:
            path: the file or the folder.
            options: replace options of the constructor, `gradient_stop=mine` for instance; a stop, freeze, noise or
                optimizer of the user's own has to be given, since a checkpoint holds data and no code.

        Raises:
            InputError: if there is no checkpoint, it is damaged, or an option is missing.
        """
        from ddpg.saving import agent_state  # which knows the agent

        return agent_state.load(path, cls, **options)


def check_gradients_are_recorded() -> None:
    """Raise `InputError` inside `torch.no_grad()` and `torch.inference_mode()`."""
    require(
        torch.is_grad_enabled() and not torch.is_inference_mode_enabled(),
        "an update inside torch.no_grad() or torch.inference_mode(): it needs gradients; call it outside. If you do: "
        "some code, an environment's perhaps, has called torch.set_grad_enabled(False).",
    )


def _check_size(observation_space: Box, action_space: Box, options: Mapping[str, Any]) -> None:
    """Raise `InputError` if the networks, their targets, gradients and two moments are more than the memory."""
    try:
        with torch.device("meta"):
            networks = make_networks(observation_space, action_space, options)
        gigabytes = 5 * 4 / 1e9 * sum(each.numel() for network in networks for each in network.parameters())
    except RuntimeError:  # more than PyTorch can count
        gigabytes = math.inf
    require(
        gigabytes < physical_memory() / 1e9,
        f"hidden_sizes={options['hidden_sizes']}: an agent of this size needs {gigabytes:,.0f} GB, more than this "
        "machine has; lower it.",
    )


def make_networks(observation_space: Box, action_space: Box, options: Mapping[str, Any]) -> tuple[Actor, Critic]:
    shape = (observation_space, action_space, options["hidden_sizes"], options["final_layer_bound"])
    return Actor(*shape), Critic(*shape, options["action_layer"])


def _checked_options(
    *, bootstrap_actor: str, hidden_sizes: Sequence[int], final_layer_bound: float | None, **numbers: float
) -> dict[str, Any]:
    """The options of `DDPG` as plain data, each in its range; `InputError` names the one that is not."""
    require(
        bootstrap_actor in ("target", "online"),
        f"bootstrap_actor={bootstrap_actor}: no such actor; {choices(('target', 'online'), bootstrap_actor)}",
    )
    require(np.ndim(hidden_sizes) == 1 and len(hidden_sizes) > 0, f"{hidden_sizes=}: give one width or more.")
    action_layer = whole("action_layer", numbers["action_layer"], least=0)
    require(
        action_layer <= len(hidden_sizes), f"{action_layer=}: the critic's layers go from 0 to {len(hidden_sizes)}."
    )
    return {
        "bootstrap_actor": bootstrap_actor,
        "hidden_sizes": [whole("hidden_sizes", width, least=1) for width in hidden_sizes],
        "actor_lr": real("actor_lr", numbers["actor_lr"], above=0),
        "critic_lr": real("critic_lr", numbers["critic_lr"], above=0),
        "discount": real("discount", numbers["discount"], least=0, most=1),
        "polyak": real("polyak", numbers["polyak"], above=0, most=1),
        "critic_weight_decay": real("critic_weight_decay", numbers["critic_weight_decay"], least=0),
        "final_layer_bound": None
        if final_layer_bound is None
        else real("final_layer_bound", final_layer_bound, above=0),
        "action_layer": action_layer,
        "seed": whole("seed", numbers["seed"], least=0, most=GREATEST_SEED),
    }
