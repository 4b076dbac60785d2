"""What outlives an episode in many environments does not outlive it here, or is noticed."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddpg import InputError
from ddpg.environments import make_environment
from ddpg.environments.repetition import OUTSIDE, merged, repeats

ACTION = np.array([0.3], np.float32)


def environment(name):
    return make_environment(f"own_environments:{name}-v0", {})


def episode(environment, seed, steps=7):
    seen = [environment.reset(seed=seed)[0]]
    return np.array([*seen, *(environment.step(ACTION)[0] for _ in range(steps))])


def outside():
    return random.random(), np.random.normal()


def test_global_random_numbers_are_an_environments_own_and_begin_with_each_episode():
    OUTSIDE.enter()  # should another test have left an environment open
    random.seed(1), np.random.seed(1)
    expected = [outside(), outside()]
    random.seed(1), np.random.seed(1)
    drawn = [outside()]
    one, other = environment("Dice"), environment("Dice")
    alone = episode(one, 3)
    other.reset(seed=4)
    interleaved = [one.reset(seed=3)[0]]
    for _ in range(7):
        other.step(ACTION)
        interleaved.append(one.step(ACTION)[0])
    np.testing.assert_array_equal(interleaved, alone)
    assert not np.array_equal(episode(one, 5), alone)
    for each in (one, other):
        each.close()
    drawn.append(outside())
    assert drawn[0] == expected[0]
    assert drawn[1][0] == expected[1][0]  # of NumPy's normal numbers the one in reserve is lost


def test_what_a_module_or_a_constructor_draws_is_the_same_in_every_program():
    program = (
        "import random, numpy as np, sys\n"
        "random.seed(int(sys.argv[1])); np.random.seed(int(sys.argv[1]))\n"
        "from ddpg.environments import make_environment\n"
        "drift = make_environment('own_environments:Dice-v0', {}).unwrapped.drift\n"
        "import own_environments\n"
        "print(own_environments.WORLD, drift)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, seed],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(printed) == 1


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("Walk", True),
        ("Dice", True),
        ("Normalised", True),
        ("Centred", True),
        ("ScalesItself", True),
        ("Remembers", False),
        ("Unseeded", False),
    ],
)
def test_an_environment_that_does_not_repeat_itself_is_noticed(name, does):
    tried = environment(name)
    before = tried.statistics
    assert repeats(tried) == does
    for now, then in zip(tried.statistics, before, strict=True):  # numbers that came later are nobody's
        np.testing.assert_equal({key: now[key] for key in then}, then)


@pytest.mark.parametrize("name", ["Normalised", "Centred"])
def test_frozen_statistics_make_an_episode_the_same_whatever_came_before(name):
    trained, evaluated = environment(name), environment(name)
    episode(trained, 0, 50)
    kept = trained.statistics
    evaluated.freeze(kept)
    once = episode(evaluated, 1)
    episode(evaluated, 2, 50)
    np.testing.assert_array_equal(episode(evaluated, 1), once)
    assert not np.array_equal(once, episode(environment(name), 1))
    np.testing.assert_equal(trained.statistics, kept)
    if name == "Normalised":
        np.testing.assert_equal(
            [numbers for numbers in evaluated.statistics if "mean" in numbers],
            [numbers for numbers in kept if "mean" in numbers],
        )


def test_statistics_of_several_environments_are_those_of_one_that_saw_all():
    several = [environment("Normalised") for _ in range(3)]
    seen = [episode(each.unwrapped, seed, 30) for seed, each in enumerate(several)]  # below the wrappers
    for each, observations in zip(several, seen, strict=True):
        for observation in observations:
            each.get_wrapper_attr("obs_rms").update(observation[None])
    merging = merged([each.statistics for each in several])
    together = next(numbers for numbers in merging if np.shape(numbers.get("mean")) == (1,))
    assert together["count"] == pytest.approx(93, abs=1e-3)  # each begins with 1e-4
    np.testing.assert_allclose(together["mean"], np.concatenate(seen).mean(0), rtol=1e-3)
    np.testing.assert_allclose(together["var"], np.concatenate(seen).var(0), rtol=1e-3)


def test_statistics_of_other_wrappers_are_refused():
    with pytest.raises(InputError, match="are of other wrappers than the environment has now"):
        environment("Walk").statistics = environment("Normalised").statistics
    with pytest.raises(InputError, match="are of other wrappers than the environment has now"):
        environment("Centred").statistics = [{"mean": 0, "var": 0, "count": 0}]


def test_an_environment_that_changes_the_directory_moves_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment("Wanders")
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("name", ["Normalised", "Centred", "ScalesItself"])
def test_after_a_thaw_the_statistics_go_on_from_where_they_were(name):
    frozen, other = (make_environment(f"own_environments:{name}-v0", {}) for _ in range(2))
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 1)).astype(np.float32)

    def play(environment, seed):
        return [environment.reset(seed=seed)[0], *(environment.step(action)[:2] for action in actions[:15])]

    play(frozen, 0), play(other, 0)
    frozen.freeze(frozen.statistics)
    play(frozen, 1)
    frozen.thaw()
    assert str(frozen.statistics) == str(other.statistics)
    assert str(play(frozen, 2)) == str(play(other, 2))
    assert str(frozen.statistics) == str(other.statistics)


def test_a_wrapper_that_did_not_update_does_not_after_a_thaw():
    environment = make_environment("own_environments:Normalised-v0", {})
    wrapper = environment.env.env.env
    assert wrapper.update_running_mean is True
    wrapper.update_running_mean = False
    environment.freeze(environment.statistics)
    environment.thaw()
    assert wrapper.update_running_mean is False
