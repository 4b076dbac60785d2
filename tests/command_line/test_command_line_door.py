"""A plain installation has the library; its programs say in a sentence what they need besides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpg import command_line

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.py"))
EXTRA = [
    "filelock",
    "hydra",
    "omegaconf",
    "psutil",
    "scipy",
    "tensorboard",
    "yaml",
]
TRAINING = ["CSVLog", "Callback", "stop_at", "train"]


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "tour.py"])  # which needs none
def test_without_the_extra_a_script_ends_with_a_sentence(script):
    absent = f"import sys, runpy; sys.modules.update(dict.fromkeys({EXTRA})); "
    run = f"{absent}sys.argv[:] = {[script]}; runpy.run_path({str(ROOT / 'scripts' / script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("This needs ") and "'ddpg[train]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_what_is_missing_of_its_own_is_no_matter_of_an_extra():
    with pytest.raises(ModuleNotFoundError), command_line.plainly():
        import ddpg.nothing  # noqa: F401


def test_the_library_needs_no_extra(tmp_path):
    absent = f"import sys; sys.modules.update(dict.fromkeys({EXTRA})); "
    use = (
        "import ddpg, numpy as np; from gymnasium.spaces import Box; "
        f"[getattr(ddpg, name) for name in ddpg.__all__ if name not in {TRAINING}]; "
        "agent = ddpg.DDPG(Box(-1, 1, (2,)), Box(-1, 1, (1,))); path = 'agent.safetensors'; "
        "agent.save(path); ddpg.DDPG.load(path); "
        "import ddpg.compiled.compilation"
    )
    subprocess.run(
        [sys.executable, "-c", absent + use], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


@pytest.mark.long
@pytest.mark.parametrize("name", TRAINING)
def test_training_in_python_names_the_extra_that_it_needs(name):
    use = f"import sys; sys.modules.update(dict.fromkeys({EXTRA})); from ddpg import {name}"
    done = subprocess.run([sys.executable, "-c", use], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr.splitlines()[-1] == f"ImportError: ddpg.{name} needs yaml: pip install 'ddpg[train]' brings it."


@pytest.mark.long
@pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in ("benchmark.py", "train.py")])
def test_every_script_answers_help_at_80_columns_and_does_nothing_else(script, tmp_path):
    words = [sys.executable, str(ROOT / "scripts" / script), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not list(tmp_path.iterdir())
