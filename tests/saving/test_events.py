"""One file, without duplicate or missing points, whatever became of the process that wrote it."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard.summary import scalar

from ddpg.base.errors import Note
from ddpg.saving.events import NAME, EventFile


def points(folder):
    return [(event.step, event.value) for event in EventAccumulator(str(folder)).Reload().Scalars("a")]


def write(events, steps):
    for step in steps:
        events.add(scalar("a", float(step)), step)
    events.flush()


def test_what_a_broken_off_process_wrote_after_the_checkpoint_gives_way(tmp_path):
    events = EventFile(tmp_path)
    write(events, range(5))
    kept = events.size, events.sha256
    write(events, range(5, 9))
    with open(tmp_path / NAME, "ab") as file:
        file.write(b"torn off in the middle of a rec")
    write(EventFile(tmp_path, *kept), [5, 6, 7])
    assert points(tmp_path) == [(step, step) for step in range(8)]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_new_run_begins_the_file_anew(tmp_path):
    for _ in range(2):
        write(EventFile(tmp_path), [1, 2])
    assert points(tmp_path) == [(1, 1), (2, 2)]


def test_events_wait_until_the_disk_takes_them(tmp_path, monkeypatch):
    events = EventFile(tmp_path)
    write(events, [1])
    folder = tmp_path / NAME
    folder.rename(tmp_path / "away")
    folder.mkdir()  # in the file's place
    with pytest.raises(IsADirectoryError):
        write(events, [2])
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    write(events, [3])
    assert points(tmp_path) == [(1, 1), (2, 2), (3, 3)]


def test_what_is_new_goes_to_the_file_every_few_seconds(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    events, found = EventFile(tmp_path), []
    for step in range(18):
        events.add(scalar("a", float(step)), step)
        found.append(len(points(tmp_path)) if (tmp_path / NAME).exists() else 0)
        now += 1
    assert found == [0] * 6 + [7] * 6 + [13] * 6


@pytest.mark.parametrize("damage", ["missing", "shorter", "flipped"])
def test_a_damaged_file_is_said_and_kept_aside(tmp_path, damage):
    events = EventFile(tmp_path)
    write(events, range(5))
    path = tmp_path / NAME
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage != "missing":
        content[60] ^= 1
        path.write_bytes(content[:50] if damage == "shorter" else content)
    with pytest.warns(Note, match="missing" if damage == "missing" else "not as it was at the checkpoint, moved to"):
        events = EventFile(tmp_path, events.size, events.sha256)
    write(events, [6, 7])
    assert points(tmp_path) == [(6, 6), (7, 7)]
    assert (tmp_path / "damaged_events").exists() == (damage != "missing")


def test_a_file_that_somebody_deletes_begins_anew(tmp_path):
    events = EventFile(tmp_path)
    write(events, [1, 2])
    (tmp_path / NAME).unlink()
    write(events, [3])
    assert points(tmp_path) == [(3, 3)]
    write(EventFile(tmp_path, events.size, events.sha256), [4])
    assert points(tmp_path) == [(3, 3), (4, 4)]
