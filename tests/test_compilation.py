"""A compiled update is the eager one, recorded: for every stop, freeze and optimizer."""

import copy
import subprocess
import sys

import pytest
import torch
from conftest import identical, make_agent, make_batch, weights
from test_critic_freeze import SOUND as SOUND_FREEZES
from test_gradient_stop import SOUND as SOUND_STOPS

from ddpg import Batch, CompiledUpdate, InputError
from ddpg.compilation import REWRITES, CompilationError, _record
from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_stop import GradientStop, Manual
from ddpg.optimizers import OPTIMIZERS

DOUBLE = torch.float64


def double_agent(**options):
    torch.set_default_dtype(DOUBLE)
    try:
        return make_agent(**options)
    finally:
        torch.set_default_dtype(torch.float32)


def distance(agent, other):
    pairs = zip(weights(*agent.modules().values()), weights(*other.modules().values()), strict=True)
    return max((one - another).abs().max().item() for one, another in pairs)


def assert_equal_to_eager(tolerance=1e-9, updates=5, **options):
    eager = double_agent(**options)
    recorded = CompiledUpdate(copy.deepcopy(eager))
    start = weights(*eager.modules().values())
    for seed in range(updates):
        batch = make_batch(seed=seed, dtype=DOUBLE)
        expected, measurements = eager.update(batch), recorded(batch)
        assert measurements.keys() == expected.keys()
        for tag, value in expected.items():
            assert measurements[tag].item() == pytest.approx(value.item(), abs=tolerance)
    assert distance(eager, recorded.agent) <= tolerance
    assert not identical(start, weights(*recorded.agent.modules().values()))
    assert recorded.agent.critic_updates == updates


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize("stop", ["none", *SOUND_STOPS, Manual(scale=0.5), Manual(every=2)], ids=str)
def test_every_stop_can_be_recorded(interpreted, stop, bootstrap_actor):
    assert_equal_to_eager(gradient_stop=stop, bootstrap_actor=bootstrap_actor, optimizer="SGD")


@pytest.mark.parametrize("freeze", ["none", *SOUND_FREEZES])
def test_every_freeze_can_be_recorded(interpreted, freeze):
    assert_equal_to_eager(critic_freeze=freeze, optimizer="SGD")


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_every_optimizer_can_be_recorded(interpreted, optimizer):
    # Adam's bias corrections are computed in single precision inside a graph.
    assert_equal_to_eager(optimizer=optimizer, critic_weight_decay=1e-2, tolerance=1e-6)


@pytest.mark.parametrize("options", [{"hidden_sizes": (8,)}, {"action_layer": 1}, {"polyak": 1.0}], ids=str)
def test_other_networks_can_be_recorded(interpreted, options):
    assert_equal_to_eager(optimizer="SGD", **options)


def test_recording_leaves_the_agent_as_it_was():
    agent = make_agent()
    agent.update(make_batch())
    before = weights(*agent.modules().values())
    moments = copy.deepcopy(agent.critic_optimizer.state_dict()["state"])
    with GradientFlow(agent.modules()) as flow:
        _record(agent, make_batch(seed=1))
    assert identical(before, weights(*agent.modules().values()))
    for place, state in agent.critic_optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, moments[place][name]) for name, value in state.items())
    assert agent.critic_updates == 1
    assert not flow.backwards
    assert not flow.steps


@pytest.mark.parametrize("shapes", [((6, 3), (3, 8)), ((6, 8), (8, 1)), ((40, 8), (8, 5)), ((6, 8), (8, 40))], ids=str)
def test_rewritten_products_are_the_products(shapes):
    left, right = (torch.randn(shape, dtype=DOUBLE) for shape in shapes)
    bias = torch.randn(shapes[1][1], dtype=DOUBLE)
    for operation, arguments, expected in (
        (torch.ops.aten.mm.default, (left, right), left @ right),
        (torch.ops.aten.addmm.default, (bias, left, right), left @ right + bias),
    ):
        result = REWRITES[operation](*arguments)
        assert result is NotImplemented if shapes[1][1] == 40 else torch.allclose(result, expected, atol=1e-14)


