"""What each gradient stop and each critic freeze costs: time, what autograd keeps, gradients computed in vain."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ddpg.agent import DDPG
from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report, sizes
from ddpg.benchmark.subjects import agent_and_buffer, threads_of
from ddpg.benchmark.turns import Spread, ratios, take_turns, timed
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_stop import GradientStop
from ddpg.replay_buffer import Batch

BASE = "no_grad + requires_grad"
UPDATES = 30  # of a turn


def measure(options: Options) -> Report:
    """The table: every stop beside the default freeze, every freeze beside the default stop."""
    base: dict[str, dict[str, str]] = {BASE: {}}
    stops = {f"gradient_stop={name}": {"gradient_stop": name} for name in GradientStop.options if name != "no_grad"}
    freezes = {
        f"critic_freeze={name}": {"critic_freeze": name} for name in CriticFreeze.options if name != "requires_grad"
    }
    made = {name: agent_and_buffer(options, **choice) for name, choice in (base | stops | freezes).items()}
    batch = next(iter(made.values()))[1].sample(options.batch)
    agents = {name: agent for name, (agent, _) in made.items()}
    kept = {name: kept_bytes(agent, batch) for name, agent in agents.items()}
    vain = {name: bytes_in_vain(agent, batch) for name, agent in agents.items()}
    work: dict[str, Any] = {"repetitions": UPDATES, "device": options.device, "threads": threads_of(options)}
    turns = {name: timed(agent.update, batch, **work) for name, agent in agents.items()}
    seconds = take_turns(turns, options.rounds)
    longer = {name: ratios(seconds, name, BASE) for name in agents}
    rows = [
        (
            name,
            f"{Spread.of(seconds[name]).median * 1e6:,.0f}",
            str(longer[name]),
            f"{kept[name] / 1024:,.0f}",
            f"{vain[name] / 1024:,.0f}",
            "" if name == BASE else agreement(longer[name], vain[name] - vain[BASE]),
        )
        for name in agents
    ]
    return Report(
        f"strategies: one eager update, {sizes(options)}, on {options.device}, rounds: {options.rounds}",
        ("", "us", "times as long", "kept KiB", "in vain KiB", "agree"),
        rows,
        {"seconds": seconds, "kept_bytes": kept, "bytes_in_vain": vain},
        [
            "kept: what autograd holds for the backward passes, parameters excluded. in vain: gradients that the audit "
            "finds computed and never applied. agree: whether time and gradients in vain differ from the first row's "
            "in the same direction; unclear where the time's range has 1 in it and the gradients differ."
        ],
    )


def agreement(longer: Spread, more_in_vain: int) -> str:
    """Whether the time and the gradients in vain differ in the same direction."""
    direction = (longer.least > 1) - (longer.most < 1)
    expected = (more_in_vain > 0) - (more_in_vain < 0)
    return "yes" if direction == expected else "unclear" if direction == 0 else "no"


def kept_bytes(agent: DDPG, batch: Batch) -> int:
    """Bytes that autograd keeps for the backward passes of one update, parameters excluded."""
    parameters = {each.data_ptr() for module in agent.modules().values() for each in module.parameters()}
    # Held until the end, so that no storage is freed and its address given to another.
    storages: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        agent.update(batch)
    return sum(storage.nbytes() for address, storage in storages.items() if address not in parameters)


def bytes_in_vain(agent: DDPG, batch: Batch) -> int:
    """Bytes of the gradients that one update computes into parameters, and no step applies."""
    sizes = {
        f"{name}.{key}": each.nbytes
        for name, module in agent.modules().items()
        for key, each in module.named_parameters()
    }
    with GradientFlow(agent.modules()) as flow:
        agent.update(batch)
    return sum(
        sizes[key]
        for backward in flow.backwards
        for key, contribution in backward.contributions.items()
        if not contribution.applied and not contribution.replaced
    )
