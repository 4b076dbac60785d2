"""Processes of whole runs, and the parts that consist of them: their answers, without the minutes."""

import json
import math

import pytest
from torch.utils.tensorboard import SummaryWriter

from ddpg.base.errors import InputError
from ddpg.benchmark import runs, seeds, solve, stable_baselines3_run
from ddpg.benchmark.options import Options


def test_a_run_leaves_its_result_and_tells_its_memory(tmp_path):
    settings = seeds.overrides(Options("seeds", hidden=8, batch=4), steps=270, compiled=False)
    settings.append("env.kwargs={max_episode_steps: 5}")  # of the final evaluation, too
    assert runs.training(tmp_path, *settings).finish() > 50
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["environment_steps"], result["gradient_steps"]) == (270, 14)
    assert seeds._training_seconds(tmp_path) == result["training_seconds"]


def test_a_failed_run_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="sed: there is no such setting; did you mean seed"):
        runs.training(tmp_path, "sed=1").finish()


def test_seeds_takes_its_ways_in_turn(monkeypatch):
    for way, seconds in (("in_turn", 8.0), ("in_parallel", 4.0), ("at_once", 2.0)):
        monkeypatch.setattr(seeds, way, lambda count, settings, seconds=seconds: seeds.Outcome(seconds, 9.0, 100.0))
    report = seeds.measure(Options("seeds", rounds=2, seeds=4))
    assert [row[0] for row in report.rows][:3] == ["in turn, eager", "in parallel, eager", "at once, eager"]
    assert [row[2].split()[0] for row in report.rows] == ["1.00", "2.00", "4.00"] * 2


def test_the_first_evaluation_that_is_good_enough_counts(tmp_path):
    writer = SummaryWriter(tmp_path)
    for step, value in ((500, -900.0), (1000, -139.0), (1500, -200.0), (2000, -120.0)):
        writer.add_scalar("eval/mean_return", value, step, walltime=100.0 + step)
    writer.close()
    assert solve.first_solved(tmp_path, started=50.0) == (1050.0, 1000)


def test_a_run_that_never_solves_it_took_forever(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.add_scalar("eval/mean_return", -900.0, 500)
    writer.close()
    assert solve.first_solved(tmp_path, started=0.0) == (math.inf, math.inf)


@pytest.mark.filterwarnings("ignore")
def test_stable_baselines_answers_when_it_was_done(monkeypatch, capsys):
    pytest.importorskip("stable_baselines3")
    monkeypatch.setattr(stable_baselines3_run, "INTERVAL", 20)
    returns = iter([-900.0, -139.0])
    monkeypatch.setattr(stable_baselines3_run, "mean_return", lambda model, env: next(returns))
    own, noise = solve._own_settings()
    assert own["tau"] == 0.02 and own["policy_kwargs"] == {"net_arch": [256, 256]} and noise == 0.1
    request = {"settings": own | {"learning_starts": 30}, "noise": noise, "seed": 0, "steps": 100}
    monkeypatch.setattr("sys.argv", ["", json.dumps(request)])
    stable_baselines3_run.main()
    assert json.loads(capsys.readouterr().out)["steps"] == 70  # 30 at random, then 20 twice
