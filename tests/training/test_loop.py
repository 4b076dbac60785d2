"""Promise 4: a run is a function of its config and seed, whether or not it was broken off."""

import json
import signal

import numpy as np
import own_environments
import pytest
import torch
from conftest import identical, weights
from small_runs import SMALL, run, scalars, small, state
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddpg import DDPG, Callback, InputError
from ddpg.base.errors import FaultyEnvironmentError, Note
from ddpg.environments import make_environment
from ddpg.saving import checkpoint
from ddpg.training.evaluation import evaluate
from ddpg.training.loop import Training, check_run
from ddpg.training.run import DivergedError, Run
from ddpg.training.stopping import Stopped
from ddpg.training.telemetry import Telemetry

NORMALIZED = {"agent__layer_norm": True, "agent__normalize_observations": True}
OWN_ACTOR = "own_networks.MyActor"


def own(name, **changes):
    """Settings of a run in one of the environments of `own_environments`."""
    return small(env={**SMALL["env"], "id": f"own_environments:{name}-v0", "kwargs": {}}, **changes)


@pytest.mark.parametrize("changes", [{}, {"env__num_envs": 4, "exploration": {"name": "ornstein_uhlenbeck"}}], ids=str)
def test_equal_settings_give_equal_runs(tmp_path, changes):
    one, evaluation = run(tmp_path / "one", small(**changes))
    other, again = run(tmp_path / "other", small(**changes))
    assert identical(state(one), state(other))
    np.testing.assert_array_equal(evaluation.returns, again.returns)
    assert scalars(tmp_path / "one") == scalars(tmp_path / "other")
    third, _ = run(tmp_path / "third", small(seed=1, **changes))
    assert not identical(state(one), state(third))


def test_environments_in_processes_of_their_own_make_no_difference(tmp_path):
    one, _ = run(tmp_path / "one", small(env__num_envs=3))
    other, _ = run(tmp_path / "other", small(env__num_envs=3, env__asynchronous=True))
    assert identical(state(one), state(other))
    assert scalars(tmp_path / "one") == scalars(tmp_path / "other")


@pytest.mark.long
@pytest.mark.parametrize("name", ["Dice", "Normalised"])
@pytest.mark.parametrize(
    "changes", [{}, {"env__num_envs": 3}, {"env__num_envs": 2, "env__asynchronous": True}], ids=str
)
def test_what_outlives_an_episode_is_repeated_resumed_and_evaluated_alike(tmp_path, name, changes):
    whole, evaluation = run(tmp_path / "whole", own(name, **changes))
    other, again = run(tmp_path / "other", own(name, **changes))
    run(tmp_path / "resumed", own(name, total_steps=129, **changes))  # in the middle of an episode
    content = checkpoint.load(tmp_path / "resumed")
    resumed, resumed_evaluation = run(tmp_path / "resumed", own(name, **changes), content)
    for each, its_evaluation in ((other, again), (resumed, resumed_evaluation)):
        assert identical(state(whole), state(each))
        np.testing.assert_array_equal(evaluation.returns, its_evaluation.returns)
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "resumed")
    # As evaluate.py does.
    content = checkpoint.load(tmp_path / "whole")
    environment = make_environment(f"own_environments:{name}-v0", {})
    environment.freeze(content["training"]["statistics"])
    found = evaluate(DDPG.load(tmp_path / "whole"), environment, range(5))
    np.testing.assert_array_equal(found.returns, evaluation.returns)


def test_environments_that_share_a_world_are_evaluated_one_after_the_other(tmp_path):
    trained, evaluation = run(tmp_path, own("OneWorld"))
    environment = make_environment("own_environments:OneWorld-v0", {})
    np.testing.assert_array_equal(evaluate(trained.agent, environment, range(5)).returns, evaluation.returns)


@pytest.mark.parametrize("name", ["Remembers", "Unseeded"])
def test_an_environment_that_does_not_repeat_itself_is_named_at_the_start(tmp_path, name):
    with pytest.warns(Note, match=f"{name}-v0 does not repeat an episode from the same seed and actions"):
        Training(own(name), tmp_path).close()


