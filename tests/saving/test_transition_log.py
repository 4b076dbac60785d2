import numpy as np
import pytest
import torch
from conftest import ACTIONS, OBSERVATIONS
from gymnasium.spaces import Box
from test_replay_buffer import images, numbers, transitions

from ddpg import InputError, ReplayBuffer
from ddpg.saving import transition_log
from ddpg.saving.transition_log import TransitionLog


def restored(folder, buffer, parts):
    other = ReplayBuffer(buffer.capacity, buffer.observation_space, ACTIONS)
    log = TransitionLog(folder, parts)
    other.load_state_dict(buffer.state_dict(), log.read(buffer.added - len(buffer)))
    return other


@pytest.mark.parametrize("counts", [[3], [3, 4, 2], [3, 0, 4, 4, 9], [25], [2, 25, 1], [10, 10]])
@pytest.mark.parametrize("largest", [4, 2**16])
def test_each_save_writes_what_is_new_and_the_parts_are_the_buffer(tmp_path, monkeypatch, counts, largest):
    monkeypatch.setattr(transition_log, "_LARGEST", largest)
    buffer, log, written = ReplayBuffer(10, OBSERVATIONS, ACTIONS), TransitionLog(tmp_path), 0
    for count in counts:
        if count:
            buffer.add(*transitions(buffer.added, count))
        before = {part.name for part in log.parts}
        log.write(buffer)
        written += sum(part.last - part.first for part in log.parts if part.name not in before)
        assert numbers(restored(tmp_path, buffer, log.parts)) == numbers(buffer)
        log = TransitionLog(tmp_path, [list(part) for part in log.parts])  # as after a resume
    assert written == sum(min(count, 10) for count in counts)
    log.delete_before(buffer.added - len(buffer))
    assert numbers(restored(tmp_path, buffer, log.parts)) == numbers(buffer)
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(log.parts)


def test_a_part_that_is_missing_damaged_or_of_another_run_is_named(tmp_path):
    buffer, log = ReplayBuffer(10, OBSERVATIONS, ACTIONS), TransitionLog(tmp_path)
    for first in (0, 3):
        buffer.add(*transitions(first, 3))
        log.write(buffer)
    path = next(tmp_path.rglob("3-6.safetensors"))
    good = path.read_bytes()
    for content, sentence in (
        (good[:-1] + bytes([good[-1] ^ 1]), "not the transitions that the checkpoint was written with"),
        (good[:40], "not the transitions"),
        (next(tmp_path.rglob("0-3.safetensors")).read_bytes(), "not the transitions"),
        (None, "cannot be read"),
    ):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=f"3-6.safetensors: .*{sentence}"):
            restored(tmp_path, buffer, log.parts)
        path.write_bytes(good)
    assert numbers(restored(tmp_path, buffer, log.parts)) == list(range(6))


def test_rows_on_any_place_of_the_ring_come_in_order(tmp_path):
    buffer = ReplayBuffer(5, OBSERVATIONS, ACTIONS)
    buffer.add(*transitions(0, 8))
    rows = buffer.rows(4, 8)
    np.testing.assert_array_equal(rows[:, 5] - 100, [4, 5, 6, 7])
    assert rows.dtype == torch.float32


@pytest.mark.parametrize("shape", [(3,), (4,), (5, 7)], ids=str)
def test_every_byte_of_an_image_comes_back_from_disk(tmp_path, shape):
    shown, log = images(shape), TransitionLog(tmp_path)
    count = len(shown)
    buffer = ReplayBuffer(count + 37, Box(0, 255, shape, np.uint8), ACTIONS)
    for first in (0, count):
        buffer.add(shown, np.zeros((count, 2)), np.arange(first, first + count), shown[::-1], np.zeros(count))
        log.write(buffer)
    batch = restored(tmp_path, buffer, log.parts).transitions()
    kept = np.arange(2 * count - buffer.capacity, 2 * count)
    np.testing.assert_array_equal(batch.rewards, kept)
    np.testing.assert_array_equal(batch.observations, shown.reshape(count, -1)[kept % count])
    np.testing.assert_array_equal(batch.next_observations, shown[::-1].reshape(count, -1)[kept % count])
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors")) < 2 * count * 4 * buffer.width + 1000


def test_parts_that_somebody_deletes_are_written_again(tmp_path):
    buffer, log = ReplayBuffer(10, OBSERVATIONS, ACTIONS), TransitionLog(tmp_path)
    for first in (0, 3):
        buffer.add(*transitions(first, 3))
        log.write(buffer)
        for path in tmp_path.rglob("0-3.safetensors"):
            path.unlink()
    buffer.add(*transitions(6, 1))
    log.write(buffer)
    assert numbers(restored(tmp_path, buffer, log.parts)) == list(range(7))
