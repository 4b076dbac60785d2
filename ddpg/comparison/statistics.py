"""What a few seeds can say: interquartile means, differences and probabilities, each with its bootstrap interval.

After Agarwal et al., 2021, Deep reinforcement learning at the edge of the statistical precipice (arXiv:2108.13264).
Returns of different environments are never put together here, so each bootstrap has one stratum, whose seeds are drawn
with replacement.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import bootstrap, mannwhitneyu, trim_mean

RESAMPLES = 5000
FEWEST = 5
"""Seeds for a verdict: of differences that are none, intervals of five miss 0 in about one of ten, of three in four."""


class Estimate(NamedTuple):
    """A figure and its 95% interval, each a number or `(points,)`; without an interval NaN, as one seed has none."""

    value: Any
    low: Any
    high: Any
    seeds: int

    @property
    def beyond_zero(self) -> bool:
        """Whether the interval, of enough seeds to say so, is all on one side of 0."""
        return self.seeds >= FEWEST and bool(self.low > 0 or self.high < 0)


def interquartile_mean(samples: np.ndarray, axis: int = -1) -> Any:
    """Of the middle half of the samples along an axis."""
    return trim_mean(samples, 0.25, axis=axis)


def estimate(samples: Sequence[Any] | np.ndarray) -> Estimate:
    """The interquartile mean over seeds, of samples `(seeds,)` or `(seeds, points)`."""
    return _with_interval(interquartile_mean, np.asarray(samples, float))


def probability_of_improvement(samples: Sequence[float], others: Sequence[float]) -> Estimate:
    """That a sample exceeds one of the others, ties counting half (Mann and Whitney's U as a share)."""

    def statistic(one: np.ndarray, other: np.ndarray, axis: int = -1) -> Any:
        return mannwhitneyu(one, other, axis=axis, method="asymptotic").statistic / (len(samples) * len(others))

    return _with_interval(statistic, np.asarray(samples, float), np.asarray(others, float))


def _with_interval(statistic: Callable[..., Any], *samples: np.ndarray) -> Estimate:
    value = statistic(*samples, axis=0)
    if min(map(len, samples)) < 2:
        return Estimate(value, value * np.nan, value * np.nan, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a method that is not used
        found = bootstrap(
            samples,
            statistic,
            axis=0,
            n_resamples=RESAMPLES,
            method="percentile",
            vectorized=True,
            rng=np.random.default_rng(0),
        ).confidence_interval
    return Estimate(value, found.low, found.high, min(map(len, samples)))
