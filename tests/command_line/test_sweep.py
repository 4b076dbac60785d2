"""Sweeps as a person types them."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import SCRIPTS, SMALL, runs
from conftest import ENVIRONMENT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddpg.command_line import job

BASIC = "hydra/launcher=basic"  # where many cores are beside the point


def train(*arguments):
    return [sys.executable, str(SCRIPTS / "train.py"), "-m", *SMALL, *arguments]


def test_every_job_is_checked_before_the_first_starts(command, tmp_path):
    status, _, err = command("train.py", "-m", *SMALL, "agent.critic_lr=1e-3,-1", "seed=0,1")
    assert status == 2
    assert "agent.critic_lr=-1 seed=0: agent.critic_lr=-1" in err
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hydra.sweep.subdir=one", "seed=0,1"], "would share the folder"),
        (["device=cuda:77", "seed=0,1"], "not usable on this machine"),
        (["env.id=Nothing-v0", "seed=0,1"], "Nothing-v0"),
        (["gradient_stop=none,detatch"], "gradient_stop=detatch"),
        (["resume=null", "experiment=gradient_stop"], "did you mean gradient_stops?"),
    ],
)
def test_a_mistake_in_a_sweep_is_a_sentence_and_nothing_is_made(command, tmp_path, arguments, sentence):
    status, _, err = command("train.py", "-m", *SMALL, *arguments)
    assert status == 2
    assert sentence in err
    assert "Traceback" not in err
    assert not runs(tmp_path)


@pytest.mark.long
def test_what_they_show_is_a_command_that_there_is(command, tmp_path, monkeypatch):
    folder = tmp_path / "my runs"
    status, out, _ = command("train.py", "-m", *SMALL, BASIC, f"hydra.sweep.dir='{folder}'")
    assert status == 0
    assert re.search(r"What they show: (\S*/)?ddpg-compare 'my runs'$", out.strip())


@pytest.mark.long
def test_a_failed_job_is_named_with_its_folder_and_the_others_are_done(command, tmp_path):
    status, _, err = command("train.py", "-m", *SMALL, BASIC, "agent.critic_lr=1e30,1e-3")
    assert status == 1
    assert "1 of 2 runs are done." in err
    assert len(runs(tmp_path)) == 1
    (failed,) = (line for line in err.splitlines() if "diverged" in line and line.startswith("runs/"))
    assert (tmp_path / failed.partition(": ")[0] / "train.log").exists()


@pytest.mark.long
def test_a_killed_sweep_goes_on_where_it_was_and_ends_as_an_unbroken_one(tmp_path):
    arguments = ["gradient_stop=none,detach", "seed=0", "total_steps=1000", "checkpoint.interval=200", "threads=1"]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(train(*arguments, f"hydra.sweep.dir={broken}"), stdout=log, stderr=log)
    end = time.monotonic() + 100
    while not list(broken.rglob("[1-9]*0.safetensors")):
        assert time.monotonic() < end, (tmp_path / "log").read_text()
        time.sleep(0.02)
    running.kill()
    running.wait()
    before = len(runs_of(broken))
    for folder in (broken, whole):
        done = subprocess.run(train(*arguments, BASIC, f"hydra.sweep.dir={folder}"), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "2 of 2 runs are done." in done.stdout
    assert before < 2, "it was killed too late to show anything"
    for one, other in zip(runs_of(broken), runs_of(whole), strict=True):
        results = [json.loads((each / "result.json").read_text()) for each in (one, other)]
        for measured in ("training_seconds", "peak_memory_mib"):
            for result in results:
                del result[measured]
        assert results[0] == results[1]
        curves = [EventAccumulator(str(each)).Reload().Scalars("losses/critic") for each in (one, other)]
        assert [(point.step, point.value) for point in curves[0]] == [(point.step, point.value) for point in curves[1]]


def runs_of(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("result.json"))


def test_a_run_that_is_being_trained_is_not_trained_twice(command, tmp_path):
    import filelock

    folder = tmp_path / "here"
    folder.mkdir()
    with filelock.FileLock(folder / ".lock"):
        status, _, err = command("train.py", *SMALL, "hydra.run.dir=here")
    assert status == 2
    assert "another process is training this run" in err


@pytest.mark.parametrize("name", ["gradient_stops", "critic_freezes", "leaks"])
def test_the_experiments_are_sweeps_of_their_own(command, tmp_path, monkeypatch, name):
    jobs = []
    monkeypatch.setattr(job, "train_apart", lambda folder, settings, *_: jobs.append((folder, settings)))
    only = ["gradient_stop=no_grad", "critic_freeze=manual", "agent.bootstrap_actor=online", "seed=7"]
    rates = ["agent.critic_lr=1e-3", "agent.polyak=0.1"]
    _, _, err = command("train.py", f"experiment={name}", BASIC, *SMALL, *only, *rates)
    assert "The same command again does what is missing" in err
    ((folder, settings),) = jobs
    assert folder.relative_to(tmp_path).parts[:5] == ("runs", name, "no_grad-manual-online", "Pendulum-v1", "7")
    assert settings.threads == 1


@pytest.mark.long
def test_with_submitit_the_same_runs_are_made(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launcher = ["hydra/launcher=submitit_local", f"hydra.sweep.dir={tmp_path}", "hydra.launcher.timeout_min=5"]
    done = subprocess.run(train(*launcher, "seed=0"), capture_output=True, text=True, cwd=tmp_path, timeout=200)
    assert done.returncode == 0, done.stderr
    assert len(runs_of(tmp_path)) == 1


@pytest.mark.long
@pytest.mark.parametrize("entry_point", ["Own", "lambda: (lock, Own())[1]"], ids=["class", "what cannot be pickled"])
def test_a_sweep_trains_an_environment_that_its_script_has_registered(tmp_path, entry_point):
    (tmp_path / "my_train.py").write_text(
        f"{ENVIRONMENT}\nimport threading\nlock = threading.Lock()\n"
        f"gymnasium.register('Own-v0', entry_point={entry_point}, max_episode_steps=20)\n"
        "if __name__ == '__main__':\n"
        "    from ddpg.command_line import train\n    train()\n    print('once')\n"
    )
    words = [sys.executable, "my_train.py", "-m", BASIC, *SMALL[:-1], "env.id=Own-v0", "seed=0"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "once"
    (folder,) = runs(tmp_path)
    assert json.loads((folder / "result.json").read_text())["settings"]["env"]["id"] == "Own-v0"
    assert "once" not in (folder / "train.log").read_text()


@pytest.mark.long
def test_a_script_that_registers_in_itself(tmp_path):
    """One run, a sweep through worker processes, resumed and evaluated, as a person would."""
    (tmp_path / "my_train.py").write_text(
        f"{ENVIRONMENT}\ngymnasium.register('Own-v0', entry_point=Own, max_episode_steps=20)\n"
        "if __name__ == '__main__':\n    from ddpg.command_line.main import train\n    train()\n"
    )
    small = [*SMALL[:-1], "env.id=Own-v0"]
    script = [sys.executable, "my_train.py"]
    evaluate = [sys.executable, "-c", "from ddpg.command_line import evaluate; evaluate()"]
    for words in (
        [*script, *small, "hydra.run.dir=one"],
        [*script, "-m", *small, "seed=0,1"],
        [*script, "resume=one", "total_steps=140"],
        [*evaluate, "one", "--episodes", "1", "--env", "my_train:Own-v0"],
    ):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert len(runs(tmp_path)) == 2