@pytest.mark.parametrize("when", [100, 200])  # on the way; in the final one
def test_a_stop_in_an_evaluation_is_seen_and_the_run_goes_on_from_there(tmp_path, when):
    settings = own("Walk", total_steps=200)
    _, evaluation = run(tmp_path / "whole", settings)
    stopped = Training(settings, tmp_path / "stopped")
    step = stopped.evaluation_environment.step

    def stop(action):
        if stopped.step == when:
            signal.raise_signal(signal.SIGINT)
            stopped.evaluation_environment.step = step
        return step(action)

    stopped.evaluation_environment.step = stop
    with pytest.raises(Stopped):
        stopped.train()
    assert stopped.step == when
    stopped.close()
    _, again = run(tmp_path / "stopped", settings, checkpoint.load(tmp_path / "stopped"))
    np.testing.assert_array_equal(evaluation.returns, again.returns)
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "stopped")


def test_an_endless_episode_is_cut_off_in_an_evaluation(tmp_path):
    settings = own("Walk", evaluation={"interval": 100, "final_episodes": 5, "max_episode_steps": 7}, total_steps=60)
    _, evaluation = run(tmp_path, settings)
    assert set(evaluation.lengths) == {7}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"env__num_envs": 3, "exploration": {"name": "ornstein_uhlenbeck"}},
        {"env__num_envs": 2, "env__asynchronous": True, "gradient_steps_per_step": 0.3},
        {"gradient_stop": {"name": "manual", "scale": 0.5, "every": 3}, "agent__optimizer": "SGD"},
        {"env": {**SMALL["env"], "id": "own_environments:Picture-v0", "kwargs": {}}},  # packed, and the ring goes round
        {"env__num_envs": 2, "n_step": 3, "normalize_rewards": True, **NORMALIZED, "buffer_size": 60},
        {"n_step": 5, **NORMALIZED, "evaluation": {"interval": 70, "shared": True}, "agent__actor": OWN_ACTOR},
    ],
    ids=str,
)
def test_a_resumed_run_ends_as_if_it_had_not_been_broken_off(tmp_path, changes):
    whole, evaluation = run(tmp_path / "whole", small(total_steps=240, **changes))
    run(tmp_path / "resumed", small(total_steps=130, **changes))  # in the middle of an episode
    content = checkpoint.load(tmp_path / "resumed")
    resumed, again = run(tmp_path / "resumed", small(total_steps=240, **changes), content)
    assert identical(state(whole), state(resumed))
    np.testing.assert_array_equal(evaluation.returns, again.returns)
    assert whole.step == resumed.step
    assert whole.agent.critic_updates == resumed.agent.critic_updates
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "resumed")


@pytest.mark.parametrize(
    ("num_envs", "ratio", "steps", "updates"), [(1, 1, 200, 150), (8, 1, 200, 150), (8, 0.5, 200, 75), (3, 2, 201, 302)]
)
def test_gradient_steps_follow_environment_steps(tmp_path, num_envs, ratio, steps, updates):
    training, _ = run(tmp_path, small(env__num_envs=num_envs, gradient_steps_per_step=ratio))
    assert training.step == steps
    assert training.agent.critic_updates == updates
    assert len(training.buffer) == 150


