"""A compiled update is the eager one, recorded: for every stop, freeze and optimizer."""

import copy
import itertools
import math
import pickle
import random

import numpy as np
import pytest
import torch
from conftest import identical, make_agent, make_batch, weights
from test_critic_freeze import SOUND as SOUND_FREEZES
from test_gradient_stop import SOUND as SOUND_STOPS

from ddpg import Batch, CompiledUpdate, InputError
from ddpg.base.optimizers import OPTIMIZERS
from ddpg.compiled.recording import RecordingError
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import EditGradient, GradientStop

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
@pytest.mark.parametrize("stop", ["none", *SOUND_STOPS, EditGradient(scale=0.5), EditGradient(every=2)], ids=str)
def test_every_stop_can_be_recorded(interpreted, stop, bootstrap_actor):
    assert_equal_to_eager(gradient_stop=stop, bootstrap_actor=bootstrap_actor, optimizer="SGD")


@pytest.mark.parametrize("freeze", ["none", *SOUND_FREEZES])
def test_every_freeze_can_be_recorded(interpreted, freeze):
    assert_equal_to_eager(critic_freeze=freeze, optimizer="SGD")


@pytest.mark.long
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_every_optimizer_can_be_recorded(interpreted, optimizer):
    # Adam's bias corrections are computed in single precision inside a graph.
    assert_equal_to_eager(optimizer=optimizer, critic_weight_decay=1e-2, tolerance=1e-6)


@pytest.mark.parametrize("options", [{"hidden_sizes": (8,)}, {"action_layer": 1}, {"polyak": 1.0}], ids=str)
def test_other_networks_can_be_recorded(interpreted, options):
    assert_equal_to_eager(optimizer="SGD", **options)


def columns_of_one_tensor(batch):
    """The batch as a replay buffer hands it out."""
    rows = torch.cat([tensor.reshape(len(batch.rewards), -1) for tensor in batch], dim=1)
    parts = rows.split([3, 2, 1, 3, 1], dim=1)
    return Batch(*(part.reshape(tensor.shape) for part, tensor in zip(parts, batch, strict=True)))


@pytest.mark.long
def test_compiled_updates_equal_eager_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    eager = double_agent(
        gradient_stop=EditGradient(every=1000), critic_freeze="inputs", optimizer="SGD", hidden_sizes=(8,)
    )
    update = CompiledUpdate(copy.deepcopy(eager))
    for seed in range(10):
        batch = columns_of_one_tensor(make_batch(seed=seed, dtype=DOUBLE))
        expected, measurements = eager.update(batch), update(batch, batch.observations[:1])
        assert {tag: value.item() for tag, value in measurements.items()} == pytest.approx(
            {tag: value.item() for tag, value in expected.items()}
        )
        if seed:
            assert update.actions.numpy() == pytest.approx(eager.policy(batch.observations[:1].numpy()))
    assert distance(eager, update.agent) < 1e-12
    assert update.agent.critic_updates == 10
    (compiled,) = tmp_path.rglob("*.pt2")

    # The second start finds it; were anything to be compiled, there would be no compiler.
    monkeypatch.setattr("ddpg.compiled.compilation._compile", None)
    again = CompiledUpdate(copy.deepcopy(eager))
    batch = columns_of_one_tensor(make_batch(seed=11, dtype=DOUBLE))
    again(batch, batch.observations[:1])
    eager.update(batch)
    assert distance(eager, again.agent) < 1e-12

    # Batches that lie otherwise in memory are another graph, never a wrong result.
    monkeypatch.setattr("ddpg.compiled.compilation._load", lambda graph, state, inputs: lambda inputs: inputs[:3])
    contiguous = make_batch(seed=11, dtype=DOUBLE)
    assert list(again(contiguous).values()) == list(contiguous[:3])
    assert compiled.parent.stat().st_mode & 0o077 == 0  # what lies there is run, so nobody else may write there


def test_a_batch_that_does_not_fit_is_refused_as_by_the_agent():
    agent = make_agent()
    update = CompiledUpdate(agent)
    for _ in range(2):
        with pytest.raises(InputError, match=r"batch\.observations"):
            update(make_batch()._replace(rewards=torch.zeros(3)))
        agent.update(make_batch())


