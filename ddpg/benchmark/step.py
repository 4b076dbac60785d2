"""A training step in pieces: the environment alone, what is around it, and the update; eager and compiled."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import gymnasium
import torch
from torch import Tensor

from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report, sizes
from ddpg.benchmark.subjects import NEVER, EndlessTraining, kinds
from ddpg.benchmark.turns import Spread, Turn, ratios, take_turns, timed

PIECES = 1000  # calls in a turn
STEPS = 100


def measure(options: Options) -> Report:
    """The table: each piece, and its share of the eager step."""
    with ExitStack() as stack:
        seconds = take_turns(_steps(options, stack) | _pieces(options, stack), options.rounds)
    base = "whole step, eager"
    rows = [
        (name, f"{Spread.of(times).median * 1e6:,.1f}", str(ratios(seconds, name, base)))
        for name, times in seconds.items()
    ]
    return Report(
        f"step: {options.env}, {sizes(options)}, on {options.device}, rounds: {options.rounds}",
        ("", "us", "of the whole eager step"),
        rows,
        {"seconds": seconds},
    )


def _steps(options: Options, stack: ExitStack) -> dict[str, Turn]:
    """Whole steps, without what is logged at intervals."""
    found: dict[str, Turn] = {}
    for name in kinds(options):
        overrides = (f"log_interval={NEVER}", f"compile={str(name == 'compiled').lower()}")
        work: dict[str, Any] = {"repetitions": STEPS, "device": options.device}
        endless, other = (stack.enter_context(EndlessTraining(options, *overrides)) for _ in range(2))
        found[f"whole step, {name}"] = timed(endless.advance, 1, **work)
        # Of another training, since one whose updates are ahead of its steps would leave them out.
        batch = other.training.runs[0].sample()
        found[f"its update, {name}"] = timed(other.training._update, [batch], **work)
    return found


def _pieces(options: Options, stack: ExitStack) -> dict[str, Turn]:
    endless = stack.enter_context(EndlessTraining(options, f"log_interval={NEVER}"))
    (run,) = endless.training.runs

    def count(batches: object) -> list[Mapping[str, Tensor]]:
        run.agent.critic_updates += 1
        return [losses]

    losses = dict.fromkeys(("losses/critic", "losses/actor"), torch.zeros(()))
    endless.training._update = count
    bare = gymnasium.make(options.env, disable_env_checker=True).unwrapped
    bare.reset(seed=0)
    stack.callback(bare.close)
    agent, collector, buffer = run.agent, run.collector, run.buffer
    observations = collector.observations
    actions = agent.act(observations, explore=True)
    rows = collector.step(actions)[1:6]
    pieces: dict[str, tuple[Any, ...]] = {
        "whole step without its update": (endless.advance, 1),
        "the bare environment's step": (bare.step, actions[0]),
        "gymnasium's vector of it": (collector.vector.step, actions),
        "collect (vector included)": (collector.step, actions),
        "act": (agent.act, observations, True),
        "add": (buffer.add, *rows),
        "sample": (run.sample,),
    }
    return {name: timed(*call, repetitions=PIECES, device=options.device) for name, call in pieces.items()}
