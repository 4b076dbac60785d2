"""Curves: ratios to their first point, and a picture of them."""

import pytest

from ddpg.benchmark import scaling
from ddpg.benchmark.options import Options
from ddpg.benchmark.turns import Spread

SECONDS = {("eager", 32): [2.0, 4.0], ("compiled", 32): [1.0, 1.0], ("eager", 64): [4.0, 16.0]}


def test_times_grow_and_rates_fall():
    assert scaling.Curve("width", "time", False, SECONDS).relative(("eager", 64)) == Spread(3.0, 2.0, 4.0)
    assert scaling.Curve("width", "steps/s", True, SECONDS).relative(("eager", 64)) == Spread(0.375, 0.25, 0.5)
    assert scaling.Curve("width", "time", False, SECONDS).lines() == {"eager": [32, 64], "compiled": [32]}


@pytest.mark.long
@pytest.mark.usefixtures("interpreted")
def test_the_part_draws_what_it_measured(tmp_path, monkeypatch):
    for name, points in (("WIDTHS", (4, 8)), ("BATCHES", (2,)), ("ENVIRONMENTS", (2,)), ("BUFFER_SIZES", (10, 20))):
        monkeypatch.setattr(scaling, name, points)
    monkeypatch.setattr(scaling, "SEEDS", (1, 2))
    report = scaling.measure(Options("scaling", rounds=1, hidden=4, batch=4, output=tmp_path))
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert list(report.figures) == ["network width", "batch", "environments", "seeds", "buffer size"]
    assert list(report.figures["batch"]) == ["eager, 2", "compiled, 2"]
    assert list(report.figures["seeds"]) == ["eager, 1", "compiled, 1", "eager, 2", "compiled, 2"]
