"""What each gradient stop and each critic freeze costs: time, what autograd keeps, gradients computed in vain."""

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ddpg import DDPG, Batch, GradientFlow
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop
from ddpg.training.loop import suitable_threads
from subject import agent_and_batch
from table import Table
from turns import Spread, ratios, take_turns, timed

BASE = "no_grad + requires_grad"
UPDATES = 30  # of a turn


def measure(hidden: int, batch: int, device: str, rounds: int) -> Table:
    """Compare every stop, beside the default freeze, and every freeze, beside the default stop."""
    choices: dict[str, dict[str, str]] = {BASE: {}}
    choices |= {f"gradient_stop={name}": {"gradient_stop": name} for name in GradientStop.options}
    choices |= {f"critic_freeze={name}": {"critic_freeze": name} for name in CriticFreeze.options}
    del choices["gradient_stop=no_grad"], choices["critic_freeze=requires_grad"]
    made = {name: agent_and_batch(hidden, batch, device, **choice) for name, choice in choices.items()}
    kept = {name: kept_bytes(*each) for name, each in made.items()}
    vain = {name: bytes_in_vain(*each) for name, each in made.items()}
    threads = suitable_threads([hidden, hidden], batch)
    turns = {
        name: timed(agent.update, sampled, repetitions=UPDATES, device=device, threads=threads)
        for name, (agent, sampled) in made.items()
    }
    seconds = take_turns(turns, rounds)
    rows = [
        (
            name,
            f"{Spread.of(seconds[name]).median * 1e6:,.0f}",
            str(ratios(seconds, name, BASE)),
            f"{kept[name] / 1024:,.0f}",
            f"{vain[name] / 1024:,.0f}",
        )
        for name in made
    ]
    return Table(
        f"Eager updates on {device}, networks {hidden}/{hidden}, batch {batch}, {rounds} rounds of {UPDATES}.",
        ("µs", "times as long", "kept KiB", "in vain KiB"),
        rows,
        [
            "Kept: what autograd holds for the backward passes, parameters excluded. In vain: gradients that the audit "
            "finds computed and never applied."
        ],
    )


def kept_bytes(agent: DDPG, batch: Batch) -> int:
    """Return the bytes that autograd keeps for the backward passes of one update, parameters excluded."""
    saved: list[Tensor] = []  # held until the end, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        agent.update(batch)
    storages = {each.data_ptr(): each.nbytes() for each in (tensor.untyped_storage() for tensor in saved)}
    parameters = {each.data_ptr() for module in agent.modules().values() for each in module.parameters()}
    return sum(size for address, size in storages.items() if address not in parameters)


def bytes_in_vain(agent: DDPG, batch: Batch) -> int:
    """Return the bytes of gradients that one update computes for parameters and no step applies."""
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
