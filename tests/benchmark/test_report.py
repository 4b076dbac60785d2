"""The table on the terminal, in Markdown and in JSON."""

import json

from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report, cores

REPORT = Report(
    "a title", ("", "us"), [("one", "1.0"), ("another", "1,000.0")], {"seconds": {"one": [1e-6]}}, ["a note"]
)


def test_the_columns_are_aligned():
    title, _, header, one, another, _, note, machine = REPORT.text().splitlines()
    assert (title, note) == ("a title", "a note")
    assert len(header) == len(one) == len(another)
    assert one.startswith("one ") and one.endswith(" 1.0")
    assert machine.startswith(f"{cores()} cores of ")


def test_what_is_kept(tmp_path):
    REPORT.save(Options("update", rounds=3, output=tmp_path), "python scripts/benchmark.py update")
    content = json.loads((tmp_path / "update.json").read_text())
    assert content["figures"] == REPORT.figures
    assert content["settings"]["rounds"] == 3
    assert {"cores", "torch", "processor"} <= content["machine"].keys()
    lines = (tmp_path / "update.md").read_text().splitlines()
    assert lines[0] == "`python scripts/benchmark.py update`"
    assert "| another | 1,000.0 |" in lines
