"""Environment steps a second of whole training: acting, storing, sampling, and one update a step."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ddpg.command_line.config import CONF, register
from ddpg.training.loop import Training, suitable_threads
from ddpg.training.settings import Settings
from peers import LEARNING_STARTS, StableBaselines, Tianshou, available
from table import Table, speeds
from turns import take_turns
from workers import started

STEPS = 400  # of a turn: two points of this project's learning curves
NEVER = 10**12


def measure(env: str, hidden: int, batch: int, rounds: int) -> Table:
    """Compare steps a second and peak memory with those of other libraries."""
    sizes = env, hidden, batch
    stable_baselines = {
        f"stable-baselines3, threads={threads}": (StableBaselines, *sizes, "stable_baselines3", threads)
        for threads in (1, torch.get_num_threads())
    }
    makers, notes = available(
        {
            "stable_baselines3": stable_baselines,
            "sbx": {"SBX (JAX)": (StableBaselines, *sizes, "sbx", 1)},
            "tianshou": {"tianshou": (Tianshou, *sizes, suitable_threads([hidden, hidden], batch))},
        }
    )
    eager, compiled = (overrides(*sizes, compiled) for compiled in (False, True))
    makers["ddpg, eager"] = (EndlessTraining, *eager)
    makers["ddpg, compiled"] = (EndlessTraining, *compiled)
    makers["ddpg, compiled, no curves"] = (EndlessTraining, *compiled, f"log_interval={NEVER}")
    with started(makers) as workers:
        turns = {name: worker.turn(STEPS, "advance", STEPS) for name, worker in workers.items()}
        seconds = take_turns(turns, rounds)
    return Table(
        f"{env}, networks {hidden}/{hidden}, batch {batch}, {rounds} rounds of {STEPS} steps, each contestant in a "
        "process of its own.",
        ("steps/s", "times as fast", "peak MiB"),
        speeds(seconds, {name: worker.memory for name, worker in workers.items()}),
        [
            "tianshou and ddpg take as many threads as ddpg chooses for the sizes. The peers write no curves; ddpg "
            "writes its default ones, except in the last row.",
            *notes,
        ],
    )


def overrides(env: str, hidden: int, batch: int, compiled: bool) -> list[str]:
    """Return the settings, as on the command line, of a run that trains and logs and does little else."""
    return [
        f"env.id={env}",
        f"agent.hidden_sizes=[{hidden},{hidden}]",
        f"batch_size={batch}",
        f"compile={str(compiled).lower()}",
        f"learning_starts={LEARNING_STARTS}",
        "evaluation.episodes=1",
        f"evaluation.interval={NEVER}",
        f"checkpoint.interval={NEVER}",
    ]


class EndlessTraining:
    """A training, with overrides as on the command line, that logs, but neither ends nor evaluates nor saves."""

    def __init__(self, *overrides: str) -> None:
        register()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            values: Any = OmegaConf.to_container(compose("train", [*overrides, f"total_steps={NEVER}"]))
        settings = Settings.check({key: value for key, value in values.items() if key in Settings.model_fields})
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.training = Training(settings, Path(folder))
        self._stack.callback(self.training.close)
        self._stack.enter_context(self.training.run.open())
        while self.training.updates < 2:  # the second one compiles
            self.advance(1)

    def advance(self, steps: int) -> None:
        """Train for `steps` environment steps."""
        for _ in range(steps):
            self.training.advance()
