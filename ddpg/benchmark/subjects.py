"""What the parts measure of this project: an agent with its buffer, and a training that never ends."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ddpg.agent import DDPG
from ddpg.benchmark.options import Options
from ddpg.command_line.config import CONF
from ddpg.compiled.agent import CompiledUpdate
from ddpg.replay_buffer import Batch, ReplayBuffer
from ddpg.training.loop import Training, suitable_threads
from ddpg.training.settings import Settings

LEARNING_STARTS = 256
NEVER = 10**12
_OBSERVATIONS, _ACTIONS = Box(-np.inf, np.inf, (3,)), Box(-2, 2, (1,))  # Pendulum's


class EndlessTraining:
    """A whole training run that neither ends, evaluates nor keeps anything, but logs; its first updates are behind it.

    Args:
        options: of the benchmark.
        overrides: of the settings, as on the command line.
    """

    def __init__(self, options: Options, *overrides: str) -> None:
        settings = run_settings(
            f"env.id={options.env}",
            f"agent.hidden_sizes=[{options.hidden},{options.hidden}]",
            f"batch_size={options.batch}",
            f"device={options.device}",
            f"total_steps={NEVER}",
            f"evaluation.interval={NEVER}",
            f"checkpoint.interval={NEVER}",
            f"learning_starts={LEARNING_STARTS}",
            *overrides,
        )
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.training = Training(settings, folder)
        self._stack.callback(self.training.close)
        for run in self.training.runs:
            self._stack.enter_context(run.open(shown=False))
        while self.training.updates < 2:  # the second one compiles
            self.advance(1)

    def __enter__(self) -> "EndlessTraining":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def advance(self, steps: int) -> None:
        """Train for so many environment steps, or a few more where environments are several."""
        end = self.training.step + steps
        while self.training.step < end:
            self.training.advance()


def run_settings(*overrides: str) -> Settings:
    """The default settings, with overrides as on the command line."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values: Any = OmegaConf.to_container(compose("train", list(overrides)))
    return Settings.check({key: value for key, value in values.items() if key in Settings.model_fields})


def agent_and_buffer(options: Options, **choices: Any) -> tuple[DDPG, ReplayBuffer]:
    """An agent for Pendulum, and random transitions to sample its batches from; `choices` are the agent's."""
    hidden = (options.hidden, options.hidden)
    agent = DDPG(_OBSERVATIONS, _ACTIONS, hidden_sizes=hidden, device=options.device, **choices)
    buffer = ReplayBuffer(10_000, _OBSERVATIONS, _ACTIONS, device=agent.device)
    buffer.add(*random_transitions(1_000))
    return agent, buffer


def compiled_update(agent: DDPG, batch: Batch) -> CompiledUpdate:
    """The agent's update, compiled already for the batch's shape and the present number of threads."""
    update = CompiledUpdate(agent)
    update(batch)  # eager, creating the optimizers' state
    update(batch)
    return update


def random_transitions(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Transitions of Pendulum's shapes, as `ReplayBuffer.add` takes them."""
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((count + 1, 3))
    actions = generator.uniform(-2, 2, (count, 1))
    return observations[:-1], actions, generator.standard_normal(count), observations[1:], np.zeros(count, bool)


def kinds(options: Options) -> list[str]:
    """Which kinds of update there are on the device."""
    return ["eager", "compiled"] if torch.device(options.device).type in ("cpu", "cuda") else ["eager"]


def threads_of(options: Options) -> int:
    """As many threads as a run of these sizes would take."""
    return suitable_threads([options.hidden] * 2, options.batch)
