"""The commands as a person types them: what they leave behind, and every mistake answered in a sentence."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
from commands import SCRIPTS, SMALL, runs
from conftest import identical, weights
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from small_runs import scalars

from ddpg import DDPG
from ddpg.command_line import job, sweep
from ddpg.command_line import main as command_line
from ddpg.saving import checkpoint
from ddpg.training.run import Run
from ddpg.training.settings import Settings, option_settings


def test_train_then_evaluate_repeats_the_number(command, tmp_path):
    status, out, err = command("train.py", *SMALL, "gradient_stop=detach", "agent.bootstrap_actor=online", "seed=3")
    assert status == 0, err
    (folder,) = runs(tmp_path)
    assert re.fullmatch(r"runs/detach-online/Pendulum-v1/3/[^/]+", str(folder.relative_to(tmp_path)))
    assert {path.name.split(".")[0] for path in folder.iterdir()} == {"", "checkpoints", "events", "result"}
    summary, hint = out.splitlines()
    mean = json.loads((folder / "result.json").read_text())["mean_return"]
    assert f"mean return {mean:.2f}" in summary
    assert "tensorboard --logdir runs" in hint
    assert f"ddpg-evaluate {folder.relative_to(tmp_path)} --render" in hint
    agent = DDPG.load(folder)
    assert agent.gradient_stop.name == "detach"
    assert agent.bootstrapping_actor is agent.actor
    status, out, _ = command("evaluate.py", folder)
    assert status == 0
    assert out.strip() == summary


@pytest.mark.long
def test_a_sweep_gives_each_job_a_folder_of_its_own_that_a_second_sweep_finds_again(command, tmp_path):
    sweep = ["-m", "hydra/launcher=basic", *SMALL, "gradient_stop=none,no_grad", "seed=1"]
    assert command("train.py", *sweep)[0] == 0
    folders = runs(tmp_path)
    assert len(folders) == 2
    written = [(folder / "result.json").stat().st_mtime_ns for folder in folders]
    status, out, _ = command("train.py", *sweep)
    assert status == 0
    assert "All 2 runs are finished already" in out
    assert runs(tmp_path) == folders
    assert [(folder / "result.json").stat().st_mtime_ns for folder in folders] == written


@pytest.mark.long
@pytest.mark.parametrize("name", ["plain", "gradient_stop=detach,seed=3", "with space"])
def test_resume_goes_on_in_the_same_folder_and_ends_as_an_unbroken_run(command, tmp_path, name):
    folder, whole = tmp_path / name, tmp_path / "whole"
    assert command("train.py", *SMALL, f"hydra.run.dir='{folder}'", "seed=1")[0] == 0
    record = (folder / ".hydra" / "overrides.yaml").read_text()
    status, out, err = command("train.py", f"resume={folder}", "total_steps=170")
    assert status == 0, err
    assert "after 170 steps" in out
    assert (folder / ".hydra" / "overrides.yaml").read_text() == record
    assert command("train.py", *SMALL, f"hydra.run.dir={whole}", "seed=1", "total_steps=170")[0] == 0
    ended, unbroken = (weights(*DDPG.load(path).modules().values()) for path in (folder, whole))
    assert identical(ended, unbroken)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sed=3"], "sed=3: there is no such setting; did you mean seed?"),
        (["+sed=3"], "sed=3: there is no such setting; did you mean seed?"),
        (["gradient_stop=detatch"], "gradient_stop=detatch: no such option; did you mean detach?"),
        (["gradient_stp=detach"], "gradient_stp=detach: there is no such setting; did you mean gradient_stop?"),
        (
            ["gradient_stop.scale=2"],
            "gradient_stop.scale: the chosen gradient_stop has no such setting; add gradient_stop=m",
        ),
        (["agent.actor_lr=-1"], "agent.actor_lr=-1: must be greater than 0"),
        (["agent.optimizer_options={beta: 1}"], "agent.optimizer_options.beta: Adam has no such option"),
        (["env.kwargs.g=1"], "To append to your config use +env.kwargs.g=1"),
        (["batch_size=500", "buffer_size=400"], "batch_size=500: larger"),
        (["buffer_size=1000000000000"], "buffer capacity 1000000000000 (buffer_size): needs"),
        (["env=pendulom"], "env=pendulom: no such option; did you mean pendulum?"),
        (["env.id=Pendulom-v1"], "env.id=Pendulom-v1: no such environment is registered; did you mean Pendulum-v1?"),
        (["env.id=CartPole-v1"], "env.id=CartPole-v1: action space Discrete(2)"),
        (["device=cudda"], "device=cudda: not usable"),
        (["gradient_stop=null"], "gradient_stop=null: has to be one of its options. Valid: detach"),
        (["hydra.run.dir=/proc/nowhere"], "hydra.run.dir=/proc/nowhere: cannot be made"),
        (["agent.optimizer_options={fused: true}", "agent.optimizer=RMSprop"], "RMSprop has no such option"),
        (["total_steps=1e4"], "total_steps=10000.0: must be a valid integer; 10000 is valid"),
        (["seed=null"], "seed=null: must be a valid integer"),
        (["--config-name", "nope"], "Cannot find primary config 'nope'"),
        (["seed"], "seed: a setting is typed key=value"),
        (["resume=nowhere"], "resume=nowhere: there is no such folder"),
        (["-m", "seed=1,-2", *SMALL], "seed=-2: must be"),
    ],
    ids=str,
)
def test_a_mistake_is_a_sentence_and_status_2(command, arguments, sentence):
    status, out, err = command("train.py", *arguments)
    assert status == 2
    assert sentence in err
    assert "Traceback" not in out + err


def test_a_mistake_leaves_no_folder_behind(command, tmp_path):
    for mistake in ("seed=-1", "env.id=CartPole-v1", "device=cudda", "gradient_stop=x"):
        assert command("train.py", mistake)[0] == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_traceback_of_the_persons_own_code_goes_into_a_file_that_the_sentence_names(command, tmp_path, monkeypatch):
    """Where the run is to lie, the sweep, the job, or the run that is evaluated."""
    (tmp_path / "fails.py").write_text("def helper():\n    return [].pop()\n\nhelper()\n")
    monkeypatch.setattr(sys, "path", [*sys.path])

    def check(folder, *arguments, program="train.py"):
        status, _, err = command(program, *arguments)
        assert status == 2, err
        assert f"IndexError (pop from empty list) at fails.py:2. The traceback is in {folder}/traceback.txt." in err
        assert "Traceback" not in err
        assert "in helper" in Path(folder, "traceback.txt").read_text()
        return err

    check("here", *SMALL, "env.id=fails:Own-v0", "hydra.run.dir=here")
    check("sweep", "-m", *SMALL, "env.id=fails:Own-v0", "hydra.sweep.dir=sweep")
    assert not list(Path("sweep").rglob("train.log"))
    assert command("train.py", *SMALL, "hydra.run.dir=run")[0] == 0
    check("run", "run", "--env", "fails:Pendulum-v1", program="evaluate.py")
    monkeypatch.setattr(sweep, "begin", lambda *_: None)  # a job's own
    command("train.py", "-m", "hydra/launcher=basic", *SMALL, "env.id=fails:Own-v0", "hydra.sweep.dir=jobs")
    (failure,) = Path("jobs").rglob("failure.txt")
    assert "traceback.txt." in failure.read_text()
    assert "in helper" in (failure.parent / "traceback.txt").read_text()


def test_a_traceback_that_cannot_be_written_is_left_out(command, tmp_path, monkeypatch):
    (tmp_path / "fails.py").write_text("[].pop()\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    status, _, err = command("train.py", "env.id=fails:Own-v0", "hydra.run.dir=/proc/nowhere")
    assert status == 2
    assert err.strip().endswith("IndexError (pop from empty list) at fails.py:1.")


def test_evaluate_takes_an_own_environment_by_its_module_only_if_it_is_typed(command, tmp_path, own_module):
    name, env_id = own_module(".")
    assert command("train.py", *SMALL[:-1], f"env.id={env_id}", "hydra.run.dir=run")[0] == 0
    spec = gymnasium.registry.pop(env_id)
    del sys.modules[name]
    status, _, err = command("evaluate.py", "run", "--episodes", "1")
    assert status == 2
    assert f"env.id={env_id}: no such environment is registered" in err
    assert f"env.id=module:{env_id}" in err
    for typed in ("Pendulum-v1", f"{name}:Other-v0"):
        status, _, err = command("evaluate.py", "run", "--env", typed)
        assert status == 2
        assert f"env.id={typed}: the run's is {env_id}" in err
    assert name not in sys.modules
    status, _, err = command("evaluate.py", "run", "--episodes", "1", "--env", f"{name}:{env_id}")
    assert status == 0, err
    assert gymnasium.registry[env_id] != spec


def test_a_run_of_an_own_environment_is_resumed_by_either_name(command, own_module):
    name, env_id = own_module(".")
    assert command("train.py", *SMALL[:-1], f"env.id={env_id}", "hydra.run.dir=run")[0] == 0
    del gymnasium.registry[env_id], sys.modules[name]
    assert command("train.py", "resume=run", "total_steps=130")[0] == 2
    status, _, err = command("train.py", "resume=run", "total_steps=130", f"env.id={name}:{env_id}")
    assert status == 0, err
    assert checkpoint.load("run")["settings"]["env"]["id"] == env_id


@pytest.mark.long
def test_the_package_can_be_run(tmp_path):
    words = [sys.executable, "-m", "ddpg.command_line", "seed=-1"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "seed=-1: must be" in done.stderr


def test_a_run_is_not_written_over(command, tmp_path):
    assert command("train.py", *SMALL, "hydra.run.dir=here")[0] == 0
    before = {path: path.read_bytes() for path in Path("here").rglob("*") if path.is_file()}
    status, _, err = command("train.py", *SMALL, "hydra.run.dir=here", "seed=9")
    assert status == 2
    assert "hydra.run.dir=here: holds a run already" in err
    for arguments, sentence in (
        (["resume=here"], "total_steps=120: the run already stands at step 120"),
        (
            ["resume=here", "total_steps=200", "seed=9"],
            "seed: the run in here keeps its settings",
        ),
        (["resume=here", "-m"], "one run at a time"),
    ):
        status, _, err = command("train.py", *arguments)
        assert status == 2
        assert sentence in err
    assert {path: path.read_bytes() for path in Path("here").rglob("*") if path.is_file()} == before


def test_a_checkpoint_does_not_get_a_module_imported(command, tmp_path, monkeypatch):
    """Promise 5: unless the person types the module's name too."""
    (tmp_path / "strange.py").write_text("import pathlib; pathlib.Path('executed').touch()")
    monkeypatch.syspath_prepend(tmp_path)
    assert command("train.py", *SMALL, "hydra.run.dir=here")[0] == 0
    content = checkpoint.load("here")
    content["settings"]["env"]["id"] = "strange:Pendulum-v1"
    checkpoint.save("here/checkpoints/120.safetensors", content)
    for program, *arguments in (("evaluate.py", "here"), ("train.py", "resume=here", "total_steps=200")):
        status, _, err = command(program, *arguments)
        assert status == 2
        assert "would have to be imported" in err
    assert not Path("executed").exists()
    status, _, err = command("evaluate.py", "here", "--episodes", "1", "--env", "strange:Pendulum-v1")
    assert status == 0, err
    assert Path("executed").exists()


