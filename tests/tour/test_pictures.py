import numpy as np

from ddpg.tour.pictures import curves, heat_maps, side_by_side
from ddpg.tour.sections import _trials
from ddpg.tour.turns import Spread


def test_graphs_stand_side_by_side_under_their_names():
    trials = _trials("chain", ("none", "detach", "no_grad"))
    figure = side_by_side({way: each.flow.backwards[0] for way, each in trials.items()}, columns=2)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"none", "detach", "no_grad"} <= {*texts, *(axes.get_title(loc="left") for axes in figure.axes)}
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops[0] == tops[1] > tops[2]


def test_a_curve_has_a_point_for_each_size():
    points = {32: Spread(1.0, 0.9, 1.1), 64: Spread(2.0, 1.9, 2.1)}
    figure = curves({"over width": {"a": points, "b": points}, "over depth": {"a": points}}, "time")
    assert [axes.get_title() for axes in figure.axes] == ["over width", "over depth"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["a", "b"]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xydata(), [[32, 1], [64, 2]])


def test_a_heat_map_leaves_zeros_white_and_writes_every_norm():
    figure = heat_maps({"title": (["one loss", "other loss"], ["actor", "critic"], [[0.0, 0.5], [2.0, 0.0]])})
    (axes,) = figure.axes
    assert axes.images[0].get_array().mask.tolist() == [[True, False], [False, True]]
    assert [text.get_text() for text in axes.texts] == ["0", "0.5", "2", "0"]
