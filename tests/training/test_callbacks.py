"""Callbacks hear of everything, may end a training, and leave it as it is otherwise."""

import csv
import random
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import identical
from small_runs import Kill, small, state

from ddpg import Callback, CSVLog, stop_at
from ddpg.saving import checkpoint
from ddpg.training.loop import Training
from ddpg.training.run import RESULT_NAME

DOCS = Path(__file__).parents[2] / "docs"


class Heard(Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.events = []

    def on_start(self, run):
        self.events.append(("start", run.step))

    def on_step(self, run, transitions):
        self.events.append(("step", run.step, len(transitions.rewards)))

    def on_episode(self, run, returns):
        self.events.append(("episode", run.step, returns.tolist()))

    def on_update(self, run, measurements):
        self.events.append(("update", run.step, float(measurements["losses/critic"])))

    def on_evaluation(self, run, evaluation):
        self.events.append(("evaluation", run.step, evaluation.returns.tolist()))

    def of(self, kind):
        return [event[1:] for event in self.events if event[0] == kind]


class EndsAt(Callback):
    """Asks for the end by one of its methods, from a step on."""

    def __init__(self, method, step):
        setattr(self, method, lambda run, happened: run.step >= step)


def trained(folder, settings, *callbacks, resumed=False):
    training = Training(settings, folder, callbacks=callbacks)
    if resumed:
        training.load(checkpoint.load(folder))
    try:
        training.train()
    finally:
        training.close()
    return training.run


def rows(path):
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.long
@pytest.mark.parametrize("compiled", [False, True])
def test_everything_is_heard_and_nothing_is_changed(tmp_path, interpreted, compiled):
    settings = small(compile=compiled, env__num_envs=2, total_steps=120)
    heard = Heard()
    run = trained(tmp_path / "heard", settings, heard)
    plain = trained(tmp_path / "plain", settings)
    assert identical(state(run), state(plain))
    np.testing.assert_array_equal(run.evaluation.returns, plain.evaluation.returns)
    assert heard.of("start") == [(0,)]
    assert heard.of("step") == [(step, 2) for step in range(2, 121, 2)]
    assert [(step, len(returns)) for step, returns in heard.of("episode")] == [(60, 2), (120, 2)]
    assert [step for step, _ in heard.of("update")] == [step for step in range(52, 121, 2) for _ in range(2)]
    assert [step for step, _ in heard.of("evaluation")] == [100]


def test_a_callback_may_evaluate_meanwhile_and_nothing_is_changed(tmp_path):
    """Even where the environments draw from the generators of the whole process."""

    class Evaluates(Callback):
        def on_step(self, run, transitions):
            if run.step % 7 == 0:
                assert len(run.evaluate(episodes=1).returns) == 1

    settings = small(env__id="own_environments:Dice-v0", env__kwargs={}, total_steps=70)
    run = trained(tmp_path / "evaluates", settings, Evaluates())
    plain = trained(tmp_path / "plain", settings)
    assert identical(state(run), state(plain))


def test_what_a_callback_draws_is_no_environments(tmp_path):
    class Draws(Callback):
        def on_step(self, run, transitions):
            random.random(), np.random.normal()

    settings = small(env__id="own_environments:Dice-v0", env__kwargs={}, total_steps=70)
    run = trained(tmp_path / "draws", settings, Draws())
    plain = trained(tmp_path / "plain", settings)
    assert identical(state(run), state(plain))


@pytest.mark.parametrize("method", ["on_update", "on_evaluation"])
def test_weights_that_a_callback_writes_decide_the_next_action_also_of_compiled_code(tmp_path, method, interpreted):
    actions = []

    class Writes(Callback):
        def on_step(self, run, transitions):
            actions.append((run.step, transitions.actions.item()))

    def write(self, run, happened):
        if run.step == 60:
            with torch.no_grad():
                run.agent.actor.output.bias.fill_(100)

    setattr(Writes, method, write)
    quiet = {"name": "gaussian", "sigma": 0.0}
    settings = small(
        total_steps=80, compile=True, exploration=quiet, evaluation={"interval": 60, "episodes": 1, "final_episodes": 1}
    )
    trained(tmp_path, settings, Writes())
    assert dict(actions)[60] < 1.9 < dict(actions)[61]


@pytest.mark.long
@pytest.mark.parametrize("method", ["on_step", "on_episode", "on_update", "on_evaluation"])
def test_true_from_any_method_ends_the_training_in_the_ordinary_way(tmp_path, method):
    settings = small(evaluation={"interval": 40, "episodes": 1, "max_episode_steps": 1000}, total_steps=150)
    expected = {"on_step": 70, "on_episode": 90, "on_update": 70, "on_evaluation": 80}[method]
    run = trained(tmp_path / "ended", settings, EndsAt(method, 70))
    assert run.step == run.saved_step == expected
    assert (tmp_path / "ended" / RESULT_NAME).exists()
    short = trained(tmp_path / "short", settings.model_copy(update={"total_steps": expected}))
    assert identical(state(run), state(short))
    np.testing.assert_array_equal(run.evaluation.returns, short.evaluation.returns)
    # Somebody may want to go on with it all the same.
    longer = trained(tmp_path / "ended", settings, resumed=True)
    whole = trained(tmp_path / "whole", settings)
    assert longer.step == 150
    assert identical(state(longer), state(whole))


def test_a_mean_return_ends_the_training_at_the_evaluation_that_has_it(tmp_path):
    settings = small(evaluation={"interval": 40, "episodes": 2, "max_episode_steps": 1000})
    heard = Heard()
    trained(tmp_path / "whole", settings, heard)
    means = {step: np.mean(returns) for step, returns in heard.of("evaluation")}
    best = max(means, key=means.get)
    run = trained(tmp_path / "best", settings, stop_at(means[best]))
    assert run.step == best
    run = trained(tmp_path / "better", settings, stop_at(means[best] + 1e-6))
    assert run.step == 200


def test_a_training_that_a_callback_has_ended_is_not_taken_up_again_in_its_final_evaluation(tmp_path, monkeypatch):
    settings = small(gradient_steps_per_step=0)
    with monkeypatch.context() as patch:
        patch.setattr("ddpg.training.loop.fleeting", lambda *_: [0, "killed"])
        with pytest.raises(TypeError):
            trained(tmp_path, settings, EndsAt("on_evaluation", 100))
    run = trained(tmp_path, settings, EndsAt("on_evaluation", 100), resumed=True)
    assert run.step == 100
    assert (run.folder / RESULT_NAME).exists()


@pytest.mark.long
@pytest.mark.parametrize("changes", [{}, {"env__num_envs": 3}], ids=str)
def test_the_files_of_a_resumed_run_are_those_of_an_unbroken_one(tmp_path, changes):
    settings = small(
        checkpoint={"interval": 50, "keep": 2},
        evaluation={"interval": 20, "episodes": 1, "max_episode_steps": 1000},
        total_steps=210,
        **changes,
    )
    whole = trained(tmp_path / "whole", settings, CSVLog())
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", settings, CSVLog(), Kill(144))
    assert rows(tmp_path / "broken/evaluations.csv")[-1]["step"] > 120
    with (tmp_path / "broken/episodes.csv").open("a") as file:
        file.write("15")  # the process died while it wrote 150
    resumed = trained(tmp_path / "broken", settings, CSVLog(), resumed=True)
    for name in ("episodes.csv", "evaluations.csv"):
        assert (whole.folder / name).read_text() == (resumed.folder / name).read_text()
    heard = Heard()
    trained(tmp_path / "heard", settings, heard)
    evaluations, episodes = rows(whole.folder / "evaluations.csv"), rows(whole.folder / "episodes.csv")
    assert [(row["step"], row["mean_return"]) for row in evaluations] == [
        (step, np.mean(returns)) for step, returns in heard.of("evaluation")
    ]
    assert [(row["step"], row["return"]) for row in episodes] == [
        (step, each) for step, returns in heard.of("episode") for each in returns
    ]


def test_a_new_run_does_not_go_on_with_the_files_of_another(tmp_path):
    with pytest.raises(KeyboardInterrupt):  # before its first checkpoint
        trained(tmp_path, small(), CSVLog(), Kill(130))
    trained(tmp_path, small(evaluation={"interval": 200, "episodes": 1, "max_episode_steps": 1000}), CSVLog())
    assert [row["step"] for row in rows(tmp_path / "evaluations.csv")] == [200]


def test_the_example_for_weights_and_biases_works(tmp_path, monkeypatch):
    logged = []
    wandb = ModuleType("wandb")
    wandb.init = lambda **options: logged.append(options)
    wandb.log = lambda values, step: logged.append((step, values))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    (example,) = re.findall(r"```python\n(import wandb\n.*?)```", (DOCS / "python.md").read_text("utf-8"), re.DOTALL)
    names = {}
    exec(example, names)
    run = trained(tmp_path, small(), names["WandB"]())
    first, *others = logged
    assert first["config"] == run.settings.model_dump()
    assert {step for step, _ in others} == {30, 60, 90, 100, 120, 150, 180, 200}
    assert {key for _, values in others for key in values} == {"eval/mean_return", "rollout/episode_return"}
