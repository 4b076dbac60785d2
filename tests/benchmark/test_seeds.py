"""Whole runs of `scripts/train.py`: what they took, without the minutes."""

import pytest

from ddpg.base.errors import InputError
from seeds import train
from training import overrides

SETTINGS = [
    *overrides("Pendulum-v1", 8, 4, compiled=False),
    "total_steps=270",
    "env.kwargs={max_episode_steps: 5}",  # of the final evaluation, too
]


@pytest.mark.long
def test_a_group_takes_as_long_as_its_longest_run_and_the_memory_of_all():
    seconds, alone = train([["seed=0"]], SETTINGS)
    assert seconds > 0 and alone > 50
    _, together = train([["seed=0"], ["seed=1"]], SETTINGS)
    assert 1.5 * alone < together < 2.5 * alone


@pytest.mark.long
def test_a_failed_run_is_a_sentence():
    with pytest.raises(InputError, match="A run failed: sed=1: there is no such setting; did you mean seed"):
        train([["sed=1"]], [])
