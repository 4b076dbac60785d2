"""Commands that are printed can be pasted."""

import sys

import gymnasium
import pytest

from ddpg.command_line import hints


@pytest.fixture
def called(tmp_path, monkeypatch):
    """A program called by this path, below an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(hints, "_tool", lambda name: name)

    def call(path, text="from ddpg.command_line.main import train"):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        monkeypatch.setattr(sys, "argv", [str(path)])
        return path

    return call


def test_the_script_beside_this_one_is_named_if_it_is_the_projects(called, tmp_path):
    train = called("rl-training/train scripts/train.py")
    assert hints.program() == "python 'rl-training/train scripts/train.py'"
    assert hints.companion("evaluate") == "ddpg-evaluate"
    beside = train.with_name("evaluate.py")
    beside.write_text("print('of my own')")
    assert hints.companion("evaluate") == "ddpg-evaluate"
    beside.write_text("from ddpg.command_line.main import evaluate_run")
    assert hints.watch(tmp_path / "a b", "Pendulum-v1") == (
        "python 'rl-training/train scripts/evaluate.py' 'a b' --render"
    )
    called("bin/ddpg-train")
    assert hints.program() == "ddpg-train"
    assert hints.companion("compare") == "ddpg-compare"


def test_a_module_that_was_run_is_called_as_one(called, monkeypatch):
    path = called("somewhere/ddpg/command_line/__main__.py")
    main = type(sys)("__main__")
    main.__spec__ = type("Spec", (), {"name": "ddpg.command_line.__main__", "origin": str(path)})
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert hints.program() == "python -m ddpg.command_line"
    assert hints.companion("evaluate") == "ddpg-evaluate"


@pytest.mark.parametrize("place", [".", "elsewhere"])
def test_the_module_of_an_own_environment_is_named_and_its_folder_if_it_has_to_be(called, own_module, tmp_path, place):
    called("bin/ddpg-train")
    name, env_id = own_module(place)
    prefix = "" if place == "." else f"PYTHONPATH={tmp_path / place} "
    for typed in (env_id, f"{name}:{env_id}"):
        assert hints.watch(tmp_path / "run", typed) == f"{prefix}ddpg-evaluate run --render --env {name}:{env_id}"


def test_pythonpath_is_kept_and_quoted(called, own_module, monkeypatch, tmp_path):
    called("bin/ddpg-train")
    _, env_id = own_module("else where")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert hints.watch(tmp_path, env_id).startswith(f"PYTHONPATH='{tmp_path / 'else where'}':$PYTHONPATH ddpg-")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "else where"))
    assert hints.watch(tmp_path, env_id).startswith("ddpg-")


@pytest.mark.parametrize("named_in", ["script", "entry point"])
def test_the_script_is_named_where_it_registers(called, own_module, monkeypatch, tmp_path, named_in):
    """A class of its own, or a class of a module that does not register it."""
    name, env_id = own_module(".", registers=False)
    path = called("my_train.py", f"gymnasium.register({env_id!r}, entry_point=…)")
    main = type(sys)("__main__")
    main.__file__, main.__spec__ = str(path), None
    monkeypatch.setitem(sys.modules, "__main__", main)
    entry_point = f"{name}:Own" if named_in == "entry point" else type("Own", (), {"__module__": "__main__"})
    gymnasium.register(env_id, entry_point=entry_point)
    assert hints.watch(tmp_path / "run", env_id) == f"ddpg-evaluate run --render --env my_train:{env_id}"


def test_the_curves_of_all_runs_belong_together(called, tmp_path):
    called("train.py")
    assert hints.curves(tmp_path / "runs/Pendulum-v1/a") == "tensorboard --logdir runs"
    assert hints.curves(tmp_path / "my runs/a") == "tensorboard --logdir 'my runs/a'"