def test_what_a_run_leaves_behind(tmp_path):
    training, evaluation = run(tmp_path, small())
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["mean_return"] == evaluation.returns.mean()
    assert len(result["returns"]) == small().evaluation.final_episodes
    assert result["seed"] == 0
    assert result["config_digest"] == small().digest()
    assert result["weights_digest"] == training._weights_digest()
    assert result["versions"].keys() == {"python", "ddpg", "torch", "gymnasium", "numpy"}
    loaded = DDPG.load(tmp_path)
    assert identical(weights(*loaded.modules().values()), weights(*training.agent.modules().values()))
    curves = scalars(tmp_path)
    assert curves.keys() == {
        "rollout/episode_return",
        "rollout/episode_length",
        "eval/mean_return",
        "eval/q_bias",
        "eval/final_return",
        "losses/critic",
        "losses/actor",
        "values/q_mean",
        "values/target_actor_gap",
        *(f"gradient_flow/critic_loss_to_{module}" for module in ("actor", "target_actor", "critic")),
        *(f"gradient_flow/actor_loss_to_{module}" for module in ("actor", "critic")),
    }
    assert [step for step, _ in curves["losses/critic"]] == [51, *range(60, 201, 20)]
    assert [step for step, _ in curves["eval/mean_return"]] == [100, 200]
    assert curves["rollout/episode_length"] == [(step, 30) for step in range(30, 200, 30)]
    assert {value for _, value in curves["gradient_flow/critic_loss_to_target_actor"]} == {0}


@pytest.mark.long
@pytest.mark.parametrize(("num_envs", "ratio"), [(1, 1), (3, 0.7)])
def test_an_audit_shows_the_first_and_the_last_update_and_changes_nothing(
    tmp_path, capsys, monkeypatch, num_envs, ratio
):
    settings = {"env__num_envs": num_envs, "gradient_steps_per_step": ratio, "log_interval": 1000}
    plain, _ = run(tmp_path / "plain", small(**settings))
    audited, _ = run(tmp_path / "audited", small(audit=True, **settings))
    for name, module in plain.agent.modules().items():
        assert identical(weights(module), weights(audited.agent.modules()[name]))
    assert capsys.readouterr().out.count("Audit of one update") == 2
    events = EventAccumulator(str(tmp_path / "audited")).Reload()
    for tag in ("audit/update_critic", "audit/update_actor"):
        first, last = (event.step for event in events.Images(tag))
        assert 50 < first < 55 < 195 < last <= 201
    shown = []
    monkeypatch.setattr(Telemetry, "audit", lambda self, step, flow: shown.append(step))
    training, _ = run(tmp_path / "again", small(audit=True, **settings))
    assert len(shown) == 2
    updates = training.agent.critic_updates
    assert updates == int((training.step - 50) * ratio)
    assert shown[-1] == min(step for step in range(0, 250, num_envs) if int((step - 50) * ratio) == updates)


def test_a_short_run_without_learning_still_ends_well(tmp_path):
    training, _ = run(tmp_path, small(total_steps=30))
    assert training.agent.critic_updates == 0
    assert (tmp_path / "result.json").exists()


def test_a_truncated_episode_bootstraps_and_a_terminated_one_does_not(tmp_path):
    truncating, _ = run(tmp_path / "one", small())
    assert truncating.buffer.transitions().terminations.sum() == 0
    env = {"id": "InvertedPendulum-v5", "num_envs": 1, "asynchronous": False, "timeout": 60, "kwargs": {}}
    terminating, _ = run(tmp_path / "other", small(env=env))
    assert terminating.buffer.transitions().terminations.sum() > 5


def test_divergence_is_said_with_what_to_lower(tmp_path):
    with pytest.raises(
        DivergedError,
        match=r"at step 51, in update 1: losses/.*=(inf|nan).*Not finite: .*Lower agent\.critic_lr=1e\+30",
    ):
        run(tmp_path, small(agent__critic_lr=1e30))


def test_a_device_or_an_environment_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    for changes in ({"device": "meta2"}, {"env__kwargs": {"gravity": 1}}, {"env__id": "CartPole-v1"}):
        with pytest.raises(InputError):
            run(tmp_path, small(**changes))
    assert not list(tmp_path.iterdir())


def test_settings_reach_the_agent(tmp_path):
    training = Run(small(seed=3, exploration={"name": "ornstein_uhlenbeck", "theta": 0.5}), tmp_path)
    assert training.agent.exploration.as_data() == {
        "name": "ornstein_uhlenbeck",
        "theta": 0.5,
        "sigma": 0.2,
        "dt": 1.0,
    }
    space = training.agent.observation_space, training.agent.action_space
    same = DDPG(*space, hidden_sizes=(8, 8), seed=3)
    assert identical(weights(training.agent.actor), weights(same.actor))
    training.close()