def test_what_cannot_be_recorded_is_said_and_leaves_the_agent_as_it_was():
    class Peeking(GradientStop):
        def actions(self, policy, next_observations):
            actions = policy(next_observations).detach()
            return actions if actions.sum().item() > 0 else -actions

    agent = make_agent(gradient_stop=Peeking())
    update = CompiledUpdate(agent)
    update(make_batch())
    before = weights(*agent.modules().values())
    with pytest.raises(RecordingError, match="cannot be recorded"):
        update(make_batch())
    assert identical(before, weights(*agent.modules().values()))
    assert agent.critic_updates == 1


def test_an_update_says_what_the_updated_actor_does(interpreted):
    update = CompiledUpdate(make_agent())
    update(make_batch(), make_batch(rows=1).observations)
    assert update.actions is None  # the first one runs eagerly
    for seed, rows in enumerate((1, 4, 4)):
        observations = make_batch(rows=rows, seed=seed).observations
        before = update.agent.policy(observations.numpy())
        assert list(update(make_batch(seed=seed), observations)) == ["losses/critic", "values/q_mean", "losses/actor"]
        assert update.actions.numpy() == pytest.approx(update.agent.policy(observations.numpy()), abs=1e-6)
        assert update.actions.numpy() != pytest.approx(before, abs=1e-6)
    update(make_batch())
    assert update.actions is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_captured_updates_equal_eager_ones(optimizer):
    agent = make_agent(device="cuda", optimizer=optimizer)
    captured = CompiledUpdate(copy.deepcopy(agent))
    for seed in range(5):
        batch = make_batch(seed=seed).to("cuda")
        agent.update(batch)
        captured(batch)
    assert distance(agent, captured.agent) < 1e-4
    observations = make_batch(rows=1).observations
    captured(make_batch().to("cuda"), observations.to("cuda"))
    assert captured.actions.numpy(force=True) == pytest.approx(captured.agent.policy(observations.numpy()), abs=1e-4)


USES = {
    "comparison": lambda update: update > 3,
    "equality": lambda update: update == 1,
    "truth": lambda update: not update,
    "remainder": lambda update: update % 2,
    "power": lambda update: 0.9**update,
    "int": int,
    "index": lambda update: "abcdef"[update],
    "range": range,
    "text": lambda update: f"{update}",
    "repr": repr,
    "key": lambda update: {update: 0},
    "type": lambda update: isinstance(update, int),
    "attribute": lambda update: update.bit_length(),
    "copy": copy.deepcopy,
    "function": math.sqrt,
    "tensor": torch.tensor,
    "product": lambda update: torch.ones(()) * update,
    "array": np.asarray,
}


def assert_refused_to_record(sentence, **choice):
    agent = make_agent(**choice)
    update = CompiledUpdate(agent)
    update(make_batch())
    before = weights(*agent.modules().values())
    with pytest.raises(RecordingError, match=sentence):
        update(make_batch())
    assert identical(before, weights(*agent.modules().values()))
    assert agent.critic_updates == 1


class Looking(GradientStop):
    use = staticmethod(lambda update: update % 2)

    def backward(self, loss, policy, update):
        loss.backward()
        if self.use(update) == 0:
            policy.zero_grad()


class Saying(Looking):
    def phase(self, update):
        return update % 2


class Inheriting(Saying):
    pass


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_stop_that_looks_at_the_updates_number_is_not_frozen(use, monkeypatch):
    monkeypatch.setattr(Looking, "use", staticmethod(use))
    agent = make_agent(gradient_stop=Looking(), hidden_sizes=(2,))
    agent.update(make_batch())
    with pytest.raises(RecordingError, match="looks at the update's number; override its method `phase`"):
        CompiledUpdate(agent)(make_batch())


@pytest.mark.parametrize("stop", [Saying(), Inheriting()], ids=lambda stop: type(stop).__name__)
def test_a_stop_that_says_what_of_the_number_matters_can_be_recorded(interpreted, stop):
    assert_refused_to_record("looks at the update's number", gradient_stop=Looking())
    assert_equal_to_eager(gradient_stop=stop, bootstrap_actor="online", optimizer="SGD")


def test_a_stop_that_hands_the_number_on_can_be_recorded(interpreted):
    class HandingOn(GradientStop):
        def backward(self, loss, policy, update):
            super().backward(loss, policy, update)

    assert_equal_to_eager(gradient_stop=HandingOn(), optimizer="SGD")


class Counting(GradientStop):
    calls = 0

    def actions(self, policy, next_observations):
        self.calls += 1
        return policy(next_observations).detach()


class Averaging(GradientStop):
    mean = torch.zeros(2)

    def actions(self, policy, next_observations):
        actions = policy(next_observations).detach()
        self.mean = 0.9 * self.mean + 0.1 * actions.mean(dim=0)
        return actions


