"""The parts that are one process's work, on small networks: every contestant has its turns and its row."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ddpg.benchmark import audit, step, strategies, training, update
from ddpg.benchmark.options import Options
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.py"


def test_the_script_compares_in_turns_and_keeps_what_it_found(tmp_path):
    arguments = ["audit", "--rounds", "2", "--hidden", "8", "--batch", "4", "--output", "kept"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seconds = json.loads((tmp_path / "kept" / "audit.json").read_text())["figures"]["seconds"]
    assert all(len(times) == 2 for times in seconds.values())
    assert all(f"{name} " in done.stdout for name in seconds)
    kept = (tmp_path / "kept" / "audit.md").read_text()
    assert kept.startswith("`python scripts/benchmark.py audit --rounds 2 --hidden 8 --batch 4 --output kept`\n")


def test_a_mistake_ends_the_script_with_a_sentence_and_status_2(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, SCRIPT, "audit", "--output", tmp_path / "file"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"--output {tmp_path / 'file'}: cannot be made (File exists).\n"


@pytest.mark.usefixtures("interpreted")
def test_the_step_contains_its_environment(monkeypatch):
    monkeypatch.setattr(step, "PIECES", 100)
    monkeypatch.setattr(step, "STEPS", 5)
    seconds = step.measure(Options("step", rounds=2, hidden=8, batch=4)).figures["seconds"]
    assert {"whole step, eager", "whole step, compiled", "its update, eager", "its update, compiled"} <= seconds.keys()
    assert min(seconds["whole step without its update"]) > max(seconds["the bare environment's step"])
    assert min(seconds["whole step, eager"]) > min(seconds["its update, eager"])


@pytest.mark.usefixtures("interpreted")
def test_an_update_is_compared_with_the_products_of_as_many_threads(monkeypatch):
    monkeypatch.setattr(update, "cores", lambda: 2)
    seconds = {"eager": 4.0, "compiled": 2.0, "its matrix products": 1.0}

    def take_turns(contestants, rounds):
        for turn in contestants.values():
            turn()
        return {
            name: [seconds.get(name.split(",")[0], 1.0) / (2 if name.endswith("2 threads") else 1)] * rounds
            for name in contestants
        }

    monkeypatch.setattr(update, "take_turns", take_turns)
    rows = {row[0]: row[1:] for row in update.measure(Options("update", rounds=2, hidden=8, batch=4)).rows}
    assert rows["eager, 1 thread"][1:3] == ("1.00 (1.00 to 1.00)", "0.25 (0.25 to 0.25)")
    assert rows["compiled, 2 threads"][1:3] == ("4.00 (4.00 to 4.00)", "0.50 (0.50 to 0.50)")
    assert rows["act, 8 rows"][1:] == ("", "", "")


def test_every_stop_and_freeze_has_its_row(monkeypatch):
    monkeypatch.setattr(strategies, "UPDATES", 1)
    rows = strategies.measure(Options("strategies", rounds=1, hidden=8, batch=4)).rows
    stops = {f"gradient_stop={name}" for name in GradientStop.options}
    freezes = {f"critic_freeze={name}" for name in CriticFreeze.options}
    default = {"gradient_stop=no_grad", "critic_freeze=requires_grad"}
    assert {row[0] for row in rows} == {strategies.BASE} | (stops | freezes) - default


def test_training_has_each_contestant_in_a_process_and_names_the_missing(monkeypatch):
    monkeypatch.setattr(training, "installed", lambda module: False)
    monkeypatch.setattr(training, "STEPS", 5)
    eager = training._contestants(Options("training", hidden=8, batch=4))[0]["ddpg, eager"]
    monkeypatch.setattr(training, "_contestants", lambda options: ({"ddpg, eager": eager}, ["sbx"]))
    report = training.measure(Options("training", rounds=2, hidden=8, batch=4))
    ((name, *_, memory),) = report.rows
    assert name == "ddpg, eager" and float(memory) > 50
    assert "Left out, as not installed: sbx." in report.notes


def test_audits_are_beside_plain_updates():
    report = audit.measure(Options("audit", rounds=1, hidden=8, batch=4))
    assert [row[0] for row in report.rows] == ["outside", "outside again", "inside", "inside, with tracing"]
