"""What the tests share: small agents, batches, and a look at weights."""

import importlib
import itertools
import sys
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
import torch
from commands import command  # noqa: F401
from gymnasium.spaces import Box
from tensorboard.summary.writer import event_file_writer
from torch import nn

from ddpg import DDPG, Batch

# TensorBoard reads the event files of one second in the order of this number as text: as many digits for all of them.
event_file_writer._global_uid = event_file_writer.AtomicCounter(10**6)

OBSERVATIONS = Box(-np.inf, np.inf, (3,))
ACTIONS = Box(np.array([-2.0, -1.0], np.float32), np.array([1.0, 5.0], np.float32))

ENVIRONMENT = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box

LOCATION = np.float32(0.5)


class Own(gymnasium.Env):
    observation_space = Box(-5, 5, (1,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.x, {}

    def step(self, action):
        self.x = np.clip(self.x + 0.1 * action, -5, 5).astype(np.float32)
        return self.x, -float(abs(self.x[0] - LOCATION)), False, False, {}
"""
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are faster on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the recorded graph operation by operation: what is compiled, without the half minute of compiling."""

    def interpret(graph, state, inputs):
        return torch.no_grad()(lambda inputs: graph(*state, *inputs))

    monkeypatch.setattr("ddpg.compiled.compilation._load", interpret)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Writes a module with an environment, by default registered in it, and imports it; gives the two names."""
    registry, path = dict(gymnasium.registry), list(sys.path)

    def write(place, registers=True):
        name, env_id = f"own_module_{next(_numbers)}", f"Own-v{next(_numbers)}"
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        register = f"\ngymnasium.register({env_id!r}, entry_point=Own, max_episode_steps=20)\n"
        (folder / f"{name}.py").write_text(ENVIRONMENT + register * registers)
        monkeypatch.syspath_prepend(folder)
        importlib.import_module(name)
        return name, env_id

    yield write
    sys.path[:] = path
    gymnasium.registry.clear()
    gymnasium.registry.update(registry)


def make_agent(**options) -> DDPG:
    return DDPG(OBSERVATIONS, ACTIONS, **{"hidden_sizes": (16, 16), **options})


def make_batch(rows: int = 16, seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    generator = np.random.default_rng(seed)
    arrays = (
        generator.standard_normal((rows, 3)),
        generator.uniform(ACTIONS.low, ACTIONS.high, (rows, 2)),
        generator.standard_normal(rows),
        generator.standard_normal((rows, 3)),
        generator.random(rows) < 0.2,
    )
    return Batch(*(torch.as_tensor(array, dtype=dtype) for array in arrays))


def weights(*modules: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for module in modules for parameter in module.parameters()]


def identical(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    """Bit by bit, so that NaN equals NaN and 0 differs from −0."""
    return all(
        torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))
        for one, other in zip(before, after, strict=True)
    )
