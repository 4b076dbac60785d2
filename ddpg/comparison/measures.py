"""What runs are compared by: the final return, and four curves averaged over the run."""

import numpy as np

from ddpg.comparison.comparison import Runs
from ddpg.comparison.reading import Curve, Run
from ddpg.comparison.statistics import Estimate, estimate

RETURN, BEST, LEARNING = "mean return", "best return", "return over the run"
BIAS, GAP, LEAK = "Q bias", "actor gap", "leak"
MEASURES = {
    RETURN: "of the final evaluation's 100 episodes",
    BEST: "greatest mean return of an evaluation within the run; it flatters, since chance has picked it",
    LEARNING: "mean return of an evaluation, averaged over all of them, which rewards learning early",
    BIAS: "Q at an episode's start minus the discounted return that follows, averaged over all evaluations",
    GAP: "mean |μ'(s) − μ(s)| between target actor and actor, averaged over the run",
    LEAK: "norm of the gradient that a loss applies to a network that it is not to train, averaged over the run",
}
DIFFERENCES = (RETURN, LEARNING, BIAS, GAP)
_FLOW = "gradient_flow/{}".format
CURVES = {
    LEARNING: ["eval/mean_return"],
    BIAS: ["eval/q_bias"],
    GAP: ["values/target_actor_gap"],
    LEAK: [_FLOW("critic_loss_to_actor"), _FLOW("critic_loss_to_target_actor"), _FLOW("actor_loss_to_critic")],
}
"""TensorBoard tags by measure; curves of several tags are added up."""


def curve(run: Run, measure: str) -> Curve:
    """Return a run's curve of a measure; it has no points if the run recorded none."""
    curves = [run.curves[tag] for tag in CURVES[measure] if tag in run.curves]
    points = min((len(each.steps) for each in curves), default=0)  # a killed process may not have written the last
    if not points:
        return Curve(np.array([]), np.array([]))
    return Curve(curves[0].steps[:points], np.sum([each.values[:points] for each in curves], axis=0))


def figure(run: Run, measure: str) -> float:
    """Return a run's figure of a measure; NaN if the run recorded none."""
    if measure == RETURN:
        return float(run.result["mean_return"])
    values = curve(run, LEARNING if measure == BEST else measure).values
    if not len(values):
        return float("nan")
    return float(values.max() if measure == BEST else values.mean())


def average(runs: Runs, measure: str) -> Estimate:
    """Return the estimate of a measure over seeds."""
    return estimate([figure(run, measure) for run in runs.values()])


def difference(runs: Runs, baseline: Runs, measure: str) -> Estimate:
    """Return the estimate of the difference from the baseline, paired by seed.

    Runs of one seed begin with the same weights, starts and noise. At least one seed must be common to both.
    """
    seeds = sorted(runs.keys() & baseline.keys())
    return estimate([figure(runs[seed], measure) - figure(baseline[seed], measure) for seed in seeds])
