"""What is compared: a figure for each run, from its final evaluation or from the whole of a curve."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ddpg.comparison.reading import Curve, Run

RETURN, LEARNING, BIAS, BIAS_OVER_RUN, GAP, LEAK = (
    "mean return",
    "return over the run",
    "Q bias",
    "Q bias over the run",
    "actor gap",
    "leak",
)


class Measure(NamedTuple):
    """A figure of a run.

    Attributes:
        says: what it is.
        figure: of a whole run, NaN if the run has none.
    """

    says: str
    figure: Callable[[Run], float]


def return_curve(run: Run) -> Curve | None:
    """Mean return of an evaluation."""
    return run.curves.get("eval/mean_return")


def bias_curve(run: Run) -> Curve | None:
    """Q at an episode's start above what then follows, discounted, in evaluations."""
    return run.curves.get("eval/q_bias")


def gap_curve(run: Run) -> Curve | None:
    """Mean |μ'(s) − μ(s)| between target actor and actor."""
    return run.curves.get("values/target_actor_gap")


def leak_curve(run: Run) -> Curve | None:
    """Norm of the gradient that a loss applies to a network it is not to train."""
    tags = ("critic_loss_to_actor", "critic_loss_to_target_actor", "actor_loss_to_critic")
    curves = [run.curves[f"gradient_flow/{tag}"] for tag in tags if f"gradient_flow/{tag}" in run.curves]
    points = min((len(curve.steps) for curve in curves), default=0)  # a killed process may not have written the last
    if not points:
        return None
    return Curve(curves[0].steps[:points], np.sum([curve.values[:points] for curve in curves], axis=0))


CURVES = (return_curve, bias_curve, gap_curve, leak_curve)


def _mean(curve: Callable[[Run], Curve | None]) -> Callable[[Run], float]:
    def mean(run: Run) -> float:
        found = curve(run)
        return float("nan") if found is None else float(found.values.mean())

    return mean


MEASURES: Mapping[str, Measure] = {
    RETURN: Measure("of the final evaluation, 100 episodes", lambda run: float(run.result["mean_return"])),
    LEARNING: Measure("mean over all evaluations, which rewards learning early", _mean(return_curve)),
    BIAS: Measure(
        "how much more the critic promises at the start of an episode of the final evaluation than follows, discounted",
        lambda run: float(run.result["q_bias"]),
    ),
    BIAS_OVER_RUN: Measure("mean over all evaluations", _mean(bias_curve)),
    GAP: Measure("mean |μ'(s) − μ(s)| between target actor and actor, over the run", _mean(gap_curve)),
    LEAK: Measure(
        "norm of the gradient that a loss applied to a network that it is not to train, mean over the run",
        _mean(leak_curve),
    ),
}
