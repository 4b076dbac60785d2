"""Each of the gallery ends, or is noted, in a sentence that says what it did and how to repeat it."""

import multiprocessing
import time

import gymnasium
import pytest
from small_runs import run, small

from ddpg import InputError
from ddpg.base.errors import FaultyEnvironmentError, Note
from ddpg.saving import checkpoint
from ddpg.survival import bad_environments
from ddpg.survival.bad_environments import GALLERY, env_id
from ddpg.training.loop import Training

IN_STEP = r"in step 15 after reset\(seed=3831201730\), which repeats it with the same actions\."
EPISODE_1 = r"episode 1, that of reset\(seed=3831201730\)"
SAID = {
    "RaisesInReset": r"RuntimeError \(the simulator is gone\) was raised, in reset\(seed=3831201730\)\.",
    "RaisesInStep": rf"ZeroDivisionError \(division by zero\) was raised, {IN_STEP}",
    "ExitsInStep": rf"SystemExit \(3\) was raised, {IN_STEP}",
    "HangsInStep": rf"environment 0 did not answer within 0.5 seconds in its {EPISODE_1}\. env\.timeout=… allows",
    "HangsInReset": r"environment 0 did not answer within 0.5 seconds in its episode 0, that of",
    "HangsForGood": rf"environment 0 did not answer within 0.5 seconds in its {EPISODE_1}",
    "WrongShape": rf"observation of shape \(2,\); its observation space says \(3,\), {IN_STEP}",
    "WrongShapeAtReset": r"observation of shape \(6,\); its observation space says \(3,\), in reset\(seed=",
    "WrongType": rf"observation of type complex128; its observation space says float32, {IN_STEP}",
    "NoObservation": rf"observation of shape \(\); its observation space says \(3,\), {IN_STEP}",
    "NanObservation": rf"observation\[1\]=nan, {IN_STEP}$",
    "NanAtReset": r"observation\[2\]=nan in the first observation of an episode, in reset\(seed=",
    "TooLarge": rf"observation\[0\]=inf, {IN_STEP}",
    "InfiniteReward": rf"reward=-inf, {IN_STEP}",
    "NoReward": rf"reward=None \(a NoneType\); it must be one real number, {IN_STEP}",
    "RewardOfOneRow": rf"reward=array\(\[1\.\]\) \(an array of shape \(1,\)\); it must be one real number, {IN_STEP}",
    "TerminatedByWord": rf"terminated='no' \(a str\); it must be True or False, {IN_STEP}",
    "FourValues": r"expected 5, got 4.*in step 1 after.* A step returns observation, reward, terminated, trunc",
    "BareReset": r"an array of shape \(3,\) returned; gymnasium asks for a tuple of observation, info, in reset",
    "NoInfo": rf"info=None \(a NoneType\); it must be a dict, {IN_STEP}",
    "DiesInItsProcess": r"environment 0 died \(exit code 7\) in its episode 1, that of reset\(seed=3831201730\)",
    "KilledInItsProcess": r"environment 0 died \(SIGKILL\) in its episode 1.*environment 1 died \(SIGKILL\)",
}
REFUSED = {
    "RaisesWhenMade": r"RaisesWhenMade-v0: cannot be made: FileNotFoundError \(assets/robot\.xml",
    "DiscreteActions": "DDPG takes only a Box as action space",
    "UnboundedActions": "is unbounded",
}
NOTED = {
    "RaisesWhenClosed": r"cannot be closed: RuntimeError \(closed already\)",
    "DoesNotRepeat": "does not repeat an episode from the same seed and actions",
    "RemembersEpisodes": "does not repeat an episode from the same seed and actions",
}


def settings(environment, overrides=()):
    env = {"id": env_id(environment), "num_envs": 1, "asynchronous": False, "timeout": 60, "kwargs": {}}
    typed = dict(each.removeprefix("env.").split("=") for each in overrides)
    kinds = {"timeout": float, "num_envs": int, "asynchronous": lambda value: value == "true"}
    env |= {key: kinds[key](value) for key, value in typed.items()}
    return small(env=env, learning_starts=40, total_steps=100, batch_size=8, checkpoint={"interval": 20, "keep": 2})


def test_the_gallery_is_all_here():
    assert {each.__name__ for each in GALLERY} == {*SAID, *REFUSED, *NOTED}


def train(folder, environment):
    training = Training(settings(environment, GALLERY[environment]), folder)
    try:
        training.run()
    finally:
        training.close()


@pytest.mark.parametrize("name", SAID)
def test_a_fault_is_said_with_the_episodes_seed_and_leaves_no_process_behind(tmp_path, name):
    started = time.monotonic()
    with pytest.raises(FaultyEnvironmentError, match=SAID[name]) as fault:
        train(tmp_path, getattr(bad_environments, name))
    assert "\n" not in str(fault.value)
    assert time.monotonic() - started < 20
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_at_all_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=REFUSED[name]):
        Training(settings(getattr(bad_environments, name)), tmp_path)


def test_what_raises_when_it_is_closed_is_noted_and_ends_nothing(tmp_path):
    with pytest.warns(Note, match=NOTED["RaisesWhenClosed"]):
        run(tmp_path, settings(bad_environments.RaisesWhenClosed))
    assert (tmp_path / "result.json").exists()


@pytest.mark.parametrize("name", ["DoesNotRepeat", "RemembersEpisodes"])
def test_what_does_not_repeat_itself_is_noted_at_the_start_and_when_the_run_goes_on(tmp_path, name):
    whole = settings(getattr(bad_environments, name))
    with pytest.warns(Note, match=NOTED[name]):
        run(tmp_path, whole)
    content = checkpoint.load(tmp_path)
    with pytest.warns(Note, match=NOTED[name]), pytest.warns(Note, match="from here on observations and rewards"):
        resumed, _ = run(tmp_path, whole.model_copy(update={"total_steps": 150}), content)
    assert resumed.step == 150


def test_the_control_does_nothing_wrong(tmp_path):
    run(tmp_path, settings(bad_environments.WellBehaved))
    assert gymnasium.spec("WellBehaved-v0")
