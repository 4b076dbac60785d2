import re

import pytest
from finished_runs import experiment, finished_run

from ddpg.comparison.comparison import Comparison
from ddpg.comparison.conclusions import conclusions
from ddpg.comparison.reading import read


def text(*folders, by=()):
    return "\n".join(conclusions(Comparison(read(folders)[0], by, None, {"gradient_stop": "no_grad"})))


def test_sound_stops_that_end_alike_are_said_to_be_one_algorithm(tmp_path):
    found = text(experiment(tmp_path))
    assert "`detach` and `no_grad` end in one and the same set of weights in each of 5" in found
    assert "All sound ways are the same algorithm." in found
    assert "`none` ends in other weights than `no_grad` in 5 of 5" in found
    assert "should not differ" not in found


def test_a_sound_stop_that_ends_elsewhere_is_a_surprise(tmp_path):
    experiment(tmp_path, stops=("detach", "no_grad"), seeds=2)
    finished_run(tmp_path / "detach" / "2", 2, stop="detach", weights_digest="another")
    finished_run(tmp_path / "no_grad" / "2", 2)
    found = text(tmp_path)
    assert "**It is sound and should not differ.**" in found
    assert "same algorithm" not in found


def test_costs_are_relative_to_the_baseline(tmp_path):
    assert "`none` 1.50 (1.50 to 1.50), `detach` 1.00 (1.00 to 1.00)" in text(experiment(tmp_path))


def test_what_a_leak_does_is_told_with_the_datas_numbers_and_its_mechanism(tmp_path):
    found = text(experiment(tmp_path))
    assert re.search(r"mean return −248\.0 \[−2.*\] against −198\.0 \[−", found)
    assert "by seed a difference of −50.0 [−50.0, −50.0], worse" in found
    assert "actor and target actor 11.0 times as far apart" in found
    assert "moves the target actor at each update" in found


def test_what_cannot_be_told_is_said_so_and_one_seed_tells_nothing(tmp_path):
    found = text(experiment(tmp_path, seeds=1))
    assert "a difference of −50.0, which these seeds cannot tell from 0" in found
    assert "moves the target actor" not in found


@pytest.mark.parametrize(("bad", "limit"), [((1e-2, 3e-3), "0.003 or more"), ((1e-3,), "0.001 or less")])
def test_where_a_leak_matters_is_told_by_the_setting_that_decides(tmp_path, bad, limit):
    for rate in (1e-3, 3e-3, 1e-2):
        experiment(tmp_path, stops=("no_grad",), critic_lr=rate)
        for seed in range(5):
            folder, offset = tmp_path / f"none-{rate}" / str(seed), -50.0 if rate in bad else 0.0
            finished_run(folder, seed, stop="none", critic_lr=rate, leak=1.0, offset=offset)
    found = text(tmp_path, by=["gradient_stop"])
    assert f"mean return worse in {len(bad)}, exactly where `agent.critic_lr` is {limit}" in found


@pytest.mark.parametrize(("sign", "word", "other_rate"), [(1, "better", 1e-2), (-1, "worse", 5e-4)])
def test_what_cannot_be_told_apart_is_counted_so_whichever_way_it_leans(tmp_path, sign, word, other_rate):
    for actor, rate in (("target", 1e-3), ("target", other_rate), ("online", 1e-3)):
        place = {"actor": actor, "critic_lr": rate}
        experiment(tmp_path, stops=("no_grad",), **place)
        for seed in range(5):
            differs = 50 if place == {"actor": "target", "critic_lr": 1e-3} else 10 * seed - 15
            folder = tmp_path / f"none-{actor}-{rate}" / str(seed)
            finished_run(folder, seed, stop="none", leak=1.0, offset=sign * differs, **place)
    found = text(tmp_path, by=["gradient_stop"])
    assert (
        f"mean return {word} in 1 (`agent.bootstrap_actor=target`, `agent.critic_lr=0.001`), not to be told " in found
    )
    assert "apart in 2 (differences of " in found
    assert "exactly where" not in found  # another place has the same rate


def test_a_control_that_ends_alike_makes_nobody_one_algorithm(tmp_path):
    for seed in range(5):
        for stop in ("none", "no_grad"):
            finished_run(tmp_path / stop / str(seed), seed, stop=stop)
    found = text(tmp_path)
    assert "`none` and `no_grad` end in one and the same set of weights" in found
    assert "same algorithm" not in found


def test_a_line_without_a_counterpart_is_named(tmp_path):
    finished_run(tmp_path / "a", 0, stop="none")
    finished_run(tmp_path / "b", 1, stop="no_grad")
    assert "**Without a counterpart:** of `none` no run" in text(tmp_path)


def test_settings_that_are_no_strategies_are_compared_without_talk_of_soundness(tmp_path):
    for rate in (1e-3, 1e-2):
        experiment(tmp_path, stops=("no_grad",), critic_lr=rate)
    found = text(tmp_path)
    assert "`0.01`**, against `0.001`" in found
    assert "sound" not in found