class Iterating(GradientStop):
    def __init__(self):
        vars(self).update(numbers=itertools.count(), unnamed=lambda: None)

    def actions(self, policy, next_observations):
        next(self.numbers)
        return policy(next_observations).detach()


class Drawing(GradientStop):
    def actions(self, policy, next_observations):
        actions = policy(next_observations)
        return actions.detach() if random.random() < 0.5 else actions


class DrawingWithNumPy(CriticFreeze):
    def values(self, critic, observations, actions):
        return critic(observations, actions) * np.random.default_rng(np.random.randint(9)).random()


class Listing(CriticFreeze):
    seen: list = []  # noqa: RUF012

    def __init__(self):
        vars(self).update(seen=[])

    def backward(self, loss, actor, critic):
        self.seen.append(1)
        super().backward(loss, actor, critic)


@pytest.mark.long
@pytest.mark.parametrize("choice", [Counting, Averaging, Iterating, Drawing, DrawingWithNumPy, Listing])
def test_what_remembers_or_draws_is_not_frozen(interpreted, choice):
    family = "gradient_stop" if issubclass(choice, GradientStop) else "critic_freeze"
    assert_refused_to_record("remembers something from one update to the next, or draws", **{family: choice()})


def reload(agent):
    agent.critic_optimizer.load_state_dict(copy.deepcopy(agent.critic_optimizer.state_dict()))


@pytest.mark.parametrize("reloaded", [False, True])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda agent: agent.actor_optimizer.param_groups[0].update(lr=0.05), "^actor_lr=0.05: the update was"),
        (lambda agent: agent.critic_optimizer.param_groups[0].update(betas=(0, 0)), r"^critic_betas=\(0, 0\): the"),
        (lambda agent: setattr(agent, "polyak", 0.25), "^polyak=0.25: the update was compiled before, with another"),
        (reload, "^an optimizer's state was loaded: the update was compiled before"),
    ],
)
def test_a_number_or_state_that_changes_after_it_was_compiled_is_not_passed_over(
    interpreted, change, sentence, reloaded
):
    agent = double_agent()
    agent.update(make_batch(dtype=DOUBLE))
    if reloaded:  # as in a run that goes on
        reload(agent)
    update = CompiledUpdate(agent)
    update(make_batch(seed=1, dtype=DOUBLE))
    change(agent)
    before = weights(*agent.modules().values())
    with pytest.raises(RecordingError, match=sentence):
        update(make_batch(dtype=DOUBLE))
    assert identical(before, weights(*agent.modules().values()))
    eager = copy.deepcopy(agent)
    eager.update(make_batch(dtype=DOUBLE))
    CompiledUpdate(agent)(make_batch(dtype=DOUBLE))
    assert distance(agent, eager) < 1e-6


DUPLICATES = [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]


@pytest.mark.parametrize("duplicate", DUPLICATES, ids=["deepcopy", "pickle"])
def test_copies_of_what_is_compiled_work_on_the_copied_agent(interpreted, duplicate):
    eager = double_agent(optimizer="SGD")
    kept = {"agent": copy.deepcopy(eager)}
    kept["update"] = CompiledUpdate(kept["agent"])
    batches = [make_batch(seed=seed, dtype=DOUBLE) for seed in range(6)]
    for batch in batches[:3]:
        kept["update"](batch)
        eager.update(batch)
    other = duplicate(kept)
    for batch in batches[3:]:
        other["update"](batch)
    assert distance(kept["agent"], eager) < 1e-9
    for batch in batches[3:]:
        eager.update(batch)
    assert distance(other["agent"], eager) < 1e-9


@pytest.mark.parametrize("done", [0, 2])
def test_a_recorded_update_without_gradients_is_refused_before_anything_changes(interpreted, done):
    update = CompiledUpdate(make_agent())
    for _ in range(done):
        update(make_batch())
    before = weights(*update.agent.modules().values())
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), pytest.raises(InputError, match=r"inside torch\.no_grad\(\)"):
            update(make_batch())
    assert identical(before, weights(*update.agent.modules().values()))
    assert update.agent.critic_updates == done


def test_a_recorded_update_that_fails_is_not_counted(monkeypatch):
    def broken(graph, state, inputs):
        return lambda inputs: 1 / 0

    monkeypatch.setattr("ddpg.compiled.compilation._load", broken)
    update = CompiledUpdate(make_agent())
    update(make_batch())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            update(make_batch())
    assert update.agent.critic_updates == 1
