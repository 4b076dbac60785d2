"""The buffers that are measured: filled with transitions that follow each other, and their bytes counted."""

import itertools

import numpy as np
import pytest

import buffer


def test_episodes_follow_on_and_begin_anew():
    taken = list(itertools.islice(buffer.transitions(), buffer.EPISODE + 1))
    assert np.array_equal(taken[0][2], taken[1][0])
    assert np.array_equal(taken[-1][0], taken[0][0])


@pytest.mark.parametrize("make", [buffer.own, buffer.stable_baselines])
def test_what_is_measured_holds_the_transitions(make):
    pytest.importorskip("stable_baselines3")
    held = buffer.Buffer(make, 10, "cpu")
    held.fill(12)
    held.sample(4, times=2)
    assert buffer.MINIMUM * 10 <= held.stored() <= 3 * buffer.MINIMUM * 10


def test_plain_rows_are_as_wide_as_those_of_a_sample():
    sampled = buffer.Buffer(buffer.own, 10, "cpu")
    sampled.fill(10)
    (row,) = zip(*sampled._sampler(1)(), strict=True)
    _, _, sampler = buffer.plain_rows(10, "cpu")
    assert sampler(4)().shape == (4, sum(each.numel() for each in row))