def test_actions_are_random_before_learning_starts_and_the_policys_afterwards(tmp_path):
    exploration = {"name": "gaussian", "sigma": 0.0}
    training, _ = run(tmp_path, small(total_steps=120, learning_starts=100, exploration=exploration))
    batch = training.buffer.transitions()
    random = batch.actions[:100, 0].numpy()
    assert abs(random.mean()) < 0.35
    assert 0.9 < random.std() < 1.4  # uniform in ±2 has 1.15
    assert len(set(random)) == 100
    other = Run(small(seed=1), tmp_path / "other")
    assert not np.isin(other._actions().ravel(), random).any()
    other.close()
    first = DDPG(training.agent.observation_space, training.agent.action_space, hidden_sizes=(8, 8))
    expected = first.act(batch.observations[100].numpy())  # no update had been made yet
    np.testing.assert_allclose(batch.actions[100].numpy(), expected, rtol=1e-5)


def test_a_run_broken_off_before_learning_starts_is_resumed_exactly(tmp_path):
    settings = {"learning_starts": 100, "total_steps": 150}
    whole, _ = run(tmp_path / "whole", small(**settings))
    run(tmp_path / "resumed", small(**settings | {"total_steps": 45}))
    resumed, _ = run(tmp_path / "resumed", small(**settings), checkpoint.load(tmp_path / "resumed"))
    assert identical(state(whole), state(resumed))
    assert (
        scalars(tmp_path / "whole")["rollout/episode_return"] == scalars(tmp_path / "resumed")["rollout/episode_return"]
    )


def test_episode_returns_are_the_sums_of_rewards_and_noise_restarts_with_each_episode(tmp_path, monkeypatch):
    resets = []
    monkeypatch.setattr(
        "ddpg.exploration.OrnsteinUhlenbeckNoise.reset", lambda self, ended: resets.append(ended.tolist())
    )
    settings = small(total_steps=150, env__num_envs=2, exploration={"name": "ornstein_uhlenbeck"})
    training, _ = run(tmp_path, settings)
    rewards = training.buffer.transitions().rewards.numpy()  # the two environments in turn
    expected = [rewards[start : start + 60].sum() / 2 for start in (0, 60)]
    curve = scalars(tmp_path)["rollout/episode_return"]
    np.testing.assert_allclose([value for _, value in curve], expected, rtol=1e-5)
    assert resets == [[True, True]] * 2


