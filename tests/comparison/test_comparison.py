import pytest
from finished_runs import experiment, finished_run
from small_runs import run, small

from ddpg.base.errors import InputError
from ddpg.comparison.comparison import Comparison
from ddpg.comparison.reading import read


def compared(folder, *arguments, **options):
    return Comparison(read([folder])[0], *arguments, **options)


def test_runs_are_compared_by_what_they_differ_in_the_strategies_first(tmp_path):
    for actor in ("target", "online"):
        for rate in (1e-3, 1e-2):
            experiment(tmp_path, critic_lr=rate, actor=actor)
    found = compared(tmp_path, defaults={"gradient_stop": "no_grad"})
    assert (found.line_key, found.panel_key) == ("gradient_stop", "agent.bootstrap_actor")
    assert found.lines == ["none", "detach", "no_grad"]  # as the project lists them
    assert found.sections == [(("agent.critic_lr", 1e-3),), (("agent.critic_lr", 1e-2),)]
    assert found.baseline == "no_grad"
    assert len(found.places) == 12
    assert all(list(runs) == [0, 1, 2, 3, 4] for runs in found.places.values())


def test_any_two_keys_can_be_compared_by(tmp_path):
    for rate in (1e-3, 1e-2):
        experiment(tmp_path, critic_lr=rate)
    found = compared(tmp_path, ["agent.critic_lr", "env.id"])
    assert found.lines == [1e-3, 1e-2]
    assert found.panels == ["Pendulum-v1"]
    assert [section[0][1] for section in found.sections] == ["detach", "no_grad", "none"]  # by name
    assert found.sound(1e-3) is None
    with pytest.raises(InputError, match=r"did you mean agent\.critic_lr"):
        compared(tmp_path, ["critic_lr"])
    with pytest.raises(InputError, match=r"no run has agent\.critic_lr=7"):
        compared(tmp_path, ["agent.critic_lr"], "7")


def test_runs_that_differ_in_anything_else_are_not_put_together(tmp_path):
    experiment(tmp_path)
    finished_run(tmp_path / "longer", 0, steps=400)
    found = compared(tmp_path, ["gradient_stop"])
    assert found.sections == [(("total_steps", 300),), (("total_steps", 400),)]


def test_what_has_a_name_is_told_apart_before_what_has_a_size(tmp_path):
    for rate in (1e-3, 1e-2):
        experiment(tmp_path, critic_lr=rate)
    finished_run(tmp_path / "other", 0, critic_lr=1e-4, env_id="Reacher-v5")
    found = compared(tmp_path, ["gradient_stop"])
    assert [dict(section)["env.id"] for section in found.sections] == ["Pendulum-v1", "Pendulum-v1", "Reacher-v5"]


def test_a_setting_that_follows_from_the_option_makes_no_section(tmp_path):
    found = compared(experiment(tmp_path, stops=("no_grad", "manual")))
    assert found.sections == [()]
    assert set(found.differing_too) == {"gradient_stop.scale", "gradient_stop.every"}


def test_the_same_setting_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="the same setting twice"):
        compared(experiment(tmp_path), ["gradient_stop", "gradient_stop"])


def test_lines_are_identical_only_if_all_their_pairs_are(tmp_path):
    found = compared(experiment(tmp_path))
    assert found.identical == [["none"], ["detach", "no_grad"]]
    finished_run(tmp_path / "detach" / "7", 7, stop="detach", weights_digest="another")
    finished_run(tmp_path / "no_grad" / "7", 7)
    assert compared(tmp_path).identical == [["none"], ["detach"], ["no_grad"]]


def test_what_was_trained_is_told_apart_by_its_weights(tmp_path):
    for stop in ("none", "detach", "no_grad"):
        settings = {"gradient_stop": {"name": stop}, "total_steps": 100, "env__kwargs": {"max_episode_steps": 5}}
        run(tmp_path / stop, small(**settings))
    assert compared(tmp_path).identical == [["none"], ["detach", "no_grad"]]


def test_a_stop_is_sound_as_its_settings_are(tmp_path):
    found = compared(experiment(tmp_path))
    assert [found.sound(line) for line in found.lines] == [False, True, True]


def test_runs_without_any_difference_are_one_line(tmp_path):
    found = compared(experiment(tmp_path, stops=("detach",)))
    assert found.lines == ["detach"]
    assert found.baseline == "detach"
