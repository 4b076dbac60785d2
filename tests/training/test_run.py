"""What one seed's run measures. `test_training.py` tests what the loop makes of it."""

import errno

import gymnasium
import numpy as np
import pytest
import small_runs
import torch
from conftest import weights
from small_runs import scalars, small

from ddpg import DDPG
from ddpg.saving import checkpoint
from ddpg.training.loop import Training
from ddpg.training.run import DivergedError, Run


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "NAdam"])
def test_what_is_shown_of_an_update_is_what_the_update_itself_goes_on_to_return(tmp_path, optimizer):
    settings = small(
        total_steps=80, log_interval=5, agent__optimizer=optimizer, agent__optimizer_options={"weight_decay": 1e-3}
    )
    training = Training(settings, tmp_path)
    update, returned = training.run.update, []

    def keep(batch):
        measurements = update(batch)
        returned.append({tag: float(value) for tag, value in measurements.items()})
        return measurements

    training.run.update = keep
    training.train()
    training.close()
    curves = scalars(tmp_path)
    for tag in returned[0]:
        shown = dict(curves[tag])
        assert shown.keys() == {51, *range(55, 81, 5)}
        for step, value in shown.items():
            assert value == pytest.approx(returned[step - settings.learning_starts - 1][tag], rel=1e-6), (tag, step)


def test_the_digest_tells_any_two_sets_of_weights_apart_and_no_equal_ones(tmp_path):
    """That ways of stopping a gradient end in the same weights is told by it alone."""
    run, same = (Run(small(), tmp_path) for _ in range(2))  # online and target networks are equal as yet
    digest = run._weights_digest()
    found = [digest]
    for parameter in (each for module in run.agent.modules().values() for each in module.parameters()):
        numbers = parameter.data.view(-1)
        for place in {0, len(numbers) - 1}:
            former = numbers[place].clone()
            for other in (np.nextafter(former.numpy(), np.float32(9)), 0.0, -0.0):
                numbers[place] = float(other)
                found.append(run._weights_digest())
            numbers[place] = former
    assert len(found) > 24 * 3
    assert len({*found}) == len(found)
    assert run._weights_digest() == same._weights_digest() == digest
    run.close()
    same.close()


def poisoned(monkeypatch, updates, spoil, losses=float("nan")):
    """Let these updates spoil some weights, and return such losses."""
    update = DDPG.update

    def spoiling(self, batch):
        measurements = update(self, batch)
        if self.critic_updates in updates:
            with torch.no_grad():
                for parameter in spoil(self).parameters():
                    parameter.fill_(torch.nan)
            measurements["losses/critic"] = torch.tensor(losses)
        return measurements

    monkeypatch.setattr(DDPG, "update", spoiling)


def trained(folder, **changes):
    training = Training(small(total_steps=90, log_interval=1000, **changes), folder)
    try:
        training.train()
    finally:
        training.close()
    return training


@pytest.mark.parametrize("interval", [60, 1000])
def test_weights_that_are_not_finite_are_noticed_before_they_act_or_are_kept(tmp_path, monkeypatch, interval):
    """The losses of the update that spoils them are still finite."""
    poisoned(monkeypatch, (10,), lambda agent: agent.actor, losses=1.0)
    what = "its weights are not kept" if interval == 60 else "the actor's action is not finite"
    with pytest.raises(DivergedError, match=rf"at step 60, in update 10: {what}\. Not finite: actor\."):
        trained(tmp_path, checkpoint={"interval": interval, "keep": 2})
    assert checkpoint.steps(tmp_path) == []


def test_the_last_good_checkpoint_is_kept(tmp_path, monkeypatch):
    poisoned(monkeypatch, (17,), lambda agent: agent.critic)
    with pytest.raises(DivergedError, match="at step 67, in update 17: losses/critic=nan"):
        trained(tmp_path, checkpoint={"interval": 10, "keep": 2})
    assert checkpoint.steps(tmp_path) == [60, 50]
    assert all(weight.isfinite().all() for weight in weights(*DDPG.load(tmp_path).modules().values()))


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch, capsys):
    save = checkpoint.save

    def full(path, content):
        if content["training"]["step"] in (60, 70):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(path, content)

    monkeypatch.setattr(checkpoint, "save", full)
    run = trained(tmp_path, checkpoint={"interval": 10, "keep": 9}).run
    assert run.saved_step == 90
    assert checkpoint.steps(tmp_path) == [90, 80, 50, 40, 30, 20, 10]
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 2
    assert "The checkpoint of step 70 cannot be written ([Errno 28] No space left" in said
    assert "that of step 50 stays, and the run goes on." in said


def test_the_bias_of_q_is_in_the_environments_units_where_rewards_are_normalized(tmp_path):
    trained, evaluation = small_runs.run(tmp_path, small(normalize_rewards=True))
    observation, _ = gymnasium.make("Pendulum-v1").reset(seed=10_000)
    inputs = (torch.as_tensor(each).reshape(1, -1) for each in (observation, trained.agent.act(observation)))
    value = float(trained.agent.critic(*inputs).detach())
    assert trained._reward_scale.value > 1
    assert evaluation.start_values[0] == pytest.approx(trained._reward_scale.value * value, rel=1e-5)
