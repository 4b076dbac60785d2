"""`ddpg.train` is the command in Python: the same runs, the same sentences, any environment."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from commands import SMALL as TYPED
from conftest import identical
from filelock import FileLock
from gymnasium.envs.classic_control import PendulumEnv
from own_environments import Doubled
from own_networks import MyActor, MyCritic
from small_runs import Kill, scalars, state
from torch import nn

from ddpg import Batch, InputError, train
from ddpg.saving import checkpoint
from ddpg.training.run import RESULT_NAME
from ddpg.training.settings import EvaluationSettings

SMALL = {
    "total_steps": 120,
    "learning_starts": 50,
    "batch_size": 16,
    "agent": {"hidden_sizes": (8,)},
    "log_interval": 20,
    "evaluation": {"interval": 60, "episodes": 1, "final_episodes": 5},
    "env": {"kwargs": {"max_episode_steps": 20}},
}
"""what `commands.SMALL` types"""
EPISODE = ("observations", "actions", "rewards", "terminations")


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_an_evaluation_after_the_training_leaves_the_callers_environment_as_it_was():
    environment = gymnasium.wrappers.NormalizeObservation(PendulumEnv())
    settings = SMALL | {"env": {}, "evaluation": {"interval": None, "final_episodes": 1, "max_episode_steps": 20}}
    run = train(environment, **settings)
    count = environment.obs_rms.count
    run.evaluate(1)
    assert environment.update_running_mean
    assert environment.obs_rms.count == count


def broken_off(environment, step, **settings):
    with pytest.raises(KeyboardInterrupt):
        train(environment, callbacks=[Kill(step)], **settings)


def result(folder):
    return json.loads(Path(folder, RESULT_NAME).read_text())


def dataset(rows):
    generator = np.random.default_rng(0)
    observations, following = generator.uniform(-1, 1, (2, rows, 3))
    return observations, generator.uniform(-2, 2, (rows, 1)), generator.normal(size=rows), following, np.zeros(rows)


def test_a_call_and_the_command_train_the_same_run(command):
    run = train("Pendulum-v1", folder="call", gradient_stop="detach", seed=3, **SMALL)
    status, _, err = command("train.py", *TYPED, "gradient_stop=detach", "seed=3", "hydra.run.dir=typed")
    assert status == 0, err
    one, other = result("call"), result("typed")
    for key in ("settings", "config_digest", "weights_digest", "returns", "q_bias", "gradient_steps", "threads"):
        assert one[key] == other[key]
    assert scalars("call") == scalars("typed")
    assert run.evaluation.returns.tolist() == other["returns"]


def test_what_is_returned_acts_and_evaluates_as_the_run_did():
    threads = torch.get_num_threads()
    env = {**SMALL["env"], "num_envs": 2, "asynchronous": True}
    run = train("Pendulum-v1", **SMALL | {"env": env, "threads": threads + 1})
    assert torch.get_num_threads() == threads
    assert run.folder.parts[:4] == ("runs", "no_grad-target", "Pendulum-v1", "0")
    assert run.settings.total_steps == run.step == 120
    np.testing.assert_array_equal(run.evaluate(episodes=5).returns, run.evaluation.returns)
    assert len(run.evaluate(episodes=2).returns) == 2
    assert run.agent.act(np.zeros(3, np.float32)).shape == (1,)
    with pytest.raises(InputError, match="episodes=0: must be a whole number, 1 or more"):
        run.evaluate(0)


def test_running_statistics_are_those_of_the_end():
    settings = SMALL | {"env": {"num_envs": 2, "asynchronous": True}}
    run = train("own_environments:Normalised-v0", folder="here", **settings)
    np.testing.assert_array_equal(run.evaluate(episodes=5).returns, run.evaluation.returns)


@pytest.mark.parametrize("environment", [PendulumEnv, lambda **kwargs: PendulumEnv(**kwargs)], ids=["class", "factory"])
def test_the_environment_may_be_a_class_or_a_function(environment):
    named = train("Pendulum-v1", folder="named", **SMALL)
    run = train(environment, folder="own", **SMALL)
    assert identical(state(named), state(run))
    assert run.settings.env.id in ("PendulumEnv", "lambda")
    assert run.settings.env.id not in gymnasium.registry
    np.testing.assert_array_equal(run.evaluate(episodes=5).returns, named.evaluation.returns)
    broken_off(environment, 70, folder="broken", **SMALL | {"checkpoint": {"interval": 60}})
    resumed = train(environment, folder="broken", resume=True)
    assert identical(state(resumed), state(named))


@pytest.mark.skipif("shared" not in EvaluationSettings.model_fields, reason="no shared evaluation")
def test_the_environment_may_be_one_object_which_stays_open():
    environment = PendulumEnv()
    environment.close = pytest.fail
    run = train(environment, folder="here", **SMALL)
    assert run.settings.evaluation.shared
    assert len(run.evaluate(episodes=2).returns) == 2


def test_a_run_that_goes_on_is_the_run_that_was_as_long_from_the_start():
    whole = train("Pendulum-v1", folder="whole", **SMALL | {"total_steps": 180})
    train("Pendulum-v1", folder="here", **SMALL)
    longer = train("Pendulum-v1", folder="here", resume=True, total_steps=180)
    assert identical(state(whole), state(longer))
    assert scalars("whole") == scalars("here")
    np.testing.assert_array_equal(whole.evaluation.returns, longer.evaluation.returns)


@pytest.mark.parametrize("kind", [tuple, lambda arrays: Batch(*map(torch.as_tensor, arrays))], ids=["arrays", "Batch"])
def test_transitions_are_in_the_buffer_from_the_start_and_a_resumed_run_keeps_them(kind):
    """Those that are overwritten one by one as well: the buffer overflows in this run."""
    given = dataset(70)
    settings = SMALL | {"buffer_size": 100, "checkpoint": {"interval": 15, "keep": 1}}
    run = train("Pendulum-v1", folder="whole", transitions=kind(given), **settings)
    assert run.buffer.added == 190
    broken_off("Pendulum-v1", 55, folder="broken", transitions=kind(given), **settings)
    content = checkpoint.load("broken")
    assert content["training"]["buffer"]["added"] == 115
    assert [part[:2] for part in content["training"]["parts"]] == [[0, 85], [85, 100], [100, 115]]
    resumed = train("Pendulum-v1", folder="broken", resume=True)
    assert identical(state(run), state(resumed))
    assert scalars("whole") == scalars("broken")
    parts = sorted(path.stem for path in Path("whole/checkpoints/transitions").iterdir())
    assert parts == sorted(f"{first}-{first + 15}" for first in range(85, 190, 15))


def test_transitions_are_learned_from():
    one = train("Pendulum-v1", folder="one", **SMALL)
    other = train("Pendulum-v1", folder="other", transitions=dataset(70), **SMALL)
    assert not identical(state(one)[:4], state(other)[:4])
    for given, stored in zip(dataset(70), other.buffer.transitions(), strict=True):
        np.testing.assert_array_equal(stored[:70], given.astype(np.float32))


def test_the_example_for_minari_works(monkeypatch):
    episodes = []
    for length in (3, 5):
        observations = np.arange(length + 1.0).repeat(2).reshape(-1, 2) + 10 * len(episodes)
        arrays = observations, np.ones((length, 1)), np.arange(length), np.arange(length) == length - 1
        episodes.append(SimpleNamespace(**dict(zip(EPISODE, arrays, strict=True))))
    minari = ModuleType("minari")
    minari.load_dataset = lambda name, download: SimpleNamespace(iterate_episodes=lambda: episodes)
    monkeypatch.setitem(sys.modules, "minari", minari)
    page = Path(__file__).parents[2] / "docs/python.md"
    (example,) = re.findall(r"```python\n(import minari\n.*?)```", page.read_text("utf-8"), re.DOTALL)
    given = {}
    exec(example, {"train": lambda *_, transitions: given.update(zip(Batch._fields, transitions, strict=True))})
    assert given["observations"][:, 0].tolist() == [0, 1, 2, 10, 11, 12, 13, 14]
    assert given["next_observations"][:, 0].tolist() == [1, 2, 3, 11, 12, 13, 14, 15]
    assert given["rewards"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert given["terminations"].tolist() == [False, False, True, False, False, False, False, True]
    assert given["actions"].shape == (8, 1)


@pytest.mark.parametrize(
    ("environment", "arguments", "sentence"),
    [
        ("Pendulum-v1", {"total_steps": "many"}, r"total_steps=many: must be a valid integer; 1 is valid\."),
        ("Pendulum-v1", {"hidden_sizes": [8]}, r"hidden_sizes=.*: there is no such setting; did you mean agent\.hid"),
        ("Pendulum-v1", {"agent": {"hidden": [8]}}, r"agent\.hidden=.*; did you mean agent\.hidden_sizes\?"),
        ("Pendulum-v1", {"agent": 8}, r"agent=8: must be a valid dictionary"),
        ("Pendulum-v1", {"env": 8}, r"env=8: must be a valid dictionary"),
        ("Pendulum-v1", {"experiment": "mujoco"}, r"experiment=mujoco: there is no such setting"),
        ("Pendulum-v1", {"device": "tpu"}, r"device=tpu: not usable on this machine"),
        ("Pendulum-v1", {"callbacks": print}, r"callbacks=.*: must be a list of instances of ddpg\.Callback"),
        ("Pendulum-v1", {"callbacks": [print]}, r"callbacks=.*: must be a list of instances of ddpg\.Callback"),
        ("Pendulum-v1", {"resume": True}, r"resume=True: give the folder of the run"),
        ("Pendulum-v1", {"resume": True, "folder": "none"}, r"none: the folder holds no checkpoint"),
        ("Pendulum-v1", {"transitions": 3}, r"transitions of type int: must be arrays of observations, actions"),
        ("Pendulum-v1", {"transitions": dataset(9)[:4]}, r"transitions of type tuple: must be arrays of"),
        ("MountainCarContinuous-v0", {"transitions": dataset(9)}, r"observation of shape \(9, 3\): expected \(2,\)"),
        ("Pendulum-v9", {}, r"env\.id=Pendulum-v9: no such environment is registered; did you mean Pendulum-v1\?"),
        (5, {}, r"environment=5: must be a name, a class or function that makes a gymnasium\.Env, or one itself\."),
        (dict, {}, r"env\.id=dict: cannot be made"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(environment, arguments, sentence):
    with pytest.raises(InputError, match=sentence) as raised:
        train(environment, **arguments)
    assert "\n" not in str(raised.value)
    assert list(Path().iterdir()) == []


def test_a_folder_is_kept_from_what_would_spoil_it():
    train("Pendulum-v1", folder="here", **SMALL)
    before = result("here")
    for environment, arguments, sentence in (
        ("Pendulum-v1", {}, "folder=here: holds a run already; choose another, or add resume=True"),
        ("Pendulum-v1", {"resume": True}, "total_steps=120: the run already stands at step 120"),
        ("Pendulum-v1", {"resume": True, "agent": {"polyak": 0.1}}, r"agent\.polyak: the run in here keeps"),
        (
            "Pendulum-v1",
            {"resume": True, "total_steps": 140, "transitions": dataset(9)},
            "transitions: a run that goes",
        ),
        ("Reacher-v5", {"resume": True, "total_steps": 140}, "env.id=Reacher-v5: the run's is Pendulum-v1"),
        (PendulumEnv, {"resume": True, "total_steps": 140}, "env.id=PendulumEnv: the run's is Pendulum-v1"),
    ):
        with pytest.raises(InputError, match=sentence):
            train(environment, folder="here", **arguments)
    with FileLock("here/.lock"), pytest.raises(InputError, match="here: another process is training this run"):
        train("Pendulum-v1", folder="here", resume=True, total_steps=140)
    Path("file").write_text("")
    with pytest.raises(InputError, match="file/run: cannot be made"):
        train("Pendulum-v1", folder="file/run", **SMALL)
    assert result("here") == before


def test_hydra_is_not_imported():
    program = "import sys; from ddpg import CSVLog, train; assert not {'hydra', 'omegaconf'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_networks_and_wrappers_are_given_as_classes_also_to_go_on():
    given = {
        **SMALL,
        "agent": {"actor": MyActor, "critic": MyCritic},
        "env": {"wrappers": [Doubled], **SMALL["env"]},
    }
    whole = train("Pendulum-v1", folder="whole", **given | {"total_steps": 150})
    train("Pendulum-v1", folder="part", **given)
    names = {"agent": given["agent"], "env": {"wrappers": [Doubled]}}
    resumed = train("Pendulum-v1", folder="part", resume=True, total_steps=150, **names)
    assert identical(state(whole), state(resumed))
    assert result("part")["settings"]["agent"]["actor"] == "own_networks.MyActor"
    with pytest.raises(InputError, match=r"agent\.actor=Sequential.*string; my_module\.MyActor is valid"):
        train("Pendulum-v1", agent={"actor": nn.Sequential()})
    with pytest.raises(InputError, match=r"the run's is own_networks\.MyActor; give agent\.actor=own"):
        train("Pendulum-v1", folder="part", resume=True, total_steps=170, **names | {"agent": {"actor": MyCritic}})
