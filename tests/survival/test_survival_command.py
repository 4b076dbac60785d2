import sys
from collections import Counter
from pathlib import Path

import pytest

from ddpg.survival import command, faults
from ddpg.survival.bad_environments import NanObservation, RaisesInStep


def survive(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["survive.py", *map(str, arguments)])
    command.main()


def test_what_came_of_it_is_shown_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "GALLERY", {RaisesInStep: (), NanObservation: ()})
    survive(monkeypatch, "environments", "--output", tmp_path / "docs")
    assert "ZeroDivisionError" in capsys.readouterr().out
    page = (tmp_path / "docs" / "environments.md").read_text()
    assert "| `RaisesInStep` | RaisesInStep-v0: ZeroDivisionError (division by zero) was raised, in step 15" in page
    assert "NanObservation-v0: observation[1]=nan" in page
    assert "python" in page
    assert str(Path.home()) not in page


def test_a_count_below_one_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        survive(monkeypatch, "kills", "--kills", 0)
    assert "--kills 0: must be 1 or more" in capsys.readouterr().err


def test_outcomes_are_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(
        faults, "failing_writes", lambda folder: Counter({"disk full: all is well": 1200, "killed: too": 34})
    )
    survive(monkeypatch, "writes", "--output", tmp_path)
    page = (tmp_path / "writes.md").read_text()
    assert "In all, 1,234 cases." in page
    assert "| disk full | all is well | 1200 |" in page
