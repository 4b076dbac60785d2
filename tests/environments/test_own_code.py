"""Environments of the user's own, in every way people write them, in processes that know nothing of them."""

import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import gymnasium
import pytest
from commands import SMALL, runs
from conftest import ENVIRONMENT
from small_runs import small

from ddpg import InputError
from ddpg.command_line import job
from ddpg.environments import own_code
from ddpg.environments.own_code import OwnCode


@pytest.mark.parametrize("kind", ["module", "class of the script", "lambda", "entry point by name"])
def test_another_process_gets_what_was_registered_here(own_module, kind):
    name, env_id = own_module("beside", registers=kind == "module")
    if kind == "class of the script":
        scope = {"__name__": "__main__"}
        exec(ENVIRONMENT, scope)
        gymnasium.register(env_id, entry_point=scope["Own"], max_episode_steps=20)
    elif kind == "lambda":
        module = sys.modules[name]
        gymnasium.register(env_id, entry_point=lambda: module.Own())
    elif kind == "entry point by name":
        gymnasium.register(env_id, entry_point=f"{name}:Own")
    own = OwnCode.here()
    job.rehearse(small(env__id=env_id, env__kwargs={}), own)
    with pytest.raises(InputError, match="the processes of a sweep cannot get it"):
        job.rehearse(small(env__id=env_id, env__kwargs={}), own._replace(environments={env_id: ""}))


def test_gymnasiums_own_are_not_carried():
    assert not {"Pendulum-v1", "HalfCheetah-v5"} & OwnCode.here().environments.keys()


def test_what_cannot_be_carried_is_refused_before_a_sweep_starts(command, own_module, tmp_path):
    _, env_id = own_module(".", registers=False)
    lock = threading.Lock()
    module = next(module for name, module in sys.modules.items() if name.startswith("own_module"))
    gymnasium.register(env_id, entry_point=lambda: (lock, module.Own())[1], max_episode_steps=20)
    status, _, err = command("train.py", "-m", "hydra/launcher=basic", *SMALL[:-1], f"env.id={env_id}", "seed=0,1")
    assert status == 2
    assert f"env.id={env_id}: the processes of a sweep cannot get it: TypeError" in err
    assert f"env.id=module:{env_id}" in err
    assert "traceback.txt" in err
    assert not list(tmp_path.rglob("train.log"))


def test_a_sweep_trains_an_environment_that_its_script_has_registered(command, own_module, tmp_path):
    scope = {"__name__": "__main__"}
    exec(ENVIRONMENT, scope)
    _, env_id = own_module("beside", registers=False)
    gymnasium.register(env_id, entry_point=scope["Own"], max_episode_steps=20)
    status, _, err = command("train.py", "-m", "hydra/launcher=basic", *SMALL[:-1], f"env.id={env_id}", "seed=0")
    assert status == 0, err
    (folder,) = runs(tmp_path)
    assert json.loads((folder / "result.json").read_text())["settings"]["env"]["id"] == env_id


def test_a_job_finds_the_module_where_its_sweep_does(own_module, tmp_path):
    name, env_id = own_module("beside")
    del sys.modules[name]
    settings = small(env__id=f"{name}:{env_id}", env__kwargs={}, total_steps=60)
    assert math.isfinite(job.train_apart(tmp_path / "by path", settings, "/", OwnCode.here()))
    sys.path.remove(str(tmp_path / "beside"))
    mean = job.train_apart(tmp_path / "by directory", settings, str(tmp_path / "beside"), OwnCode.here())
    assert math.isfinite(mean), (tmp_path / "by directory" / "failure.txt").read_text()


def test_the_directory_comes_last_and_only_for_a_module(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/first"])
    own_code.see_directory("Own-v0", tmp_path)
    assert sys.path == ["/first"]
    for _ in range(2):
        own_code.see_directory("own:Own-v0", tmp_path)
    assert sys.path == ["/first", str(tmp_path)]


@pytest.mark.long
def test_a_script_that_registers_in_itself(tmp_path):
    """One run, several seeds, a sweep through worker processes, resumed and evaluated, as a person would."""
    (tmp_path / "my_train.py").write_text(
        f"{ENVIRONMENT}\ngymnasium.register('Own-v0', entry_point=Own, max_episode_steps=20)\n"
        "if __name__ == '__main__':\n    from ddpg.command_line.main import train\n    train()\n"
    )
    small = [*SMALL[:-1], "env.id=Own-v0"]
    script = [sys.executable, "my_train.py"]
    evaluate = [sys.executable, "-c", "from ddpg.command_line.main import evaluate_run; evaluate_run()"]
    for words in (
        [*script, *small, "hydra.run.dir=one"],
        [*script, *small, "hydra.run.dir=two", "seeds=2"],
        [*script, "-m", *small, "seed=0,1"],
        [*script, "resume=one", "total_steps=140"],
        [*evaluate, "one", "--episodes", "1", "--env", "my_train:Own-v0"],
    ):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
        assert done.returncode == 0, done.stderr
    assert len(runs(Path(tmp_path))) == 2
