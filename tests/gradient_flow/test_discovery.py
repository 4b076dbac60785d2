"""Modules that nobody names are found, at the level at which they play a part, and go by the code's names."""

from functools import partial

import pytest
from gallery import CASES
from sound import SOUND

from ddpg.gradient_flow import GradientFlow

PROGRAMS = {f"{case.name}-{twin}": getattr(case, twin) for case in CASES for twin in ("faulty", "mended")}
PROGRAMS |= {each.name: each.loop for each in SOUND}
BY_PART = {  # findings on a part are at the call of the part
    "third_part_forgotten-faulty",
    "head_replaced_after_the_optimizer-faulty",
    "head_alone_is_tuned",
    "adapters_alone_are_tuned",
}


def unnamed(trace, *modules, **options):
    return GradientFlow(
        trace=trace, **{key: value for key, value in options.items() if key in ("shared", "frozen", "least_cost")}
    )


def faults(flow, lines):
    return {(each.kind, each.severity, each.line if lines else 0) for each in flow.findings()}


@pytest.mark.parametrize("trace", [True, False], ids=["traced", "untraced"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_is_found_without_names(name, trace):
    program = PROGRAMS[name]
    named = faults(program(partial(GradientFlow, trace=trace)), name not in BY_PART)
    assert faults(program(partial(unnamed, trace)), name not in BY_PART) == named