def test_a_compiled_run_is_measured_on_an_eager_copy_and_learns_the_same(tmp_path, interpreted):
    settings = {"total_steps": 80, "log_interval": 10, "audit": True, "agent__optimizer": "SGD"}
    eager, _ = run(tmp_path / "eager", small(**settings))
    compiled, _ = run(tmp_path / "compiled", small(compile=True, **settings))
    assert compiled.agent.critic_updates == 30
    for one, other in zip(state(eager), state(compiled), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    expected, curves = scalars(tmp_path / "eager"), scalars(tmp_path / "compiled")
    assert curves.keys() == expected.keys()
    for tag in ("gradient_flow/critic_loss_to_critic", "gradient_flow/actor_loss_to_actor", "losses/critic"):
        assert curves[tag] == [(step, pytest.approx(value, rel=1e-2)) for step, value in expected[tag]]
        assert len(curves[tag]) == 4


def test_a_compiled_run_is_resumed_exactly(tmp_path, interpreted):
    whole, _ = run(tmp_path / "whole", small(compile=True, total_steps=100))
    run(tmp_path / "resumed", small(compile=True, total_steps=70))
    resumed, _ = run(tmp_path / "resumed", small(compile=True, total_steps=100), checkpoint.load(tmp_path / "resumed"))
    assert identical(state(whole), state(resumed))
    # What the latest update has computed for the next step goes along: the actor alone would round it otherwise.
    content = checkpoint.load(tmp_path / "resumed")
    assert content["training"]["policy_output"].shape == (1, 1)
    content["training"]["policy_output"] += 1
    other, _ = run(tmp_path / "resumed", small(compile=True, total_steps=130), content)
    longer, _ = run(tmp_path / "longer", small(compile=True, total_steps=130))
    assert not identical(state(other), state(longer))


def test_where_nothing_can_be_compiled_a_sentence_says_so_and_the_run_is_eager(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    eager, _ = run(tmp_path / "eager", small())
    capsys.readouterr()
    compiled, _ = run(tmp_path / "compiled", small(compile=True))
    assert "CXX=no-such-compiler: no such program" in capsys.readouterr().err
    assert identical(state(eager), state(compiled))


BIG = {"agent__hidden_sizes": [256, 256], "batch_size": 150}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, 1), (BIG, 3), (BIG | {"threads": 2}, 2)],
)
def test_threads_follow_the_size_of_the_update(tmp_path, monkeypatch, changes, expected):
    monkeypatch.setattr("ddpg.training.loop._AVAILABLE_THREADS", 3)
    chosen = []
    monkeypatch.setattr("torch.set_num_threads", chosen.append)
    Training(small(**{"threads": None, **changes}), tmp_path).close()
    assert chosen == [expected]


SHARED = {"evaluation": {"interval": 50, "episodes": 2, "final_episodes": 3, "shared": True}, "total_steps": 200}


@pytest.fixture
def one_alone(monkeypatch):
    """A second one at the same time raises."""
    monkeypatch.setattr("own_environments.Alone.there", 0)


@pytest.mark.parametrize("name", ["Alone", "Normalised"])
@pytest.mark.parametrize("steps", [129, 150])  # in an episode; at an evaluation
def test_a_run_that_evaluates_in_its_only_environment_is_resumed_exactly(tmp_path, one_alone, name, steps):
    noise = {"exploration": {"name": "ornstein_uhlenbeck"}}
    check_run(own(name, **SHARED))
    whole, evaluation = run(tmp_path / "whole", own(name, **SHARED, **noise))
    run(tmp_path / "resumed", own(name, **SHARED | {"total_steps": steps}, **noise))
    content = checkpoint.load(tmp_path / "resumed")
    resumed, again = run(tmp_path / "resumed", own(name, **SHARED, **noise), content)
    assert identical(state(whole), state(resumed))
    np.testing.assert_array_equal(evaluation.returns, again.returns)
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "resumed")
    # Episodes of 20 steps, but for those that an evaluation every 50 steps has ended.
    assert [step for step, _ in scalars(tmp_path / "whole")["rollout/episode_return"]] == [
        step + since for step in range(0, 200, 50) for since in (20, 40)
    ]


def test_a_stop_in_an_evaluation_of_the_only_environment_is_resumed_exactly(tmp_path, monkeypatch):
    settings = own("Normalised", **SHARED)
    whole, _ = run(tmp_path / "whole", settings)
    stopped = Training(settings, tmp_path / "stopped")
    heed, heeded = stopped._heed, []

    def stop():
        heeded.append(stopped.step)
        if heeded.count(100) == 30:  # in the second of its episodes
            signal.raise_signal(signal.SIGINT)
        heed()

    monkeypatch.setattr(stopped, "_heed", stop)
    with pytest.raises(Stopped):
        stopped.train()
    stopped.close()
    content = checkpoint.load(tmp_path / "stopped")
    assert content["training"]["evaluation_due"]
    resumed, _ = run(tmp_path / "stopped", settings, content)
    assert identical(state(whole), state(resumed))
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "stopped")


