import copy
import math
import pickle
from weakref import WeakSet

import numpy as np
import pytest
import torch
from conftest import ACTIONS, OBSERVATIONS
from gymnasium.spaces import Box
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ddpg import InputError, ReplayBuffer
from ddpg.base.memory import check_memory


def transition(number: int) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, bool]:
    return np.full(3, number), np.full(2, number / 1000), 100.0 + number, np.full(3, number + 0.5), number % 3 == 0


def transitions(first: int, count: int) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*map(transition, range(first, first + count)), strict=True)]


def images(shape: tuple[int, ...]) -> np.ndarray:
    """Every byte in every place, and bytes that four at a time are NaNs, quiet and signalling, and infinities."""
    count = math.prod(shape)
    every = np.add.outer(np.arange(256), np.arange(count))
    nans = [np.resize(word, count) for word in ([1, 0, 192, 127], [1, 0, 128, 127], [0, 0, 128, 255], [255])]
    return np.concatenate((every, nans)).astype(np.uint8).reshape(-1, *shape)


def numbers(buffer: ReplayBuffer) -> list[float]:
    return [reward - 100 for reward in buffer.transitions().rewards.tolist()]


@pytest.mark.parametrize("groups", [[1] * 12, [5, 5, 2], [12], [4, 1, 7], [7, 5]])
def test_the_latest_transitions_are_kept_in_order_however_they_come(groups):
    buffer, first = ReplayBuffer(5, OBSERVATIONS, ACTIONS), 0
    for count in groups:
        buffer.add(*(transition(first) if count == 1 else transitions(first, count)))
        first += count
        assert len(buffer) == min(first, 5)
        assert numbers(buffer) == list(range(max(0, first - 5), first))
    batch = buffer.transitions()
    for row, number in enumerate(range(7, 12)):
        observation, action, reward, next_observation, terminated = transition(number)
        np.testing.assert_array_equal(batch.observations[row], observation)
        np.testing.assert_allclose(batch.actions[row], action, rtol=1e-7)
        np.testing.assert_array_equal(batch.next_observations[row], next_observation)
        assert batch.rewards[row] == reward
        assert batch.terminations[row] == terminated


def test_samples_are_whole_transitions_drawn_uniformly():
    buffer = ReplayBuffer(10, OBSERVATIONS, ACTIONS, seed=1)
    buffer.add(*transitions(0, 10))
    batch = buffer.sample(20_000)
    assert [tuple(tensor.shape) for tensor in batch] == [(20_000, 3), (20_000, 2), (20_000,), (20_000, 3), (20_000,)]
    assert {tensor.dtype for tensor in batch} == {torch.float32}
    drawn = batch.rewards - 100
    assert torch.equal(batch.observations[:, 0], drawn)
    assert torch.equal(batch.next_observations[:, 2], drawn + 0.5)
    assert torch.equal(batch.terminations, (drawn % 3 == 0).float())
    counts = drawn.long().bincount(minlength=10)
    assert (counts - 2000).abs().max() < 5 * (20_000 * 0.1 * 0.9) ** 0.5


def test_sampling_follows_the_seed_and_goes_on_from_its_state():
    buffers = [ReplayBuffer(10, OBSERVATIONS, ACTIONS, seed=seed) for seed in (1, 1, 2)]
    for buffer in buffers:
        buffer.add(*transitions(0, 14))
    first = [buffer.sample(50).rewards.tolist() for buffer in buffers]
    assert first[0] == first[1] != first[2]
    restored = ReplayBuffer(10, OBSERVATIONS, ACTIONS)
    rows = buffers[0].rows(4, 14)
    restored.load_state_dict(buffers[0].state_dict(), [rows[:3], rows[3:]])
    assert numbers(restored) == numbers(buffers[0])
    assert restored.sample(50).rewards.tolist() == buffers[1].sample(50).rewards.tolist()
    for buffer in (restored, buffers[0]):
        buffer.add(*transition(14))
    assert numbers(restored) == numbers(buffers[0])


