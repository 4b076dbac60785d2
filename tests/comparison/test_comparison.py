import pytest
from finished_runs import experiment, finished_run
from small_runs import run, small

from ddpg.base.errors import InputError
from ddpg.comparison.comparison import Comparison, label, shown
from ddpg.comparison.reading import read


def compared(folder, *arguments, **options):
    return Comparison(read([folder])[0], *arguments, **options)


def test_runs_are_compared_by_what_they_differ_in_the_strategies_first(tmp_path):
    for actor in ("target", "online"):
        for rate in (1e-3, 1e-2):
            experiment(tmp_path, critic_lr=rate, actor=actor)
    found = compared(tmp_path, defaults={"gradient_stop": "no_grad"})
    assert found.keys == ["gradient_stop", "agent.bootstrap_actor"]
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
    assert list(found.panels(found.sections[0])) == ["Pendulum-v1"]
    assert [section[0][1] for section in found.sections] == ["none", "detach", "no_grad"]  # as the project lists them
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
    assert set(found.dependent) == {"gradient_stop.scale", "gradient_stop.every"}


def test_the_same_setting_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="the same setting twice"):
        compared(experiment(tmp_path), ["gradient_stop", "gradient_stop"])


def same_weights(comparison):
    return {place.line: comparison.same_weights(place) for place in comparison.places}


def test_the_same_weights_are_told_seed_by_seed(tmp_path):
    found = compared(experiment(tmp_path), defaults={"gradient_stop": "no_grad"})
    assert same_weights(found) == {"none": [], "detach": [0, 1, 2, 3, 4], "no_grad": [0, 1, 2, 3, 4]}
    assert [place.line for place in found.differing(())] == ["none"]
    finished_run(tmp_path / "detach" / "7", 7, stop="detach", weights_digest="another")
    finished_run(tmp_path / "no_grad" / "7", 7)
    found = compared(tmp_path, defaults={"gradient_stop": "no_grad"})
    assert same_weights(found) == {"none": [], "detach": [0, 1, 2, 3, 4], "no_grad": [0, 1, 2, 3, 4, 7]}
    assert [place.line for place in found.differing(())] == ["none", "detach"]


def test_a_seed_that_the_baseline_lacks_is_no_difference(tmp_path):
    experiment(tmp_path, stops=("detach", "no_grad"), seeds=2)
    finished_run(tmp_path / "detach" / "7", 7, stop="detach")
    found = compared(tmp_path, defaults={"gradient_stop": "no_grad"})
    assert same_weights(found) == {"detach": [0, 1], "no_grad": [0, 1]}
    assert found.differing(()) == []


def test_what_was_trained_is_told_apart_by_its_weights(tmp_path):
    for stop in ("none", "detach", "no_grad"):
        settings = {"gradient_stop": {"name": stop}, "total_steps": 100, "env__kwargs": {"max_episode_steps": 5}}
        run(tmp_path / stop, small(**settings))
    found = same_weights(compared(tmp_path, defaults={"gradient_stop": "no_grad"}))
    assert found["none"] == []
    assert found["detach"] == found["no_grad"] != []


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (0.001, "0.001"), (3, "3"), ("detach", "detach")]
)
def test_values_are_shown_as_they_are_typed(value, text):
    assert shown(value) == text
    assert label([("agent.critic_lr", value)]) == f"agent.critic_lr={text}"


def test_runs_without_any_difference_are_one_line(tmp_path):
    found = compared(experiment(tmp_path, stops=("detach",)))
    assert found.lines == ["detach"]
    assert found.baseline == "detach"
