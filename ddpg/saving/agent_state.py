"""The state of an agent as tensors and plain data, and an agent from its state."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import torch

from ddpg.agent import DDPG
from ddpg.base import optimizers
from ddpg.base.errors import require, whole
from ddpg.base.spaces import space_from_data, space_to_data
from ddpg.networks import make_networks
from ddpg.saving import checkpoint

Agent = TypeVar("Agent", bound=DDPG)


def save(path: str | os.PathLike[str], agent: DDPG) -> None:
    """Write the agent to a checkpoint of its own; a file that ends in `.safetensors`."""
    checkpoint.save(path, {"agent": state_dict(agent)})


def load(path: str | os.PathLike[str], kind: type[Agent], **options: Any) -> Agent:
    """Return the agent in a checkpoint, or in the newest one of a run's folder.

    Args:
        path: the file or the folder.
        kind: the class of the agent.
        options: replace options of the constructor, `gradient_stop=mine` for instance; a stop, freeze, noise or
            optimizer of the user's own has to be given, since a checkpoint holds data and no code.

    Raises:
        InputError: if there is no checkpoint, it is damaged, or an option is missing.
    """
    return from_state_dict(checkpoint.load(path)["agent"], kind, **options)


def description(agent: DDPG) -> dict[str, Any]:
    """Return the spaces, options and choices that the agent was made with, as plain data."""
    return {
        "observation_space": space_to_data(agent.observation_space),
        "action_space": space_to_data(agent.action_space),
        "options": agent.options,
        "gradient_stop": agent.gradient_stop.as_data(),
        "critic_freeze": agent.critic_freeze.as_data(),
        "exploration": agent.exploration.as_data(),
        "optimizer": optimizers.as_data(agent.optimizer),
        "own_networks": agent.own_networks,
    }


def state_dict(agent: DDPG) -> dict[str, Any]:
    """Return the description, weights, optimizer states, counters and noise of the agent."""
    return {
        **description(agent),
        "modules": {name: module.state_dict() for name, module in agent.modules().items()},
        "critic_optimizer": agent.critic_optimizer.state_dict(),
        "actor_optimizer": agent.actor_optimizer.state_dict(),
        "critic_updates": agent.critic_updates,
        "generator": agent.generator.bit_generator.state,
        "exploration_state": agent.exploration.state_dict(),
    }


def from_state_dict(state: dict[str, Any], kind: type[Agent], **options: Any) -> Agent:
    """Return the agent that `state_dict` described.

    Args:
        state: from `state_dict`.
        kind: the class of the agent.
        options: replace options of the constructor, as in `DDPG.load`.

    Raises:
        InputError: if the state does not fit the agent, or an option has to be given.
    """
    with checkpoint.refusing("the checkpoint does not fit the agent", "load it with its own options."):
        saved = dict(state["options"])
        for choice in ("gradient_stop", "critic_freeze", "exploration"):
            require(
                choice in options or state[choice]["name"] is not None,
                f"the checkpoint's {choice} is none of this project's own: pass it, load(path, {choice}=…).",
            )
            saved[choice] = state[choice]
        for name in state["own_networks"]:
            require(
                options.get(name) is not None,
                f"the checkpoint's {name} is a network of your own: pass it, load(path, {name}=…).",
            )
        if "optimizer" not in options:
            require(
                state["optimizer"]["name"] in optimizers.OPTIMIZERS,
                "the checkpoint's optimizer is none of torch.optim's: pass it, load(path, optimizer=…).",
            )
            saved["optimizer"] = optimizers.named(**state["optimizer"])
        check_shapes(state, options)
        spaces = [space_from_data(state[key]) for key in ("observation_space", "action_space")]
        agent = kind(*spaces, **(saved | options))
        weights = state["modules"]["actor"].values()
        dtype = next(each.dtype for each in weights if isinstance(each, torch.Tensor) and each.is_floating_point())
        for name, module in agent.modules().items():
            module.to(dtype).load_state_dict(state["modules"][name])
        if optimizers.as_data(agent.optimizer) == state["optimizer"]:
            load_optimizer(agent.critic_optimizer, state["critic_optimizer"])
            load_optimizer(agent.actor_optimizer, state["actor_optimizer"])
        agent.critic_updates = whole("critic_updates", state["critic_updates"], least=0)
        agent.generator.bit_generator.state = state["generator"]
        if "exploration" not in options:
            agent.exploration.load_state_dict(state["exploration_state"])
        return agent


def check_shapes(state: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise an error of PyTorch's unless the weights in an agent's state are of the networks that it describes.

    Takes no memory for the networks, whatever size they are said to have. `options` replace some of the state's.
    """
    observation_space, action_space = (space_from_data(state[key]) for key in ("observation_space", "action_space"))
    with torch.device("meta"):
        networks = make_networks(observation_space, action_space, {**state["options"], **options})
    for name, network in zip(("actor", "critic"), networks, strict=True):
        if name not in state["own_networks"]:
            network.load_state_dict(state["modules"][name], assign=True)
            network.load_state_dict(state["modules"][f"target_{name}"], assign=True)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over the moments of `state`, but keep the optimizer's own parameters and hyper-parameters.

    The two may hold different numbers of parameters, as when a checkpoint is loaded with another gradient stop; those
    that both hold come first, in the same order.

    Raises:
        InputError: if a moment has not the shape of its parameter.
    """
    own = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {int(index): values for index, values in state["state"].items() if int(index) < len(parameters)}
    for index, values in moments.items():
        for name, value in values.items():
            # Scalars count steps. A fused kernel would run past the end of a moment that is too short.
            if isinstance(value, torch.Tensor) and value.dim() > 0:
                require(
                    value.shape == parameters[index].shape,
                    f"optimizer state {name} of shape {tuple(value.shape)} for a parameter of shape "
                    f"{tuple(parameters[index].shape)}.",
                )
    optimizer.load_state_dict({"state": moments, "param_groups": own["param_groups"]})