def test_a_sampler_draws_what_sample_draws_into_the_same_tensors():
    one, other = (ReplayBuffer(10, OBSERVATIONS, ACTIONS, seed=1) for _ in range(2))
    sampler = one.sampler(50)
    with pytest.raises(InputError, match="sample from an empty replay buffer"):
        sampler()
    batches = []
    for first, count in ((0, 1), (1, 6), (7, 8)):
        for buffer in (one, other):
            buffer.add(*transitions(first, count))
        batches.append(sampler())
        assert all(map(torch.equal, batches[-1], other.sample(50)))
    assert {id(batch) for batch in batches} == {id(batches[0])}
    assert all(before is not after for before, after in zip(other.sample(50), other.sample(50), strict=True))


def test_spaces_of_any_shape_are_flattened():
    buffer = ReplayBuffer(4, Box(0, 255, (2, 3), np.uint8), Box(-1, 1, (2, 2)))
    buffer.add(np.arange(6).reshape(2, 3), np.eye(2), 1.0, np.arange(6).reshape(2, 3)[::-1], False)
    batch = buffer.sample(1)
    assert batch.observations.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert batch.next_observations.tolist() == [[3, 4, 5, 0, 1, 2]]
    assert batch.actions.tolist() == [[1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({0: np.zeros(4)}, r"observation of shape \(4,\): expected \(3,\)"),
        ({1: np.zeros((3, 2))}, "unequal number.*'actions': 3"),
        ({2: float("nan")}, "not finite.*rewards"),
        ({3: np.full(3, 1e300)}, "not finite in float32"),
    ],
    ids=str,
)
def test_a_transition_that_does_not_fit_is_refused_and_not_stored(change, sentence):
    buffer = ReplayBuffer(4, OBSERVATIONS, ACTIONS)
    with pytest.raises(InputError, match=sentence):
        buffer.add(*(change.get(position, value) for position, value in enumerate(transition(1))))
    assert len(buffer) == 0


def test_what_cannot_be_made_or_sampled_is_refused():
    with pytest.raises(InputError, match="capacity=0"):
        ReplayBuffer(0, OBSERVATIONS, ACTIONS)
    with pytest.raises(InputError, match=r"needs 40,000,000\.0 GB"):
        ReplayBuffer(10**15, OBSERVATIONS, ACTIONS)
    buffer = ReplayBuffer(4, OBSERVATIONS, ACTIONS)
    with pytest.raises(InputError, match="empty replay buffer"):
        buffer.sample(4)
    buffer.add(*transition(1))
    with pytest.raises(InputError, match="batch_size=0"):
        buffer.sample(0)


def test_buffers_that_do_not_fit_together_are_refused_as_a_single_one_is(monkeypatch):
    monkeypatch.setattr("ddpg.replay_buffer._buffers", WeakSet())
    width = 2 * 3 + 2 + 2
    monkeypatch.setattr("ddpg.base.memory.physical_memory", lambda: 1000 * 4 * width)
    first = ReplayBuffer(600, OBSERVATIONS, ACTIONS)
    with pytest.raises(InputError, match=r"buffer capacity 401 .*beside the .* GB of others.*delete the others first"):
        ReplayBuffer(401, OBSERVATIONS, ACTIONS)
    second = copy.deepcopy(ReplayBuffer(200, OBSERVATIONS, ACTIONS))
    with pytest.raises(InputError, match="delete the others first"):
        ReplayBuffer(300, OBSERVATIONS, ACTIONS)
    del first
    assert len(ReplayBuffer(300, OBSERVATIONS, ACTIONS)) == len(second) == 0
    check_memory(249, OBSERVATIONS, ACTIONS, count=4)
    with pytest.raises(InputError, match=r"4 buffers together need .* GB, more than the .* GB there are; lower it\."):
        check_memory(250, OBSERVATIONS, ACTIONS, count=4)


