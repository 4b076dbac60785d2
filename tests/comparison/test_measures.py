import numpy as np
from finished_runs import experiment, finished_run

from ddpg.comparison.measures import (
    BEST,
    BIAS,
    GAP,
    LEAK,
    LEARNING,
    MEASURES,
    RETURN,
    average,
    curve,
    difference,
    figure,
)
from ddpg.comparison.reading import read, read_run


def test_each_figure_comes_from_its_place(tmp_path):
    run = read_run(finished_run(tmp_path, 1, leak=2.0))
    found = {name: figure(run, name) for name in MEASURES}
    expected = {RETURN: -199, BEST: -199, LEARNING: -299, BIAS: 6, GAP: 2.1, LEAK: 2}
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-6)


def test_a_run_that_never_learned_has_no_leak_curve(tmp_path):
    run = read_run(finished_run(tmp_path, 1))
    for tag in [tag for tag in run.curves if not tag.startswith("eval/")]:
        del run.curves[tag]
    assert not len(curve(run, LEAK).steps)
    assert np.isnan(figure(run, LEAK))


def test_a_difference_is_of_runs_with_the_same_seed(tmp_path):
    by_stop = {stop: {} for stop in ("none", "no_grad")}
    for run in read([experiment(tmp_path, stops=[*by_stop])])[0]:
        by_stop[run.settings["gradient_stop"]][run.seed] = run
    assert average(by_stop["no_grad"], RETURN).value == -198
    del by_stop["no_grad"][4]  # without it the averages are further apart than any two runs of a seed
    assert average(by_stop["no_grad"], RETURN).value == -198.5
    assert difference(by_stop["none"], by_stop["no_grad"], RETURN) == (-50, -50, -50, 4)
