"""Unmodified scripts under the command: they print, end and compute as without it, and what is wrong is found."""

import pytest
from check_scripts import AWKWARD, FAULTY, check

EVERY = [*AWKWARD, *FAULTY[:4]]  # check_scripts.py has them all


@pytest.mark.long
@pytest.mark.parametrize("expected", EVERY, ids=[f"{each.name}-{number}" for number, each in enumerate(EVERY)])
def test_a_script_is_left_as_it_is_and_its_faults_are_found(expected, tmp_path):
    line = check(expected, "go-on", tmp_path / "run", limit=120)
    if line.skipped:
        pytest.skip(line.skipped)
    assert not line.deviations
