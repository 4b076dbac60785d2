"""Values, keys and estimates as a reader is to see them."""

import math
from collections.abc import Iterable

from ddpg.comparison.statistics import Estimate


def shown(value: str | bool | float | None) -> str:
    """A setting's value, as it is typed."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def named(key: str | None, value: str | bool | float | None) -> str:
    """A setting, as it is typed."""
    return f"{key}={shown(value)}"


def number(value: float) -> str:
    """Three figures, or one decimal if that is more, and a true minus sign."""
    if math.isnan(value):
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    return f"{value:,.{min(max(digits, int(1 <= abs(value) < 1000)), 6)}f}".replace("-", "−")


def interval(estimate: Estimate) -> str:
    """A figure with its interval, if it has one."""
    if math.isnan(estimate.low):
        return number(estimate.value)
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def listed(items: Iterable[str]) -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{item}`" for item in items]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
