import pytest
import torch

from ddpg.tour.cost import relative_times


def test_times_are_relative_to_the_control_in_the_same_round(monkeypatch):
    seconds = {"none": [1.0, 2.0, 4.0], "detach": [2.0, 2.0, 2.0]}
    steps = []

    def turns(contestants, rounds):
        for turn in contestants.values():
            steps.append(turn())
        return seconds

    monkeypatch.setattr("ddpg.tour.cost.take_turns", turns)
    threads = torch.get_num_threads()
    spreads = relative_times("chain", ["none", "detach"])
    assert spreads["none"] == (1, 1, 1)
    assert spreads["detach"] == (pytest.approx(1), 0.5, 2)
    assert len(steps) == 2
    assert min(steps) > 0
    assert torch.get_num_threads() == threads
