"""What the tests share: small agents, batches, and a look at weights."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from ddpg import DDPG, Batch

OBSERVATIONS = Box(-np.inf, np.inf, (3,))
ACTIONS = Box(np.array([-2.0, -1.0], np.float32), np.array([1.0, 5.0], np.float32))


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

    def interpret(graph, state, inputs, what):
        return torch.no_grad()(lambda inputs: graph(*state, *inputs))

    monkeypatch.setattr("ddpg.compilation._load", interpret)


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