def columns_of_one_tensor(batch):
    """The batch as a replay buffer hands it out."""
    rows = torch.cat([tensor.reshape(len(batch.rewards), -1) for tensor in batch], dim=1)
    parts = rows.split([3, 2, 1, 3, 1], dim=1)
    return Batch(*(part.reshape(tensor.shape) for part, tensor in zip(parts, batch, strict=True)))


def test_compiled_updates_equal_eager_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    eager = double_agent(gradient_stop=Manual(every=1000), critic_freeze="inputs", optimizer="SGD")
    update = CompiledUpdate(copy.deepcopy(eager))
    for seed in range(10):
        batch = columns_of_one_tensor(make_batch(seed=seed, dtype=DOUBLE))
        expected, measurements = eager.update(batch), update(batch)
        assert {tag: value.item() for tag, value in measurements.items()} == pytest.approx(
            {tag: value.item() for tag, value in expected.items()}
        )
    assert distance(eager, update.agent) < 1e-12
    assert update.agent.critic_updates == 10
    (compiled,) = tmp_path.rglob("*.pt2")

    # The second start finds it; were anything to be compiled, there would be no compiler.
    monkeypatch.setattr("ddpg.compilation._build", None)
    again = CompiledUpdate(copy.deepcopy(eager))
    batch = columns_of_one_tensor(make_batch(seed=11, dtype=DOUBLE))
    again(batch)
    eager.update(batch)
    assert distance(eager, again.agent) < 1e-12

    # Batches that lie otherwise in memory are another graph, never a wrong result.
    monkeypatch.setattr("ddpg.compilation._compile", lambda recording, batch: lambda batch: {"recorded": batch})
    contiguous = make_batch(seed=11, dtype=DOUBLE)
    assert again(contiguous) == {"recorded": contiguous}
    assert compiled.parent.stat().st_mode & 0o077 == 0  # what lies there is run, so nobody else may write there


def test_a_batch_that_does_not_fit_is_refused_as_by_the_agent():
    agent = make_agent()
    update = CompiledUpdate(agent)
    for _ in range(2):
        with pytest.raises(InputError, match=r"batch\.observations"):
            update(make_batch()._replace(rewards=torch.zeros(3)))
        agent.update(make_batch())


def test_without_a_compiler_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    update = CompiledUpdate(make_agent())
    update(make_batch())
    before = weights(*update.agent.modules().values())
    with pytest.raises(CompilationError, match=r"no C\+\+ compiler; install g\+\+"):
        update(make_batch())
    assert identical(before, weights(*update.agent.modules().values()))


def test_a_damaged_or_impossible_cache_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("ddpg.compilation._build", lambda graph, inputs, path: path.parent.mkdir())
    agent = make_agent()
    agent.update(make_batch())
    with pytest.raises(CompilationError, match=r"cannot be loaded; delete the file"):
        CompiledUpdate(agent)(make_batch())
    monkeypatch.undo()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CompilationError, match=r"cannot be made.*XDG_CACHE_HOME"):
        CompiledUpdate(agent)(make_batch())


def test_what_cannot_be_recorded_is_said_and_leaves_the_agent_as_it_was():
    class Peeking(GradientStop):
        def actions(self, policy, next_observations):
            actions = policy(next_observations).detach()
            return actions if actions.sum().item() > 0 else -actions

    agent = make_agent(gradient_stop=Peeking())
    update = CompiledUpdate(agent)
    update(make_batch())
    before = weights(*agent.modules().values())
    with pytest.raises(CompilationError, match="cannot be recorded"):
        update(make_batch())
    assert identical(before, weights(*agent.modules().values()))
    assert agent.critic_updates == 1


def test_nothing_of_the_compiler_is_loaded_before_something_is_compiled():
    program = (
        "import sys, ddpg.compilation, ddpg.training; "
        "sys.exit(bool({'torch._inductor', 'torch._dynamo'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
