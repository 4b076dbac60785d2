import math

import pytest

from ddpg.comparison.statistics import Estimate
from ddpg.comparison.words import interval, listed, named, number, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-134.44, "−134.4"),
        (0.01234, "0.0123"),
        (12345.6, "12,346"),
        (1.5, "1.50"),
        (math.nan, "–"),
        (1e-9, "0.000000"),
    ],
)
def test_numbers_have_three_figures_or_one_decimal(value, text):
    assert number(value) == text


def test_values_are_shown_as_they_are_typed():
    assert [shown(value) for value in (None, True, 0.001, 3, "detach")] == ["null", "true", "0.001", "3", "detach"]
    assert named("agent.critic_lr", 1e-3) == "agent.critic_lr=0.001"


def test_an_estimate_without_interval_is_its_number():
    assert interval(Estimate(1.0, math.nan, math.nan, 1)) == "1.00"
    assert interval(Estimate(1.0, 0.5, 2.0, 5)) == "1.00 [0.500, 2.00]"


def test_lists_read_as_prose():
    assert listed(["a"]) == "`a`"
    assert listed(["a", "b", "c"]) == "`a`, `b` and `c`"