class AgainstAList(RuleBasedStateMachine):
    """Whatever is done to a buffer, it holds the latest transitions, and samples only those."""

    @initialize(capacity=st.integers(1, 12), seed=st.integers(0, 99))
    def make(self, capacity, seed):
        self.buffer = ReplayBuffer(capacity, OBSERVATIONS, ACTIONS, seed=seed)
        self.capacity = capacity
        self.all = []

    @rule(count=st.integers(0, 30))
    def add_several(self, count):
        if count:
            self.buffer.add(*transitions(len(self.all), count))
        self.all += range(len(self.all), len(self.all) + count)

    @rule()
    def add_one(self):
        self.buffer.add(*transition(len(self.all)))
        self.all.append(len(self.all))

    @rule(bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e39]), column=st.sampled_from([0, 1, 2, 3]))
    def refuse(self, bad, column):
        broken = list(transition(0))
        broken[column] = np.full(np.shape(broken[column]), bad)
        with pytest.raises(InputError, match="not finite"):
            self.buffer.add(*broken)

    @precondition(lambda self: self.all)
    @rule(count=st.integers(1, 40))
    def sample(self, count):
        batch = self.buffer.sample(count)
        drawn = (batch.rewards - 100).tolist()
        assert set(drawn) <= set(self.all[-self.capacity :])
        assert batch.observations[:, 1].tolist() == drawn
        assert batch.terminations.tolist() == [number % 3 == 0 for number in drawn]

    @rule(pieces=st.integers(1, 4))
    def restore(self, pieces):
        rows = self.buffer.rows(len(self.all) - len(self.buffer), len(self.all))
        state = self.buffer.state_dict()
        other = ReplayBuffer(self.capacity, OBSERVATIONS, ACTIONS)
        other.load_state_dict(state, rows.tensor_split(pieces))
        self.buffer = other

    @invariant()
    def holds_the_latest(self):
        assert len(self.buffer) == min(len(self.all), self.capacity)
        assert numbers(self.buffer) == self.all[-self.capacity :]


AgainstAList.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_a_buffer_against_a_list = AgainstAList.TestCase


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (4,), (5, 7), (2, 4, 3)], ids=str)
def test_every_byte_of_an_image_comes_back(shape):
    space, shown = Box(0, 255, shape, np.uint8), images(shape)
    count, capacity = len(shown), len(shown) + 37
    buffer = ReplayBuffer(capacity, space, ACTIONS)
    assert buffer._rows.nbytes == capacity * (2 * 4 * math.ceil(math.prod(shape) / 4) + 4 * (2 + 2))
    sampler = buffer.sampler(500)
    for first in (0, count):
        for one in range(first, first + 9):
            buffer.add(shown[one % count], [0, 0], one, shown[~one % count], False)
        buffer.add(
            shown[9:], np.zeros((count - 9, 2)), np.arange(first + 9, first + count), shown[~9::-1], [0] * (count - 9)
        )
    restored = ReplayBuffer(capacity, space, ACTIONS)
    rows = buffer.rows(2 * count - capacity, 2 * count)
    restored.load_state_dict(buffer.state_dict(), rows.tensor_split(3))
    following, shown = (each.reshape(count, -1).astype(np.float32) for each in (shown[::-1], shown))
    batches = sampler(), sampler()
    assert batches[0] is batches[1]
    for batch in (
        buffer.transitions(),
        batches[1],
        *(each.sample(500) for each in (buffer, restored, copy.deepcopy(buffer))),
    ):
        assert {tensor.dtype for tensor in batch} == {torch.float32}
        drawn = batch.rewards.long() % count
        np.testing.assert_array_equal(batch.observations, shown[drawn])
        np.testing.assert_array_equal(batch.next_observations, following[drawn])
    assert buffer.transitions().rewards.tolist() == list(range(2 * count - capacity, 2 * count))


