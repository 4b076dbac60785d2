import numpy as np
from finished_runs import finished_run

from ddpg.comparison.measures import BIAS, BIAS_OVER_RUN, GAP, LEAK, LEARNING, MEASURES, RETURN, leak_curve
from ddpg.comparison.reading import read_run


def test_each_figure_comes_from_its_place(tmp_path):
    run = read_run(finished_run(tmp_path, 1, leak=2.0))
    found = {name: measure.figure(run) for name, measure in MEASURES.items()}
    expected = {RETURN: -199, LEARNING: -299, BIAS: 6, BIAS_OVER_RUN: 6, GAP: 2.1, LEAK: 2}
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-6)


def test_a_run_that_never_learned_has_no_leak_curve(tmp_path):
    run = read_run(finished_run(tmp_path, 1))
    for tag in [tag for tag in run.curves if not tag.startswith("eval/")]:
        del run.curves[tag]
    assert leak_curve(run) is None
    assert np.isnan(MEASURES[LEAK].figure(run))
