"""The fast version of `scripts/survive.py kills`."""

import pytest

from ddpg.survival.kills import ordeals

SUBJECTS = {
    "HalfCheetah": ("env=half_cheetah", "total_steps=700", "env.kwargs={max_episode_steps: 40}"),
    "environments": (
        "env.num_envs=3",
        "env.asynchronous=true",
        "env.kwargs={max_episode_steps: 40}",
        "exploration=ornstein_uhlenbeck",
        "total_steps=900",
    ),
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_run_that_is_killed_at_random_moments_is_the_same_run(tmp_path, subject):
    (ordeal,) = ordeals(tmp_path, kills=3, seed=1, subjects={subject: SUBJECTS[subject]})
    assert ordeal.differing == []
    assert ordeal.kills == 3
    assert max(ordeal.checkpoints) > 0