@pytest.mark.parametrize("value", [256, -1, 0.5, np.nan, np.inf, 1e300], ids=str)
@pytest.mark.parametrize("place", [0, 3])
def test_what_is_no_image_is_refused_and_not_stored(value, place):
    buffer = ReplayBuffer(4, Box(0, 255, (5,), np.uint8), ACTIONS)
    white = [np.full(5, 255.0), np.zeros(2), 0.0, np.full(5, 255), False]
    broken = [*white[:place], np.array([0, 1, 2, 3, value]), *white[place + 1 :]]
    with pytest.raises(
        InputError, match=f"^{'next_' * (place > 0)}observations that are not whole numbers from 0 to 255"
    ):
        buffer.add(*broken)
    with pytest.raises(InputError, match="not finite in float32, in rewards:"):  # and not in what looks like NaNs
        buffer.add(*white[:2], np.nan, *white[3:])
    assert len(buffer) == 0
    buffer.add(*white)
    assert buffer.sample(1).observations.tolist() == [[255] * 5]


@settings(max_examples=200, deadline=None)
@given(
    shape=st.lists(st.integers(1, 3), max_size=3),
    dtype=st.sampled_from(["float32", "float64", "uint8", "int16"]),
    rows=st.integers(1, 5),
    data=st.data(),
)
def test_whatever_is_added_comes_back_as_it_is_in_float32(shape, dtype, rows, data):
    low, high = (-100, 100) if dtype != "uint8" else (0, 255)
    space = Box(low, high, tuple(shape), np.dtype(dtype).type)
    seed = data.draw(st.integers(0, 2**31))
    space.seed(seed)
    buffer = ReplayBuffer(rows, space, ACTIONS)
    observations, following = (np.array([space.sample() for _ in range(rows)]) for _ in range(2))
    rewards = data.draw(st.lists(st.floats(-1e30, 1e30), min_size=rows, max_size=rows))
    actions = np.random.default_rng(seed).uniform(ACTIONS.low, ACTIONS.high, (rows, 2))
    buffer.add(observations, actions, np.array(rewards), following, np.zeros(rows, bool))
    batch = buffer.transitions()
    for stored, given_ in (
        (batch.observations, observations),
        (batch.next_observations, following),
        (batch.actions, actions),
    ):
        np.testing.assert_array_equal(stored.numpy(), given_.reshape(rows, -1).astype(np.float32))
    np.testing.assert_array_equal(batch.rewards.numpy(), np.array(rewards, np.float32))


COPIES = [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]


