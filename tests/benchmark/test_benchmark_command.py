"""The command: each part with tiny sizes, as a person types it; and the sentence for each mistake."""

import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import buffer
import strategies
import training
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark"
PARTS = ["training", "update", "strategies", "audit", "buffer"]
TINY = ["--rounds", "2", "--batch", "4"]


@pytest.fixture
def benchmark(monkeypatch, capsys):
    """Runs the command; gives status, rows of the table by contestant, output and complaints."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        status = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as ended:
            status = ended.code
        out, err = capsys.readouterr()
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line[:1] == "|"]
        return status, {name: cells for name, *cells in lines[2:]}, out, err

    return call


@pytest.mark.usefixtures("interpreted")
def test_update(benchmark):
    status, rows, out, _ = benchmark("update", "--hidden", "8", *TINY)
    assert status == 0 and out.startswith("`python scripts/benchmark update --hidden 8 --rounds 2 --batch 4`\n")
    assert list(rows) == [f"{name}, threads=1" for name in ("eager", "compiled", "matrix products")]
    assert rows["eager, threads=1"][1] == "1.00 (1.00 to 1.00)"
    assert rows["matrix products, threads=1"][2] == ""


def test_strategies_has_a_row_for_every_stop_and_freeze(benchmark, monkeypatch):
    monkeypatch.setattr(strategies, "UPDATES", 1)
    status, rows, _, _ = benchmark("strategies", "--hidden", "8", *TINY)
    stops = {f"gradient_stop={name}" for name in GradientStop.options}
    freezes = {f"critic_freeze={name}" for name in CriticFreeze.options}
    assert status == 0
    assert rows.keys() == {strategies.BASE} | (stops | freezes) - {
        "gradient_stop=no_grad",
        "critic_freeze=requires_grad",
    }


@pytest.mark.long
def test_audit_compares_with_plain_updates(benchmark, monkeypatch):
    monkeypatch.setattr("audit.REMEMBERED", (1, 2))
    status, rows, _, _ = benchmark("audit", "--hidden", "8", *TINY)
    assert status == 0
    assert list(rows) == ["outside", "outside, measured again", "inside", "inside, with tracing"]
    assert rows["outside"][2:] == ["", ""] and all(rows["inside"])


@pytest.mark.long
def test_training_has_each_contestant_in_a_process_and_names_the_missing(benchmark, monkeypatch):
    monkeypatch.setattr(training, "STEPS", 5)
    monkeypatch.setattr(training, "available", lambda peers: ({}, [f"Left out: {', '.join(peers)}."]))
    overrides = training.overrides
    monkeypatch.setattr(
        training, "overrides", lambda env, hidden, batch, compiled: overrides(env, hidden, batch, False)
    )
    status, rows, out, _ = benchmark("training", "--hidden", "8", *TINY)
    assert status == 0 and "Left out: stable_baselines3, sbx, tianshou." in out
    assert list(rows) == ["ddpg, eager", "ddpg, compiled", "ddpg, compiled, no curves"]
    assert all(float(memory) > 50 for *_, memory in rows.values())


@pytest.mark.long
def test_buffer(benchmark, monkeypatch):
    monkeypatch.setattr(buffer, "CAPACITY", 100)
    monkeypatch.setattr(buffer, "SAMPLES", 2)
    monkeypatch.setattr(buffer, "available", lambda peers: ({}, []))
    status, rows, _, _ = benchmark("buffer", *TINY)
    assert status == 0 and list(rows) == ["ddpg", "rows of one array"]
    assert float(rows["ddpg"][5]) >= 1 and rows["rows of one array"][1] == "1.00 (1.00 to 1.00)"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("trainin", "invalid choice: 'trainin' (choose from 'training', 'update'"),
        ("update --rounds 0", "argument --rounds: 0: must be a whole number, 1 or more"),
        ("update --hidden x", "argument --hidden: x: must be a whole number, 1 or more"),
        ("update --seed 3", "unrecognized arguments: --seed 3"),
        (
            "training --env Pendulom-v1",
            "--env Pendulom-v1: no such environment is registered; did you mean Pendulum-v1?",
        ),
        ("training --env CartPole-v1", "--env CartPole-v1: action space Discrete(2)"),
        ("update --device cudda", "--device cudda: not usable"),
        ("", "the following arguments are required: PART"),
    ],
)
def test_a_mistake_is_a_sentence(benchmark, arguments, sentence):
    status, _, out, err = benchmark(*arguments.split())
    assert (status, out) == (2, "")
    assert sentence in err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], *([part] for part in PARTS)])
def test_help_fits_80_columns(benchmark, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    status, _, out, _ = benchmark(*arguments, "--help")
    assert status == 0 and all(len(line) <= 80 for line in out.splitlines())
    assert arguments or all(f"    {part}" in out for part in PARTS)


def test_an_interrupt_ends_it_without_a_traceback():
    command = [sys.executable, SCRIPT, "buffer", "--batch", "4"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None and not children.read_text():
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the contestants' processes, too
        _, said = process.communicate()
    assert (process.returncode, said) == (130, "Interrupted.\n")


def test_without_the_extra_it_ends_with_a_sentence():
    absent = "import sys, runpy; sys.modules.update(dict.fromkeys(['pydantic', 'hydra', 'psutil'])); "
    run = f"{absent}sys.argv[1:] = ['update']; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("This needs ") and len(done.stderr.splitlines()) == 1
