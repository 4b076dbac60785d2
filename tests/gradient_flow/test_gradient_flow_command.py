"""The command as it is typed: options, scripts and modules, what they print and how they end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ddpg.gradient_flow import command

SCRIPTS = Path(__file__).parent / "scripts"
FAULTY = str(SCRIPTS / "ddpg_target_not_detached.py")


def typed(*arguments, cwd=None, stdin=""):
    return subprocess.run(
        [sys.executable, "-m", "ddpg.gradient_flow", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=stdin,
        env={"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        check=False,
    )


@pytest.fixture
def refused(capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])  # the command puts the script's folder first

    def refuse(*arguments):
        with pytest.raises(SystemExit) as end:
            command.main(arguments)
        assert end.value.code == 2
        return capsys.readouterr().err

    return refuse


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "which script? For example: gradient-flow train.py"),
        (["--steps", "0", "train.py"], "0: a whole number of at least 1 is needed"),
        (["--skip", "many", "train.py"], "many: a whole number of at least 0 is needed"),
        (["--fail-on", "leaks", "train.py"], "leaks is no kind of finding; there are leak, stale_gradient"),
        (["--modules", "actor", "train.py"], "actor: NAME=PATH is needed, such as actor=agent.actor"),
        (["nowhere.py"], "nowhere.py cannot be read: No such file or directory"),
        (["-m", "no_such_module"], "-m no_such_module: there is no such module that can be run here"),
        (["--html", "/nowhere/report.html", "train.py"], "there is no folder /nowhere; make it, or name another"),
        (["--html", str(SCRIPTS), "train.py"], "it cannot be written, or is a folder; name another file"),
    ],
)
def test_a_mistake_gets_a_sentence(refused, arguments, sentence):
    assert sentence in refused(*arguments)


def test_a_folder_is_no_script(refused, tmp_path):
    assert "is a folder: name the script in it" in refused(str(tmp_path))


def test_a_faulty_script_is_reported_and_ended(tmp_path):
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    run = typed("--html", page, "--json", data, "--github", FAULTY, "--seed", "2")
    assert run.returncode == 1
    lines = enumerate(Path(FAULTY).read_text().splitlines(), 1)
    line = next(number for number, text in lines if "# FAULT" in text)
    assert run.stderr.startswith("1 fault: leak, ")
    assert f"ddpg_target_not_detached.py:{line} " in run.stderr.splitlines()[0]
    assert "::error file=" in run.stdout
    assert "leak" in page.read_text()
    written = json.loads(data.read_text())
    assert [each["kind"] for each in written["findings"] if each["severity"] == "fault"] == ["leak"]
    assert set(written["modules"]) >= {"actor", "qf1", "qf1_target"}
    assert written["modules"]["actor"]["where"]


def test_a_script_that_does_not_train_runs_as_it_would_and_without_pytorch(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nprint(__name__, __file__, sys.argv, sys.path[0], sys.stdin.read())\n"
        "assert not any(name.split('.')[0] == 'torch' for name in sys.modules)\nsys.exit(3)\n"
    )
    alone = subprocess.run([sys.executable, "script.py", "a"], cwd=tmp_path, input="x", capture_output=True, text=True)
    run = typed("script.py", "a", cwd=tmp_path, stdin="x")
    assert (run.stdout, run.returncode) == (alone.stdout, 3)
    assert run.stderr == "gradient-flow: the script has not imported torch: there was nothing to look at.\n"


def test_what_a_script_raises_is_shown_as_python_shows_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "def inner():\n    raise ValueError('mine')\ndef outer():\n    try:\n        inner()\n"
        "    except ValueError as error:\n        raise RuntimeError('later') from error\nouter()\n"
    )
    alone = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    run = typed("script.py", cwd=tmp_path)
    assert (run.stderr, run.returncode) == (alone.stderr, 1)
    script.write_text("def broken(:\n    pass\n")
    alone = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert typed("script.py", cwd=tmp_path).stderr == alone.stderr


def test_what_training_raises_is_shown_without_the_audits_frames():
    alone = subprocess.run(
        [sys.executable, str(SCRIPTS / "awkward" / "raises_midway.py")], capture_output=True, text=True, check=False
    )
    run = typed("--go-on", SCRIPTS / "awkward" / "raises_midway.py")
    assert run.returncode == alone.returncode == 1
    assert run.stderr.endswith(alone.stderr)
    assert "the script ended first" not in run.stderr


def test_a_script_that_starts_itself_anew_is_audited_anew():
    run = typed("--steps", "5", SCRIPTS / "awkward" / "executes_itself_again.py", "--name", "x")
    assert "nothing found in 5 backward passes and 5 steps" in run.stderr


def test_a_fault_is_the_status_of_a_script_that_exits_without_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, torch\nmodel = torch.nn.Linear(1, 1)\noptimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "for _ in range(4):\n    model(torch.ones(2, 1)).sum().backward()\n    optimizer.step()\nsys.exit()\n"
    )
    run = typed("--go-on", script)
    assert "stale_gradient" in run.stderr
    assert run.returncode == 1
