"""What lies in a run's folder is data, whoever put it there; what does not belong together is named."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from small_runs import run, scalars, small, state

from ddpg import InputError
from ddpg.base.errors import Note
from ddpg.base.memory import peak_memory
from ddpg.saving import checkpoint
from ddpg.training import resume
from ddpg.training.loop import Training

RUN = {"checkpoint": {"interval": 50, "keep": 2}, "total_steps": 120}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run(folder, small(**RUN))
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "here"))


def changed(folder, **changes):
    """The newest checkpoint with other values; `training__buffer__added` reaches into it."""
    content = checkpoint.load(folder)
    for key, value in changes.items():
        *sections, name = key.split("__")
        section = content
        for each in sections:
            section = section[each]
        section[name] = value
    checkpoint.save(folder / checkpoint.FOLDER / checkpoint.name(120), content)


HOSTILE = {
    "a buffer beyond the memory": {"settings__buffer_size": 10**15},
    "a buffer that says to hold more than it does": {"training__buffer__added": 10**12},
    "a million environments": {"settings__env__num_envs": 10**6},
    "a huge network": {"settings__agent__hidden_sizes": [10**6, 10**6]},
    "a huge network in both places": {
        "settings__agent__hidden_sizes": [15_000, 15_000],  # that the memory would hold
        "agent__options__hidden_sizes": [15_000, 15_000],
    },
    "a module as environment": {"settings__env__id": "os:system-v0"},
    "an environment with a path": {"settings__env__id": "../../evil"},
    "no environment": {"settings__env": None},
    "a class as optimizer": {"settings__agent__optimizer": "os.system"},
    "a target as a stop": {"settings__gradient_stop": {"_target_": "os.system", "name": "no_grad"}},
    "no parts": {"training__parts": []},
    "a generator of another kind": {"training__generator": {"bit_generator": "os.system"}},
    "a state of another size": {"training__buffer__generator": torch.zeros(3, dtype=torch.uint8)},
    "another step than its name": {"training__step": 10},
    "a step that is no number": {"training__step": "10"},
    "actions of another shape": {"training__collector__progress": [{"episode": 1, "actions": torch.zeros(3, 7)}]},
    "an episode below 0": {"training__collector__progress": [{"episode": -1, "actions": torch.zeros(0, 1)}]},
    "too many seconds": {"training__seconds": float("inf")},
    "a setting that there is not": {"settings__executed": "os.system"},
    "a space of objects": {"agent__observation_space__dtype": "O"},
    "a space of another shape": {"agent__observation_space__shape": [10**12]},
    "a noise that there is not": {"agent__exploration": {"name": "evil"}},
}


@pytest.mark.long
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_strangers_checkpoint_is_refused_in_a_sentence(command, folder, monkeypatch, kind):
    monkeypatch.chdir(folder.parent)
    before = peak_memory()
    changed(folder, **HOSTILE[kind])
    status, _, err = command("train.py", "resume=here", "total_steps=130")
    assert status == 2, err
    assert "Traceback" not in err
    assert peak_memory() - before < 500  # MiB


@pytest.mark.parametrize(
    "parts",
    [[["../../etc/passwd", 3, "x"]], [[50, 100, "0"], [0, 50, "0"]], [[0, 1, "0"]] * 100_000, [[0, 10**15, "0"]]],
)
def test_where_the_transitions_are_not_those_of_the_checkpoint_the_one_before_is_taken(folder, parts):
    changed(folder, training__parts=parts)
    with pytest.warns(Note, match="The one of step 100 is taken instead"):
        content = resume.content(folder, {})
    assert content["training"]["step"] == 100


def test_a_link_in_a_runs_folder_is_not_written_through(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    mine.write_text("mine")
    for name in ("events.out.tfevents.1.here.2.3", "result.json", "checkpoints/200.safetensors", "train.log"):
        path = folder / name
        if there := path.exists():
            path.rename(tmp_path / "aside")
        path.symlink_to(mine)
        status, _, err = command("train.py", "resume=here", "total_steps=130")
        assert status == 2
        assert f"here/{name}: a link" in err
        path.unlink()
        if there:
            (tmp_path / "aside").rename(path)
    assert mine.read_text() == "mine"


def test_a_checkpoint_of_another_run_is_named(folder, tmp_path):
    other = tmp_path / "other"
    run(other, small(**RUN, seed=1))
    name = Path(checkpoint.FOLDER, checkpoint.name(120))
    shutil.copy(other / name, folder / name)
    with pytest.warns(Note, match="not the transitions that the checkpoint was written with.* of step 100 is taken"):
        content = resume.content(folder, {"env.id": "Pendulum-v1"})
    assert content["settings"]["seed"] == 0


@pytest.mark.parametrize(
    "change", [{"agent__observation_space__high": [2.0, 1.0, 8.0]}, {"agent__options__actor_lr": 0.5}]
)
def test_what_differs_between_checkpoint_and_run_is_named(folder, change):
    changed(folder, **change)
    with pytest.raises(InputError, match=r"observation space is|actor_lr.*: 0\.5"):
        go_on(folder)


def go_on(folder):
    found = resume.content(folder, {"env.id": "Pendulum-v1"})
    training = Training(small(**RUN), folder)
    try:
        training.load(found)
    finally:
        training.close()


def test_other_versions_are_said(folder, monkeypatch):
    content = resume.content(folder, {"env.id": "Pendulum-v1"})
    content["made_with"] |= {"torch": "1.0", "threads": "64"}
    training = Training(small(**RUN), folder)
    with pytest.warns(
        Note, match=r"made with torch 1\.0 \(now 2\..*, threads 64 \(now 1\): the run goes on, but not bit"
    ):
        training.load(content)
    training.close()


@pytest.mark.long
@pytest.mark.parametrize("end", [120, 137])
def test_an_extended_run_has_the_curves_of_one_that_was_as_long_from_the_start(folder, tmp_path, end):
    changes = RUN | {"evaluation": {"interval": 50, "episodes": 1, "max_episode_steps": 1000}, "audit": True}
    run(tmp_path / "short", small(**changes | {"total_steps": end}))
    assert scalars(tmp_path / "short")["eval/mean_return"][-1][0] == end
    content = resume.content(tmp_path / "short", {"env.id": "Pendulum-v1"})
    extended, _ = run(tmp_path / "short", small(**changes | {"total_steps": 170}), content)
    whole, _ = run(tmp_path / "whole", small(**changes | {"total_steps": 170}))
    assert scalars(tmp_path / "short") == scalars(tmp_path / "whole")
    assert all(map(torch.equal, state(extended), state(whole)))


def test_as_many_checkpoints_are_kept_as_are_asked_for(tmp_path):
    for keep, steps in ((1, [200]), (3, [200, 150, 100])):
        run(tmp_path / str(keep), small(checkpoint={"interval": 50, "keep": keep}))
        assert checkpoint.steps(tmp_path / str(keep)) == steps


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("log_interval=5", "log_interval: the run in here keeps its settings"),
        ("seed=0", "seed: the run in here keeps its settings"),
        ("gradient_stop=none", "gradient_stop: the run in here keeps"),
        ("agent=paper", "agent: the run in here keeps"),
        ("env=mountain_car", "env: the run in here keeps"),
        ("env.id=MountainCarContinuous-v0", "env.id=MountainCarContinuous-v0: the run's is Pendulum-v1"),
        ("env.id=math:Reacher-v5", "env.id=math:Reacher-v5: the run's is Pendulum-v1"),
        ("+env.kwargs.max_episode_steps=7", "env.kwargs.max_episode_steps: the run in here keeps"),
        ("experiment=mujoco", "experiment: the run in here keeps"),
        ("+agent.x=1", "agent.x: the run in here keeps"),
    ],
)
def test_what_would_change_the_run_is_refused(command, folder, monkeypatch, typed, sentence):
    monkeypatch.chdir(folder.parent)
    status, _, err = command("train.py", "resume=here", "total_steps=130", typed)
    assert status == 2
    assert sentence in err


def test_the_environment_may_be_named_with_its_module(command, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    status, _, err = command("train.py", "resume=here", "total_steps=130", "env.id=math:Pendulum-v1", "threads=1")
    assert status == 0, err
    assert "bit for bit" not in err
    assert checkpoint.load("here")["settings"]["env"]["id"] == "Pendulum-v1"


@pytest.mark.parametrize(
    ("typed", "note"), [("threads=2", r"threads 1 (now 2)"), ("device=cpu", "device cuda (now cpu)")]
)
def test_threads_and_device_may_change_with_a_note(command, folder, monkeypatch, typed, note):
    monkeypatch.chdir(folder.parent)
    if typed == "device=cpu":
        changed(folder, settings__device="cuda")
        status, _, err = command("train.py", "resume=here", "total_steps=130")
        assert status == 2 or torch.cuda.is_available()
        assert "device=cpu always is" in err or torch.cuda.is_available()
    status, _, err = command("train.py", "resume=here", "total_steps=130", typed)
    assert status == 0, err
    assert note in err
    assert "not bit for bit" in err


def test_a_run_whose_threads_were_chosen_keeps_their_number(folder, monkeypatch):
    monkeypatch.setattr("ddpg.training.loop._AVAILABLE_THREADS", 3)
    content = resume.content(folder, {})
    content["made_with"]["threads"] = "2"
    chosen = []
    monkeypatch.setattr("torch.set_num_threads", chosen.append)
    monkeypatch.setattr("torch.get_num_threads", lambda: chosen[-1])
    for saved, expected in (("2", 2), ("64", 3), ("many", 1)):
        content["made_with"]["threads"] = saved
        training = Training(small(**RUN, threads=None), folder)
        with nullcontext() if expected == 2 else pytest.warns(Note, match="threads"):
            training.load(content)
        training.close()
        assert chosen[-1] == expected


def test_a_run_from_when_one_process_could_train_several_seeds_goes_on(folder):
    changed(folder, settings__seeds=1)
    content = checkpoint.load(folder)
    del content["training"]["policy_output"]
    checkpoint.save(folder / checkpoint.FOLDER / checkpoint.name(120), content)
    assert "seeds" not in resume.run_content(folder, {})["settings"]
    run(folder, small(**RUN | {"total_steps": 130}), resume.content(folder, {}))
    assert checkpoint.steps(folder)[0] == 130