def test_evaluate_refuses_what_is_no_run(command, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    for arguments, sentence in (
        (["nowhere"], "no such file or folder"),
        ([tmp_path], "holds no checkpoint"),
        ([tmp_path, "--episodes", "0"], "--episodes 0: must be 1 or more"),
        ([tmp_path, "--render"], "--render: there is no display"),
    ):
        status, _, err = command("evaluate.py", *arguments)
        assert status == 2
        assert sentence in err


def test_an_unsound_choice_is_announced(command):
    _, _, err = command("train.py", *SMALL, "gradient_stop=manual", "gradient_stop.every=2", "critic_freeze=none")
    assert "EditGradient(scale=0.0, every=2) is not sound" in err
    assert "NoFreeze() is not sound" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_finishes_its_step_saves_and_says_how_to_go_on(command, number):
    """In a step between two checkpoints, whose update, measurement and evaluation are still to come."""
    interact = Run.interact

    def interrupted(self):
        interact(self)
        if self.step == 80:
            os.kill(os.getpid(), number)

    arguments = [*SMALL, "evaluation.interval=40"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "interact", interrupted)
        status, _, err = command("train.py", *arguments, "hydra.run.dir=here")
    assert status == 128 + number
    assert "Stopped at step 80." in err
    assert "train.py resume=here goes on from step 80." in err
    assert checkpoint.steps(Path("here")) == [80]
    assert command("train.py", *arguments, "hydra.run.dir=whole")[0] == 0
    assert command("train.py", "resume=here")[0] == 0
    one, other = (json.loads(Path(each, "result.json").read_text()) for each in ("here", "whole"))
    assert all(one[key] == other[key] for key in ("weights_digest", "returns", "q_bias", "gradient_steps"))
    assert scalars("here") == scalars("whole")


def test_help_is_a_page(command):
    status, out, _ = command("train.py", "--help")
    assert status == 0
    for part in ("gradient_stop: detach, ", "env=half_cheetah", "resume="):
        assert part in out
    groups = {
        "agent",
        "env",
        "evaluation",
        "checkpoint",
        "gradient_stop",
        "critic_freeze",
        "exploration",
        "experiment",
        "video",
    }
    of_an_option = {".".join(setting) for setting in option_settings()}
    for key in set(Settings.valid_keys()) - groups - of_an_option | {"gradient_stop.scale", "gradient_stop.every"}:
        assert re.search(rf"^ +{re.escape(key)} [^\[]*\[.+\]$", out, re.MULTILINE), key
    # The one with the command is as long as the way to this Python.
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith(("env: ", "Examples, ")))


