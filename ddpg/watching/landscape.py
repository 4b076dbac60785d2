"""A picture of a policy over a state space of two or three dimensions: values V(s) = Q(s, μ(s)) and actions μ(s)."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.spaces import Box

from ddpg.agent import DDPG
from ddpg.base.spaces import size

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawable(space: Box) -> bool:
    """Return whether observations have two or three dimensions."""
    return size(space) in (2, 3)


def landscape(agent: DDPG, observed: np.ndarray, trajectory: np.ndarray) -> "Figure":
    """Draw a panel of values, and one of each of the action's first three dimensions.

    The axes are the observation's first two numbers, with a third at its median; or, if those two lie on the unit
    circle, their angle and the third. They end at the space's bounds, or the observed quantiles where it has none.

    Args:
        agent: whose observations have two or three dimensions.
        observed: observations `(n, obs)`, of as many of the states as possible.
        trajectory: the observations `(steps, obs)` of an episode, drawn as a line.
    """
    from matplotlib.figure import Figure  # which takes as long as the rest of the training's start
    from matplotlib.patheffects import withStroke

    space, line, median = agent.observation_space, trajectory.T[:2].copy(), np.median(observed, axis=0)
    low, high = (
        np.where(abs(bound.ravel()) < 1e6, bound.ravel(), np.quantile(observed, level, axis=0))  # 1e38 is no bound
        for bound, level in ((space.low, 0.005), (space.high, 0.995))
    )
    high = np.maximum(high, low + 1e-3)
    labels = ["s[0]" + "".join(f" (where s[2] = {each:.3g})" for each in median[2:]), "s[1]"]
    circular = size(space) == 3 and np.allclose(np.hypot(*observed.T[:2]), 1, atol=1e-3)
    if circular:
        low, high, labels = np.array([-np.pi, low[2]]), np.array([np.pi, high[2]]), ["angle of (s[0], s[1])", "s[2]"]
        line = np.stack([np.arctan2(trajectory[:, 1], trajectory[:, 0]), trajectory[:, 2]])
        line[0, 1:][abs(np.diff(line[0])) > np.pi] = np.nan  # no line across the panel
    x, y = np.meshgrid(*np.linspace(low[:2], high[:2], 161).T)
    others = [np.full_like(x, each) for each in median[2:]]
    states = np.stack([np.cos(x), np.sin(x), y] if circular else [x, y, *others], axis=-1).reshape(x.size, -1)
    actions = agent.policy(states)
    panels: list[tuple[str, np.ndarray, dict[str, Any]]]
    panels = [("value V(s) = Q(s, μ(s))", agent.values(states, actions), {"cmap": "viridis"})]
    for index, bounds in enumerate(zip(agent.action_space.low.flat, agent.action_space.high.flat, strict=True)):
        name = "action μ(s)" if actions.shape[1] == 1 else f"action μ(s)[{index}]"
        panels.append((name, actions[:, index], {"cmap": "coolwarm", "vmin": bounds[0], "vmax": bounds[1]}))
    rows = len(panels[:4]) // 2
    figure = Figure((8.5, 3.6 * rows + 0.7), layout="constrained")  # inches; 850 pixels wide
    axes = figure.subplots(rows, -(-len(panels[:4]) // rows), squeeze=False, sharex=True, sharey=True)
    shape: dict[str, Any] = {"extent": (low[0], high[0], low[1], high[1]), "origin": "lower"}
    for ax, (title, shown, colours) in zip(axes.flat, panels[:4], strict=True):
        image = ax.imshow(shown.reshape(x.shape), aspect="auto", interpolation="bilinear", **shape, **colours)
        figure.colorbar(image, ax=ax, location="bottom", aspect=30)
        halo = [withStroke(linewidth=3, foreground="white")]
        ax.plot(*line, color="black", linewidth=1.2, path_effects=halo, label="an episode")
        for marker, place, name in (("o", 0, "its start"), ("X", -1, "its end")):
            ax.plot(*line[:, place], marker, color="black", markersize=8, mec="white", clip_on=False, label=name)
        ax.set_title(title, fontsize="medium")
        ax.set(xlabel=labels[0], xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        if circular:
            ax.set_xticks(np.pi * np.array([-1, -0.5, 0, 0.5, 1]), ["−π", "−π/2", "0", "π/2", "π"])
    for ax in axes[:, 0]:
        ax.set_ylabel(labels[1])
    with warnings.catch_warnings(action="ignore"):  # that there are no contours, where all values are equal
        axes[0, 0].contour(
            panels[0][1].reshape(x.shape), 8, colors="white", linestyles="solid", linewidths=0.6, **shape
        )
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure
