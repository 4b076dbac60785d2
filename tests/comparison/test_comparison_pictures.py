"""What the pictures show, asked of the figures themselves."""

import numpy as np
from finished_runs import experiment, finished_run
from matplotlib.colors import same_color

from ddpg.comparison.comparison import Comparison
from ddpg.comparison.conclusions import effects
from ddpg.comparison.measures import LEARNING, RETURN
from ddpg.comparison.pictures import common, curves, forest, over
from ddpg.comparison.reading import Curve, read


def compared(folder, by=()):
    return Comparison(read([folder])[0], by, None, {"gradient_stop": "no_grad"})


def test_a_curve_is_over_the_steps_at_which_all_runs_have_a_point():
    runs = {
        name: Curve(np.array(steps), np.array(steps) * factor)
        for name, steps, factor in (("a", [1, 2, 3, 4], 1.0), ("b", [2, 4, 5], 10.0), ("c", [6], 1.0), ("none", [], 1))
    }
    steps, found = common(runs.get, ["a", "b"])
    assert steps.tolist() == [2, 4]
    assert found.value.tolist() == [11, 22]
    assert common(runs.get, ["a", "c"]) is None
    assert common(runs.get, ["a", "unrecorded"]) is None
    assert common(runs.get, []) is None


def test_each_line_is_drawn_once_with_all_its_names(tmp_path):
    comparison = compared(experiment(tmp_path))
    figure = curves(comparison, ())
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["none", "detach\n= no_grad"]
    assert len(figure.axes) == 4  # return, bias, gap and leak
    for line, offset in zip(figure.axes[0].lines, (-50, 0), strict=True):
        assert line.get_xdata().tolist() == [100, 200, 300]
        assert line.get_ydata().tolist() == [-398 + offset, -298 + offset, -198 + offset]
    assert all(len(ax.collections) == 2 for ax in figure.axes)  # the intervals


def test_a_curve_that_nobody_has_gets_no_axes(tmp_path):
    assert len(curves(compared(experiment(tmp_path, stops=("detach", "no_grad"))), ()).axes) == 3  # no leak


def test_each_difference_has_its_name_and_is_red_beyond_zero(tmp_path):
    experiment(tmp_path)
    for seed in range(5):
        finished_run(tmp_path / "manual" / str(seed), seed, stop="manual", leak=1e-9, offset=seed - 2.0)
    comparison = compared(tmp_path)
    found = effects(comparison)
    figure = forest(found, comparison)
    ax = figure.axes[list(found).index(RETURN)]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["gradient_stop=none", "gradient_stop=manual"]
    bars, dots = ax.lines[0:4:2], ax.lines[1:4:2]
    assert [dot.get_xdata().item() for dot in dots] == [-50, 0]
    assert all(same_color(line.get_color(), "tab:red") for line in (bars[0], dots[0]))
    assert all(same_color(line.get_color(), "tab:gray") for line in (bars[1], dots[1]))
    assert bars[1].get_xdata()[0] < 0 < bars[1].get_xdata()[1]


def test_differences_over_a_setting_lie_at_its_sizes(tmp_path):
    rates = (1e-3, 3e-3, 1e-2)
    for rate in rates:
        for seed in range(5):
            for stop, offset in (("none", -1e5 * rate), ("no_grad", 0.0)):
                folder = tmp_path / f"{stop}-{rate}" / str(seed)
                finished_run(folder, seed, stop=stop, critic_lr=rate, leak=-offset, offset=offset)
    comparison = compared(tmp_path, ["gradient_stop"])
    found = effects(comparison)
    figure = over("agent.critic_lr", found, comparison)
    for name in (RETURN, LEARNING):
        ax = figure.axes[list(found).index(name)]
        (points,) = ax.containers
        np.testing.assert_allclose(points.lines[0].get_xdata(), rates, rtol=0.05)
        np.testing.assert_allclose(points.lines[0].get_ydata(), [-100, -300, -1000])
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "symlog")
