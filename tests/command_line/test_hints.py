"""Commands that are printed can be pasted."""

import os
import sys

import gymnasium
import pytest
from commands import SCRIPTS

from ddpg.command_line import hints


@pytest.fixture
def called(tmp_path, monkeypatch):
    """A program called by this path, with an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hints, "_tool", lambda name: name)
    return lambda path: monkeypatch.setattr(sys, "argv", [str(path)])


def test_a_script_of_a_checkout_names_the_one_beside_it(called, tmp_path):
    called(os.path.relpath(SCRIPTS / "train.py"))
    assert hints.program() == f"python {os.path.relpath(SCRIPTS / 'train.py')}"
    assert hints.watch(tmp_path / "a b", "Pendulum-v1") == (
        f"python {os.path.relpath(SCRIPTS / 'evaluate.py')} 'a b' --render"
    )


@pytest.mark.parametrize(
    ("path", "again"),
    [
        ("bin/ddpg-train", "ddpg-train"),
        ("somewhere/ddpg/command_line/__main__.py", "python -m ddpg.command_line"),
        ("my own/train.py", "python 'my own/train.py'"),
    ],
)
def test_elsewhere_the_installed_commands_are_named(called, path, again):
    called(path)
    assert hints.program() == again
    assert hints.companion("compare") == "ddpg-compare"


def test_the_module_of_an_own_environment_is_named(called, own_module, tmp_path):
    called("bin/ddpg-train")
    name, env_id = own_module(".")
    for typed in (env_id, f"{name}:{env_id}"):
        assert hints.watch(tmp_path / "run", typed) == f"ddpg-evaluate run --render --env {name}:{env_id}"


def test_the_script_that_has_the_environments_class_is_named(called, own_module, tmp_path):
    called("my_train.py")
    _, env_id = own_module(".", registers=False)
    gymnasium.register(env_id, entry_point=type("Own", (), {"__module__": "__main__"}))
    assert hints.watch(tmp_path / "run", env_id) == f"ddpg-evaluate run --render --env my_train:{env_id}"


def test_the_curves_of_all_runs_belong_together(called, tmp_path):
    called("train.py")
    assert hints.curves(tmp_path / "runs/Pendulum-v1/a") == "tensorboard --logdir runs"
    assert hints.curves(tmp_path / "my runs/a") == "tensorboard --logdir 'my runs/a'"