@pytest.mark.parametrize("duplicate", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_a_copy_of_a_buffer_goes_on_as_the_buffer_and_apart_from_it(duplicate):
    buffer = ReplayBuffer(4, OBSERVATIONS, ACTIONS, seed=3)
    buffer.add(*transitions(0, 3))
    other = duplicate(buffer)
    other.add(*transitions(3, 2))
    assert numbers(other) == [1, 2, 3, 4]
    assert set((other.sample(99).rewards - 100).tolist()) == {1, 2, 3, 4}
    assert numbers(buffer) == [0, 1, 2]
    assert set((buffer.sample(99).rewards - 100).tolist()) == {0, 1, 2}
    buffer.add(*transitions(3, 2))
    assert torch.equal(buffer.sample(99).rewards, other.sample(99).rewards)


@pytest.mark.parametrize("duplicate", COPIES[1:], ids=["deepcopy", "pickle"])
def test_a_copied_sampler_draws_from_the_copied_buffer(duplicate):
    buffer = ReplayBuffer(4, OBSERVATIONS, ACTIONS, seed=3)
    buffer.add(*transition(0))
    kept = {"sampler": buffer.sampler(50), "buffer": buffer}
    kept["sampler"]()
    other = duplicate(kept)
    other["buffer"].add(*transition(1))
    batch = other["sampler"]()
    assert set((batch.rewards - 100).tolist()) == {0, 1}
    assert set((kept["sampler"]().rewards - 100).tolist()) == {0}
    assert set((batch.rewards - 100).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({4: 7}, "terminated=7: must be True or False"),
        ({4: 1.5}, r"terminated=1\.5: must be True or False"),
        ({4: -0.5}, r"terminated=-0\.5: must be True or False"),
        ({4: float("nan")}, "terminated=nan: must be True or False"),
        ({4: "1"}, "terminated='1': must be True or False"),
        ({4: None}, "terminated=None: must be True or False"),
        ({2: "1.0"}, r"reward='1\.0': must be a real number"),
        ({2: 1 + 1j}, r"reward=\(1\+1j\): must be a real number"),
        ({2: None}, "reward=None: must be a real number"),
        ({0: np.zeros(3, complex)}, "observation of type complex128: expected real numbers"),
        ({0: ["0", "0", "0"]}, "observation of type <U1: expected real numbers"),
        ({3: np.array([0, None, 0])}, "next_observation of type object: expected real numbers"),
        ({3: np.zeros(3, "datetime64[s]")}, r"next_observation of type datetime64\[s\]: expected real numbers"),
        ({1: np.zeros(2, complex)}, "action of type complex128: expected real numbers"),
        ({1: [0.0, 5.1]}, r"action \[0\.0, 5\.09.*\] lies outside its bounds, \[-2\.0, -1\.0\] to \[1\.0, 5\.0\]"),
        ({1: [-2.01, 0.0]}, "lies outside its bounds"),
        ({1: [1e30, 0.0]}, "lies outside its bounds"),
    ],
    ids=str,
)
def test_what_is_no_transition_is_refused_and_not_stored(change, sentence):
    buffer = ReplayBuffer(4, OBSERVATIONS, ACTIONS)
    with pytest.raises(InputError, match=sentence):
        buffer.add(*(change.get(position, value) for position, value in enumerate(transition(1))))
    several = transitions(0, 3)
    for position, value in change.items():
        several[position] = np.array([*several[position][:2], value], dtype=np.asarray(value).dtype)
    with pytest.raises(InputError):
        buffer.add(*several)
    assert len(buffer) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bounds_and_what_rounding_makes_of_them_are_actions(dtype):
    low, high = np.array([-0.3, 7.1, -3e4], dtype), np.array([0.3, 7.3, 3e4], dtype)
    buffer = ReplayBuffer(9, OBSERVATIONS, Box(low, high, dtype=dtype))
    for action in (low, high, np.nextafter(low, -np.inf, dtype=dtype), np.nextafter(high, np.inf, dtype=dtype)):
        buffer.add(np.zeros(3), action, 0.0, np.zeros(3), False)
    assert len(buffer) == 4
    widest = ReplayBuffer(1, OBSERVATIONS, Box(-3.4e38, 3.4e38, (1,), np.float32))
    widest.add(np.zeros(3), [3.4e38], 0.0, np.zeros(3), False)
    with pytest.raises(InputError, match="not finite in float32, in actions"):
        widest.add(np.zeros(3), [np.inf], 0.0, np.zeros(3), False)


@pytest.mark.parametrize("terminated", [True, 1, 1.0, np.bool_(True), np.uint8(1), np.ones(1), [True]])
@pytest.mark.parametrize("reward", [1, True, np.float64(1), np.int8(1), [1.0]])
def test_numbers_of_every_real_type_are_taken(reward, terminated):
    buffer = ReplayBuffer(1, OBSERVATIONS, ACTIONS)
    buffer.add([True, False, True], [1, 0], reward, np.arange(3, dtype=np.uint8), terminated)
    assert [tensor.tolist() for tensor in buffer.transitions()] == [[[1, 0, 1]], [[1, 0]], [1], [[0, 1, 2]], [1]]
