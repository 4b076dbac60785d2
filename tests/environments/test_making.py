"""What a user names is found and made, or refused in a sentence that says what is wrong with it."""

import functools
import sys
from contextlib import suppress
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from ddpg import InputError
from ddpg.base.errors import FaultyEnvironmentError, Note
from ddpg.environments import Collector, find_environment, make_environment, make_vector, with_others
from ddpg.environments.making import _note


@pytest.mark.parametrize(
    ("env_id", "kwargs", "sentence"),
    [
        ("Pendulom-v1", {}, r"env\.id=Pendulom-v1: no such environment.*did you mean Pendulum-v1"),
        ("Pendulum-v77", {}, "did you mean Pendulum-v1"),
        ("no_such_module:Thing-v0", {}, "module no_such_module cannot be imported"),
        ("CartPole-v1", {}, r"env\.id=CartPole-v1: action space Discrete\(2\)"),
        ("Pendulum-v1", {"gravity": 3}, "cannot be made with .*gravity"),
    ],
)
def test_an_environment_that_cannot_be_had_is_refused(env_id, kwargs, sentence):
    with pytest.raises(InputError, match=sentence):
        make_environment(env_id, kwargs)


OWN_CODE = {
    "syntax": ("x = 1\ndef", r"the module {} cannot be imported: SyntaxError \(invalid syntax\) at .*{}\.py:2\."),
    "assertion": ("\nassert 1 > 2, 'mass'", r"cannot be imported: AssertionError \(mass\) at .*{}\.py:2\."),
    "exit": ("exit(3)", r"cannot be imported: SystemExit \(3\) at .*{}\.py:1\."),
    "missing": ("import no_such_package", r"ModuleNotFoundError \(No module named 'no_such_package'\) at .*{}\.py:1\."),
    "nothing": ("", r"{}:Own-v0: no such environment is registered; .*{} neither registers nor defines it"),
    "maker": (
        "import gymnasium\ndef make(**_):\n    return {}['goal']\ngymnasium.register('Own-v0', make)",
        r"env\.id=Own-v0: cannot be made: KeyError \('goal'\) at .*{}\.py:3\.",
    ),
    "colon": (
        "import gymnasium\ngymnasium.register('Own-v0', 'own_colon.Env')",
        r"env\.id=Own-v0: registered with entry_point='own_colon\.Env'; it has to be module:Class\.",
    ),
    "entry": (
        "import gymnasium\ngymnasium.register('Own-v1', 'nowhere_at_all')\ngymnasium.register('Own-v0', 'nowhere:Env')",
        r"env\.id=Own-v0: cannot be made: ModuleNotFoundError \(No module named 'nowhere'\)",
    ),
}


@pytest.mark.parametrize("kind", OWN_CODE)
def test_what_is_wrong_in_code_of_the_users_own_is_named_with_its_line(tmp_path, monkeypatch, kind):
    module, (code, sentence) = f"own_{kind}", OWN_CODE[kind]
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=sentence.replace("{}", module)) as raised:
        make_environment(f"{module}:Own-v0", {})
    if kind not in ("nothing", "colon"):
        assert "Traceback" in raised.value.details
    for name in ("Own-v0", "Own-v1"):
        gymnasium.registry.pop(name, None)


def test_a_name_that_is_not_there_may_be_the_users_own():
    with pytest.raises(InputError, match=r"did you mean Pusher-v5\? If it is yours: env\.id=module:Push-v0"):
        make_environment("Push-v0", {})


def test_a_render_mode_that_is_asked_for_goes_before_one_in_the_arguments():
    assert make_environment("Pendulum-v1", {"render_mode": "human"}, "rgb_array").render_mode == "rgb_array"


def test_mujoco_leaves_nothing_in_terminal_and_folder(tmp_path, monkeypatch, capfd):
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    cheetah = make_environment("HalfCheetah-v5", {})  # whose model has an attribute that MuJoCo calls deprecated
    cheetah.reset(seed=0)
    _note.cache_clear()

    def explode():
        for _ in range(3):
            cheetah.unwrapped.data.qvel[:] = 1e12
            with suppress(FaultyEnvironmentError):
                cheetah.step(np.zeros(6, np.float32))

    with pytest.warns(Note, match=r"MuJoCo: Nan, Inf or huge value in QVEL") as warned:
        explode()
    assert len(warned) == 1
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_the_example_of_the_page_on_own_environments_can_be_trained_in(monkeypatch, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")
    (tmp_path / "pushing.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    monkeypatch.syspath_prepend(tmp_path)
    collector = Collector(make_vector("pushing:Push-v0", {}, 2, 0))
    for step in range(1, 51):
        seen = collector.step(np.ones((2, 1), np.float32))
        assert seen.truncations.tolist() == [step == 50] * 2


def test_a_module_is_looked_for_in_the_working_directory_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = list(sys.path)
    find_environment("Pendulum-v1")
    assert sys.path == before
    (tmp_path / "lies_here.py").write_text("")
    for _ in range(2):
        find_environment("lies_here:Pendulum-v1")
        assert sys.path == [*before, str(tmp_path)]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_is_not_registered_may_be_a_class_or_a_function_of_a_module(own_module, asynchronous):
    name, _ = own_module("place", registers=False)
    module = sys.modules[name]
    module.make = lambda step=0.0: gymnasium.wrappers.TimeLimit(module.Own(), 7)
    kwargs = {"max_episode_steps": 5}
    of_class = Collector(make_vector(f"{name}:Own", kwargs, 2, 0, asynchronous))
    of_function = Collector(make_vector(f"{name}:make", {"step": 1.0}, 2, 0, asynchronous))
    for step in range(1, 8):
        actions = np.zeros((2, 1), np.float32)
        assert of_class.step(actions).truncations.tolist() == [step == 5] * 2
        assert of_function.step(actions).truncations.tolist() == [step == 7] * 2
    of_class.close()
    of_function.close()


def test_a_registered_name_goes_before_a_class(own_module):
    name, _ = own_module("place", registers=False)
    gymnasium.register("Own", entry_point=f"{name}:Own", max_episode_steps=3)
    assert find_environment(f"{name}:Own").max_episode_steps == 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("Onw", "no such environment is registered; .*{} neither registers nor defines it"),
        ("LOCATION", "{} neither registers nor defines it"),
        ("Box", r"cannot be made: TypeError"),
        ("gymnasium", "{} neither registers nor defines it"),
    ],
)
def test_what_makes_no_environment_is_refused(own_module, given, sentence):
    name, _ = own_module("place", registers=False)
    with pytest.raises(InputError, match=rf"env\.id=({name}:)?{given}: .*{sentence.replace('{}', name)}"):
        make_environment(f"{name}:{given}", {})


