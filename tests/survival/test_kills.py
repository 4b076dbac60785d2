"""The fast version of `scripts/survive.py kills`."""

import pytest

from ddpg.survival.kills import ordeals


@pytest.mark.parametrize("env", ["pendulum", pytest.param("half_cheetah", marks=pytest.mark.long)])
def test_a_run_that_is_killed_at_random_moments_is_the_same_run(tmp_path, env):
    subject = (
        f"env={env}",
        "env.num_envs=2",
        "env.asynchronous=true",
        "env.kwargs={max_episode_steps: 40}",
        "exploration=ornstein_uhlenbeck",
        "total_steps=1500",
    )
    (ordeal,) = ordeals(tmp_path, kills=4, seed=1, subjects={env: subject})
    assert ordeal.differing == []
    assert ordeal.kills >= 1
