"""The buffers that are measured: filled with transitions that follow each other, and their bytes counted."""

import numpy as np
import pytest

from ddpg.benchmark import buffer
from ddpg.benchmark.options import Options
from ddpg.benchmark.workers import Reply, Worker


def test_episodes_follow_on_and_begin_anew():
    episodes = buffer.Episodes()
    taken = [episodes.take() for _ in range(buffer.EPISODE + 1)]
    assert np.array_equal(taken[0][2], taken[1][0])
    assert np.array_equal(taken[-1][0], taken[0][0])


@pytest.mark.parametrize("make", [lambda: buffer.OwnBuffer(10, "cpu"), lambda: buffer.StableBaselinesBuffer(10)])
def test_what_is_measured_holds_the_transitions(make):
    pytest.importorskip("stable_baselines3")
    held = make()
    held.fill(12)
    held.sample(4, times=2)
    assert buffer.MINIMUM * 10 <= held.stored() <= 3 * buffer.MINIMUM * 10


class Here(Worker):
    """A worker without a process."""

    def __init__(self, make, *arguments):
        self.held = make(*arguments)
        self.memory = 1.0

    def close(self):
        pass

    def call(self, method, *arguments):
        return Reply(getattr(self.held, method)(*arguments), seconds=1.0)


def test_the_part(monkeypatch):
    monkeypatch.setattr(buffer, "start", lambda stack, makers: {name: Here(*maker) for name, maker in makers.items()})
    monkeypatch.setattr(buffer, "CAPACITY", 100)
    monkeypatch.setattr(buffer, "SAMPLES", 2)
    monkeypatch.setattr(buffer, "installed", lambda module: False)
    report = buffer.measure(Options("buffer", rounds=2, batch=4))
    assert [row[0] for row in report.rows] == ["ddpg", "rows of one array"]
    assert all(len(times) == 2 for times in report.figures["seconds_of_a_sample"].values())
    assert [row[5] for row in report.rows] == ["1.00 (1.00 to 1.00)"] * 2
    assert report.figures["bytes_a_transition"]["ddpg"] >= report.figures["minimum_bytes"]