def twice_wrapped(name):
    module = sys.modules[name]
    return gymnasium.wrappers.ClipReward(gymnasium.wrappers.NormalizeObservation(module.Own()), -1, 1)


def test_wrappers_go_around_those_that_a_function_has_put_there(own_module):
    name, _ = own_module("place", registers=False)
    sys.modules[name].make = lambda: twice_wrapped(name)
    environment = make_environment(f"{name}:make", {}, wrappers=["own_environments.Doubled"])
    assert "Doubled<" in str(environment.env)
    environment.close()


WRAPPERS = ["own_environments.Doubled", "own_environments.one_more"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_wrappers_are_put_around_the_environment_in_the_order_typed(asynchronous):
    rewards = {}
    for wrappers in ([], WRAPPERS, WRAPPERS[::-1]):
        collector = Collector(make_vector("own_environments:Walk-v0", {}, 1, 0, asynchronous, wrappers=wrappers))
        rewards[tuple(wrappers)] = collector.step(np.zeros((1, 1), np.float32)).rewards[0]
        collector.close()
    plain, *others = rewards.values()
    assert others == pytest.approx([2 * plain + 1, 2 * (plain + 1)])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Doubled", r"env\.wrappers=Doubled: must be a class or function at the top"),
        ("own_environments.Doubld", "has no Doubld; did you mean Doubled"),
        ("no_such_module.Wrapper", r"the module no_such_module cannot be imported: .*mind PYTHONPATH"),
        (
            "own_environments.failing",
            r"called with .*: RuntimeError \(no wrapper\) at .*own_environments\.py:\d+",
        ),
        ("own_environments.nothing", "returned None, no gymnasium.Env"),
        ("gymnasium.wrappers.RecordVideo", "called with the environment: TypeError .*'video_folder'"),
    ],
)
def test_a_wrapper_that_cannot_be_had_is_refused(name, sentence):
    with pytest.raises(InputError, match=sentence):
        make_environment("own_environments:Alone-v0", {}, wrappers=[name])
    make_environment("own_environments:Alone-v0", {}).close()  # the one before was closed


def test_observations_that_are_no_box_are_flattened():
    environment = make_environment("own_environments:Goal-v0", {})
    assert environment.observation_space.shape == (6,)
    observation, _ = environment.reset(seed=0)
    place = make_environment("own_environments:Walk-v0", {}).reset(seed=0)[0]
    np.testing.assert_array_equal(observation, [*place, 0.5, 0.5, 0, 0, 1])


def test_observations_of_no_fixed_size_are_refused(own_module):
    name, _ = own_module("place", registers=False)
    space = gymnasium.spaces.Dict(bag=gymnasium.spaces.Sequence(gymnasium.spaces.Box(0, 1, (1,))))
    sys.modules[name].Own.observation_space = space
    with pytest.raises(InputError, match=r"observation space Dict\('bag': Sequence.*DDPG takes only a Box"):
        make_environment(f"{name}:Own", {})


def mine(environment):
    return gymnasium.wrappers.TransformReward(environment, lambda reward: reward)


@pytest.mark.parametrize(
    ("name", "wrappers", "count"),
    [
        ("Pendulum-v1", [], 3),
        ("Pendulum-v1", ["gymnasium.wrappers.NormalizeObservation", "gymnasium.wrappers.FlattenObservation"], 3),
        ("Pendulum-v1", ["test_making.mine"], 1),
        ("own_environments:Walk-v0", [], 1),
        ("gymnasium.envs.classic_control.pendulum:PendulumEnv", [], 3),
    ],
)
def test_an_environment_gets_others_beside_it_where_all_of_it_is_gymnasiums(name, wrappers, count):
    make = functools.partial(make_environment, name, {}, wrappers=wrappers)
    several = with_others(make(), make, 3)
    assert len({id(each.unwrapped) for each in several}) == len(several) == count
    for each in several:
        each.close()


def test_others_are_closed_when_one_cannot_be_made():
    made = []

    def make():
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(make_environment("Pendulum-v1", {}))
        made[-1].close = lambda: made.append("closed")
        return made[-1]

    with pytest.raises(KeyboardInterrupt):
        with_others(make(), make, 3)
    assert made[2:] == ["closed"]