def test_an_evaluation_in_the_only_environment_finds_what_one_beside_it_finds(tmp_path):
    """Up to the first evaluation both have trained alike."""
    changes = SHARED | {"total_steps": 50}
    apart = own("Normalised", **changes | {"evaluation": changes["evaluation"] | {"shared": False}})
    run(tmp_path / "shared", own("Normalised", **changes))
    run(tmp_path / "apart", apart)
    assert scalars(tmp_path / "shared")["eval/mean_return"] == scalars(tmp_path / "apart")["eval/mean_return"]


def test_where_there_can_be_one_environment_the_sentence_says_how(tmp_path, one_alone):
    with pytest.raises(FaultyEnvironmentError, match=r"it is taken.*evaluation\.shared=true evaluates"):
        Training(own("Alone"), tmp_path)
    assert own_environments.Alone.there == 0  # the one that could be made is closed again
    Training(own("Alone", **SHARED), tmp_path).close()


def test_evaluations_between_the_steps_can_be_left_out(tmp_path):
    one, evaluation = run(tmp_path / "without", small(evaluation={"interval": None, "final_episodes": 2}))
    other, _ = run(tmp_path / "with", small())
    assert identical(state(one), state(other))
    assert len(evaluation.returns) == 2
    assert not [tag for tag in scalars(tmp_path / "without") if tag == "eval/mean_return"]


@pytest.mark.long
def test_a_run_begins_with_the_networks_of_another_and_goes_on_without_it(tmp_path):
    other, _ = run(tmp_path / "other", small(seed=7))
    changes = {"env__kwargs": {"g": 5.0}, "warm_start": str(tmp_path / "other")}
    new, _ = run(tmp_path / "new", small(**changes, total_steps=50))  # nothing is learnt yet
    assert new.agent.critic_updates == 0
    for name, module in other.agent.modules().items():
        assert identical(weights(module), weights(new.agent.modules()[name]))
    whole, _ = run(tmp_path / "whole", small(**changes, total_steps=80))
    (tmp_path / "other").rename(tmp_path / "gone")
    resumed, _ = run(tmp_path / "new", small(**changes, total_steps=80), checkpoint.load(tmp_path / "new"))
    assert identical(state(whole), state(resumed))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"agent__hidden_sizes": [8, 9]}, r"its networks do not fit this run's \(.*size mismatch"),
        ({"agent__action_layer": 1}, r"its networks do not fit this run's \(.*size mismatch"),
        ({"env__id": "own_environments:Walk-v0"}, r"its networks do not fit this run's \(.*size mismatch"),
        ({"warm_start": "nowhere"}, "nowhere: there is no such file or folder"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_a_sentence(tmp_path, changes, sentence):
    run(tmp_path / "other", small(total_steps=20))
    training = Training(small(**{"warm_start": str(tmp_path / "other"), **changes}), tmp_path / "new")
    with pytest.raises(InputError, match=sentence):
        training.train()
    training.close()
    assert not (tmp_path / "new").exists()


def test_an_episode_that_is_cut_off_closes_its_transitions(tmp_path, one_alone):
    training, _ = run(tmp_path, own("Alone", **SHARED, n_step=4))  # cut off at step 50 and so on, 10 steps into it
    assert training.buffer.added == 200
    assert (training.buffer.transitions().terminations < 1).all()


def test_what_the_update_has_computed_is_not_said_to_the_observations_of_another_episode(
    tmp_path, one_alone, interpreted
):
    changes = SHARED | {"agent__optimizer": "SGD"}
    eager, _ = run(tmp_path / "eager", own("Alone", **changes))
    compiled, _ = run(tmp_path / "compiled", own("Alone", compile=True, **changes))
    for one, other in zip(state(eager), state(compiled), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_callback_may_evaluate_in_the_only_environment(tmp_path, one_alone):
    class Look(Callback):
        found = ()

        def on_step(self, run, transitions):
            if run.step == 30:
                self.found = run.evaluate(2).returns

    look = Look()
    training = Training(own("Alone", **SHARED), tmp_path, callbacks=[look])
    training.train()
    training.close()
    assert len(look.found) == 2
