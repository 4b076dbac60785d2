"""One run of a sweep in a process of its own."""

import math
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from small_runs import small

from ddpg.command_line import job
from ddpg.saving import checkpoint
from ddpg.training.settings import Settings


def train_apart(folder, settings) -> float:
    return job.train_apart(folder, settings, job._PLAIN, os.getcwd())


def test_a_run_is_trained_once_and_its_log_says_where(tmp_path):
    mean = train_apart(tmp_path / "run", small())
    assert math.isfinite(mean)
    log = (tmp_path / "run" / "train.log").read_text()
    assert f"process {os.getpid()} starts the run" in log
    assert "mean return" in log
    assert "█" not in log  # no bar in a file
    written = (tmp_path / "run" / "result.json").stat().st_mtime_ns
    assert train_apart(tmp_path / "run", small()) == mean
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == written


@pytest.mark.long
def test_a_run_that_fails_says_why_and_returns_no_number(tmp_path):
    diverging = small(agent__critic_lr=1e30)
    assert math.isnan(train_apart(tmp_path, diverging))
    assert "diverged" in (tmp_path / "failure.txt").read_text()
    assert not (tmp_path / "result.json").exists()


def long_run() -> Settings:
    return small(total_steps=1_000_000)


def processes_of(folder) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/fd/1") == str(folder / "train.log"):
                found.append(int(name))
        except OSError:
            pass
    return found


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_run_whose_process_is_killed_says_so(tmp_path):
    killer = threading.Thread(target=lambda: os.kill(until(lambda: processes_of(tmp_path))[0], signal.SIGKILL))
    killer.start()
    assert math.isnan(train_apart(tmp_path, long_run()))
    killer.join()
    assert "killed by signal 9" in (tmp_path / "failure.txt").read_text()


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("killed", ["launcher", "sweep"])
def test_a_run_ends_with_its_launcher_and_with_its_sweep(tmp_path, killed):
    sweep = subprocess.Popen(["sleep", "600"])
    program = (
        "import json, multiprocessing, sys, pathlib, types; from ddpg.command_line import job;"
        "from ddpg.training.settings import Settings;"
        "multiprocessing.parent_process = lambda: types.SimpleNamespace(pid=int(sys.argv[3]));"
        "job.train_apart(pathlib.Path(sys.argv[1]), Settings.check(json.loads(sys.argv[2])), job._PLAIN, '.')"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), long_run().model_dump_json(), str(sweep.pid)]
    )
    try:
        until(lambda: list(tmp_path.glob("events.*")))
        for process in [sweep] if killed == "sweep" else [launcher]:
            process.kill()
            process.wait()
        until(lambda: not processes_of(tmp_path), seconds=20)
        launcher.wait(timeout=20)
        assert checkpoint.steps(tmp_path)
        assert "Stopped at step" in (tmp_path / "train.log").read_text()
    finally:
        sweep.kill()
        launcher.kill()
        sweep.wait()
        launcher.wait()


def test_a_program_is_started_again_only_if_its_arguments_are_those_it_was_started_with(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "my_train.py", "-m", "seed=0,1"])
    monkeypatch.setattr(sys, "argv", ["my_train.py", "-m", "seed=0,1"])
    assert job.program() == ["-X", "dev", "my_train.py", "-m", "seed=0,1"]
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "seed=0,1,2"])
    assert job.program() == ["-P", "-m", "ddpg.command_line"]


@pytest.mark.long
@pytest.mark.parametrize("way", ["PYTHONPATH", "directory"])
def test_a_job_finds_the_module_where_its_sweep_does(own_module, tmp_path, monkeypatch, way):
    name, env_id = own_module("beside")
    del sys.modules[name]
    settings = small(env__id=f"{name}:{env_id}", env__kwargs={}, total_steps=60)
    if way == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "beside"), prepend=os.pathsep)
    directory = {"PYTHONPATH": "/", "directory": str(tmp_path / "beside")}[way]
    mean = job.train_apart(tmp_path / "run", settings, job._PLAIN, directory)
    assert math.isfinite(mean), (tmp_path / "run" / "failure.txt").read_text()
