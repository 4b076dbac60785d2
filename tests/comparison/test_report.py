import math
import re

import pytest
from finished_runs import experiment, finished_run

from ddpg.comparison.comparison import Comparison
from ddpg.comparison.reading import read
from ddpg.comparison.report import draw, interval, number, page
from ddpg.comparison.statistics import Estimate


def text(folder, by=()):
    runs, left_out = read([folder])
    return page(Comparison(runs, by, None, {"gradient_stop": "no_grad"}), left_out, "compare.py runs")


def test_the_page_has_figures_same_weights_and_differences(tmp_path):
    found = text(experiment(tmp_path))
    assert found.startswith("# 15 runs by gradient_stop\n\nSeeds of each: 5. Baseline: `gradient_stop=no_grad`.")
    assert "| none | no seed | −248.0 [−" in found
    assert re.search(r"\| detach \| seed 0 1 2 3 4 \| −198.0 \[", found)
    assert "| difference from no_grad, paired by seed | mean return |" in found
    assert "| none | **−50.0 [−50.0, −50.0]** |" in found
    assert "| detach | **" not in found  # its weights are the baseline's
    assert "Made by `compare.py runs`" in found
    assert "Left out" not in found
    assert "Unequal" not in found


def test_what_cannot_be_told_from_zero_is_not_bold_and_one_seed_tells_nothing(tmp_path):
    assert "| none | −50.0 | −50.0 |" in text(experiment(tmp_path, seeds=1))


def test_without_any_difference_there_is_no_table_of_differences(tmp_path):
    folder = experiment(tmp_path, stops=("detach", "no_grad"))
    assert "difference from" not in text(folder)
    assert [name for name, _ in draw(Comparison(read([folder])[0]))] == ["curves.png"]


def test_each_further_setting_has_its_section_and_its_pictures(tmp_path):
    for rate in (1e-3, 3e-3, 1e-2):
        experiment(tmp_path, critic_lr=rate)
    found = text(tmp_path, ["gradient_stop"])
    pictures = [name for name, _ in draw(Comparison(read([tmp_path])[0], ["gradient_stop"]))]
    assert len(pictures) == 6
    for index, rate in enumerate(("0.001", "0.003", "0.01"), 1):
        assert f"## agent.critic_lr={rate}" in found
        assert f"(curves-{index}.png)" in found
    assert all(f"({name})" in found for name in pictures)


def test_what_is_missing_broken_or_unequal_is_named(tmp_path):
    runs = experiment(tmp_path)
    (runs / "detach" / "1" / "result.json").unlink()
    finished_run(runs / "new", 7, versions={"torch": "2.14"}, threads=2)
    found = text(runs)
    assert found.count("**Left out:**") == 1
    assert "detach/1`: has no result.json" in found
    assert "`gradient_stop=detach` lacks seed 1, 7." in found
    assert "2 different versions" in found
    assert "2 different numbers of threads" in found


def test_a_run_without_a_counterpart_is_named(tmp_path):
    finished_run(tmp_path / "a", 0, stop="none")
    finished_run(tmp_path / "b", 1, stop="no_grad")
    assert "`gradient_stop=none` has no counterpart" in text(tmp_path)


def test_settings_that_change_along_are_named(tmp_path):
    for seed in range(2):
        finished_run(tmp_path / f"a{seed}", seed, stop="none", steps=200)
        finished_run(tmp_path / f"b{seed}", seed, stop="no_grad", steps=300)
    assert "**Unequal:** with these settings `total_steps` change as well" in text(tmp_path)


def test_what_a_stranger_wrote_into_a_result_is_text(tmp_path):
    finished_run(tmp_path / "a", 0, env_id="<script>alert(1)</script>$\\foo$|\n`x`")
    finished_run(tmp_path / "b", 0, versions={"<script>": "`"})
    assert "<script>" not in text(tmp_path)
    assert all(figure.get_axes() for _, figure in draw(Comparison(read([tmp_path])[0])))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (-134.44, "−134.4"),
        (0.01234, "0.0123"),
        (12345.6, "12,346"),
        (1.5, "1.50"),
        (math.nan, "–"),
        (1e-9, "0.000000"),
    ],
)
def test_numbers_have_three_figures_or_one_decimal(value, written):
    assert number(value) == written


def test_an_estimate_without_interval_is_its_number():
    assert interval(Estimate(1.0, math.nan, math.nan, 1)) == "1.00"
    assert interval(Estimate(1.0, 0.5, 2.0, 5)) == "1.00 [0.500, 2.00]"