def test_the_scripts_run(tmp_path):
    """From another folder, in a process of their own."""
    for script, arguments in (("train.py", [*SMALL, "hydra.run.dir=here"]), ("evaluate.py", ["here"])):
        done = subprocess.run(
            [sys.executable, SCRIPTS / script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "mean return" in done.stdout
    assert shutil.which("ddpg-train", path=Path(sys.executable).parent)


def test_a_run_broken_off_in_its_final_evaluation_can_be_finished(command):
    assert command("train.py", *SMALL, "hydra.run.dir=here")[0] == 0
    result = Path("here/result.json")
    before = json.loads(result.read_text())
    result.unlink()
    assert command("train.py", "resume=here")[0] == 0
    assert json.loads(result.read_text())["returns"] == before["returns"]


@pytest.mark.long
@pytest.mark.parametrize(
    "damage",
    [{"settings": {}}, {"settings": {"env": None}}, {"training": {}}, {"training": {"step": "x"}}, {"agent": [1]}],
    ids=str,
)
def test_a_damaged_checkpoint_is_a_sentence(command, damage):
    assert command("train.py", *SMALL, "hydra.run.dir=here")[0] == 0
    content = checkpoint.load("here")
    checkpoint.save("here/checkpoints/120.safetensors", content | damage)
    for program, *arguments in (("evaluate.py", "here"), ("train.py", "resume=here", "total_steps=200")):
        status, _, err = command(program, *arguments)
        assert status == 2
        assert "Traceback" not in err


def test_a_sweep_of_many_overrides_gets_a_folder_whose_name_is_not_too_long(command, tmp_path, monkeypatch):
    many = [f"env.kwargs={{max_episode_steps: 20, g: {'9' * 30}.{'0' * 150}}}"]
    jobs = []
    monkeypatch.setattr(job, "train_apart", lambda folder, settings, *_: jobs.append(folder))
    command("train.py", "-m", "hydra/launcher=basic", *SMALL[:-1], *many, "total_steps=60")
    (folder,) = jobs
    folder.mkdir(parents=True, exist_ok=True)
    assert folder.is_relative_to(tmp_path / "runs")


def options(group):
    return sorted(path.stem for path in (command_line.CONF / group).glob("*.yaml"))


@pytest.mark.parametrize(
    "choice",
    [
        f"{group}={name}"
        for group in ("agent", "env", "exploration", "gradient_stop", "critic_freeze", "experiment")
        for name in options(group)
    ],
)
def test_every_option_of_every_group_is_valid(choice):
    Settings.check(composed(choice))


def composed(*overrides):
    with initialize_config_dir(str(command_line.CONF), version_base="1.3"):
        values = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    del values["resume"]
    return values


def test_the_papers_setting():
    """Section 7 of the paper."""
    paper = composed("experiment=paper")
    assert paper["batch_size"] == 64
    assert paper["buffer_size"] == 1_000_000
    assert paper["exploration"] == {"name": "ornstein_uhlenbeck", "theta": 0.15, "sigma": 0.2, "dt": 1.0}
    agent = paper["agent"]
    assert agent["hidden_sizes"] == [400, 300]
    assert (agent["actor_lr"], agent["critic_lr"], agent["critic_weight_decay"]) == (1e-4, 1e-3, 1e-2)
    assert (agent["discount"], agent["polyak"], agent["final_layer_bound"]) == (0.99, 0.001, 3e-3)
    assert agent["action_layer"] == 1
    assert composed("env=lunar_lander")["env"]["kwargs"] == {"continuous": True}


def test_names_of_ones_own_code_are_typed_again_and_what_a_run_prints_has_them(command, tmp_path, own_module):
    name, _ = own_module(".", registers=False)
    module = tmp_path / f"{name}.py"
    module.write_text(
        f"{module.read_text()}\n\nclass Around(gymnasium.Wrapper):\n    pass\n\n\n"
        "from torch import nn\n\n\ndef Actor(*spaces):\n    return nn.Sequential(nn.Linear(1, 1), nn.Tanh())\n"
    )
    del sys.modules[name]
    env, wrappers, actor = (
        f"env.id={name}:Own",
        f"env.wrappers=[{name}.Around,gymnasium.wrappers.NormalizeReward]",
        f"agent.actor={name}.Actor",
    )
    status, out, err = command("train.py", *SMALL, env, wrappers, actor, "hydra.run.dir=run")
    assert status == 0, err
    watch = out.strip().splitlines()[-1].partition("ddpg-evaluate")[2]
    printed = shlex.split(watch.replace("--render", "--episodes 2"))
    del sys.modules[name]
    for program, *typed in (
        ("evaluate.py", "run"),
        ("evaluate.py", "run", env, wrappers),
        ("evaluate.py", "run", env, actor),
        ("train.py", "resume=run", "total_steps=130", env, wrappers),
        ("train.py", "resume=run", "total_steps=130", actor, wrappers),
        ("train.py", "resume=run", "total_steps=130", env, wrappers, "agent.actor=os.system"),
    ):
        status, _, err = command(program, *typed)
        assert status == 2
        assert "would have to be imported; if you trust it, add " in err or "the run's is" in err
        assert name not in sys.modules
    status, _, err = command("evaluate.py", *printed)
    assert status == 0, err
    status, _, err = command("train.py", "resume=run", "total_steps=130", env, wrappers, actor)
    assert status == 0, err
