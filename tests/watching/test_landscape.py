"""The picture shows Q(s, μ(s)) and μ(s) where its axes say that they are."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from ddpg import DDPG
from ddpg.watching.landscape import drawable, landscape

RANDOM = np.random.default_rng(0)
ANGLES = RANDOM.uniform(-np.pi, np.pi, 500)
ON_THE_CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES), RANDOM.uniform(-9, 9, 500)], axis=1)


def draw(space, observed, actions=1):
    low, high = np.full(actions, -1, np.float32), np.full(actions, 3, np.float32)
    agent = DDPG(space, Box(low, high), hidden_sizes=(8,), final_layer_bound=1.0)
    figure = landscape(agent, observed, observed[:5])
    figure.canvas.draw()
    panels = [ax for ax in figure.axes if ax.images]
    return agent, panels


def check(agent, panel, x, y, state):
    """The panels of values and of the first action show those of the state at (x, y)."""
    left, right, bottom, top = panel[0].images[0].get_extent()
    row, column = round((y - bottom) / (top - bottom) * 160), round((x - left) / (right - left) * 160)
    x, y = left + column / 160 * (right - left), bottom + row / 160 * (top - bottom)
    states = np.array([state(x, y)])
    actions = agent.policy(states)
    value = agent.critic(torch.tensor(states).float(), torch.tensor(actions)).item()
    shown = [each.images[0].get_array()[row, column] for each in panel]
    assert shown[0] == pytest.approx(value, abs=1e-5)
    assert shown[1] == pytest.approx(actions[0, 0], abs=1e-5)


def test_two_numbers_within_the_bounds_of_their_space():
    agent, panels = draw(
        Box(np.array([-1, -2], np.float32), np.array([1, 5], np.float32)), RANDOM.uniform(0, 1, (9, 2))
    )
    assert panels[0].images[0].get_extent() == [-1, 1, -2, 5]
    assert panels[1].images[0].get_clim() == (-1, 3)  # the colours' middle is that of the actions
    assert (panels[0].get_xlabel(), panels[0].get_ylabel()) == ("s[0]", "s[1]")
    check(agent, panels, 0.5, 4, lambda x, y: [x, y])


def test_two_numbers_and_an_angle_on_the_unit_circle():
    agent, panels = draw(Box(np.array([-1, -1, -8], np.float32), np.array([1, 1, 8], np.float32)), ON_THE_CIRCLE)
    assert panels[0].images[0].get_extent() == pytest.approx([-np.pi, np.pi, -8, 8])
    assert (panels[0].get_xlabel(), panels[0].get_ylabel()) == ("angle of (s[0], s[1])", "s[2]")
    check(agent, panels, 2, -3, lambda x, y: [np.cos(x), np.sin(x), y])


def test_three_numbers_without_bounds_end_at_the_observed_quantiles_and_the_third_is_its_median():
    observed = RANDOM.normal(0, 3, (2000, 3))
    for bound in (np.inf, 3e38):
        agent, panels = draw(Box(-bound, bound, (3,)), observed)
        ends = np.quantile(observed, (0.005, 0.995), axis=0).T[:2].ravel()
        assert panels[0].images[0].get_extent() == pytest.approx(ends)
        median = np.median(observed[:, 2])
        assert panels[0].get_xlabel() == f"s[0] (where s[2] = {median:.3g})"
        check(agent, panels, 2, -3, lambda x, y: [x, y, median])  # noqa: B023


def test_a_line_does_not_jump_from_one_side_to_the_other():
    angles = np.array([3.0, 3.1, -3.1, -3.0])
    turning = np.stack([np.cos(angles), np.sin(angles), np.ones(4)], axis=1)
    _, panels = draw(Box(-np.inf, np.inf, (3,)), turning)
    drawn = panels[0].lines[0].get_xdata()
    assert np.nanmax(abs(np.diff(drawn))) < 1


@pytest.mark.parametrize(("actions", "count"), [(1, 2), (2, 3), (3, 4), (5, 4)])
def test_a_panel_for_each_of_three_actions(actions, count):
    assert len(draw(Box(-1, 1, (2,)), RANDOM.uniform(0, 1, (9, 2)), actions)[1]) == count


def test_equal_values_and_an_axis_without_extent_are_drawn():
    draw(Box(-np.inf, np.inf, (2,)), np.zeros((5, 2)))


def test_what_is_drawable():
    assert [drawable(Box(-1, 1, shape)) for shape in ((1,), (2,), (3,), (3, 1), (4,))] == [
        False,
        True,
        True,
        True,
        False,
    ]
