"""What the pictures show, asked of the figures themselves."""

from types import SimpleNamespace

import numpy as np
from finished_runs import experiment, finished_run
from matplotlib.colors import same_color

from ddpg.comparison.comparison import Comparison
from ddpg.comparison.measures import LEARNING
from ddpg.comparison.pictures import WIDTH, common, curves, differences
from ddpg.comparison.reading import Curve, read


def compared(folder, by=()):
    return Comparison(read([folder])[0], by, None, {"gradient_stop": "no_grad"})


def test_a_curve_is_over_the_steps_at_which_all_runs_have_a_point():
    runs = {
        name: SimpleNamespace(curves={"eval/mean_return": Curve(np.array(steps), np.array(steps) * factor)})
        for name, steps, factor in (("a", [1, 2, 3, 4], 1.0), ("b", [2, 4, 5], 10.0), ("c", [6], 1.0))
    }
    runs["unrecorded"] = SimpleNamespace(curves={})
    steps, values = common({name: runs[name] for name in ("a", "b")}, LEARNING)
    assert steps.tolist() == [2, 4]
    assert values.tolist() == [[2, 4], [20, 40]]
    for other in ("c", "unrecorded"):
        assert not len(common({name: runs[name] for name in ("a", other)}, LEARNING)[0])


def test_each_line_is_drawn_once_with_all_its_names(tmp_path):
    comparison = compared(experiment(tmp_path))
    figure = curves(comparison, ())
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["none", "detach = no_grad"]
    assert len(figure.axes) == 4  # return, bias, gap and leak
    for line, offset in zip(figure.axes[0].lines, (-50, 0), strict=True):
        assert line.get_xdata().tolist() == [100, 200, 300]
        assert line.get_ydata().tolist() == [-398 + offset, -298 + offset, -198 + offset]
    assert all(len(ax.collections) == 2 for ax in figure.axes)  # the intervals


def test_a_curve_that_nobody_has_gets_no_axes(tmp_path):
    assert len(curves(compared(experiment(tmp_path, stops=("detach", "no_grad"))), ()).axes) == 3  # no leak


def test_a_legend_names_no_run_that_its_section_lacks(tmp_path):
    experiment(tmp_path, stops=("none", "detach", "no_grad"))
    experiment(tmp_path, stops=("none", "no_grad"), critic_lr=1e-2)
    comparison = compared(tmp_path, ["gradient_stop"])
    legends = [curves(comparison, section).legends[0] for section in comparison.sections]
    names = [[text.get_text() for text in legend.texts] for legend in legends]
    assert names == [["none", "detach = no_grad"], ["none", "no_grad"]]


def test_each_difference_has_its_name_and_is_red_beyond_zero(tmp_path):
    experiment(tmp_path)
    for seed in range(5):
        finished_run(tmp_path / "manual" / str(seed), seed, stop="manual", leak=1e-9, offset=seed - 2.0)
    figure = differences(compared(tmp_path), ())
    assert "difference from no_grad, paired by seed" in figure.get_suptitle()
    assert figure.get_figwidth() == WIDTH
    assert [ax.get_title() for ax in figure.axes] == ["mean return", "return over the run", "Q bias", "actor gap"]
    assert len({ax.get_position().x0 for ax in figure.axes}) == 1  # one below the other
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["none", "manual"]
    bars, dots = ax.lines[0:4:2], ax.lines[1:4:2]
    assert [dot.get_xdata().item() for dot in dots] == [-50, 0]
    assert all(same_color(line.get_color(), "tab:red") for line in (bars[0], dots[0]))
    assert all(same_color(line.get_color(), "tab:gray") for line in (bars[1], dots[1]))
    assert bars[1].get_xdata()[0] < 0 < bars[1].get_xdata()[1]
