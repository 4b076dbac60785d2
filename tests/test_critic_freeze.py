"""Promise 1, for the actor update: a sound freeze leaves both critics bit-identical, the control does not."""

import linecache

import pytest
from conftest import identical, make_agent, make_batch, weights
from test_gradient_stop import OPTIMIZERS

from ddpg.critic_freeze import CriticFreeze

SOUND = ["requires_grad", "optimizer", "inputs", "functional", "manual"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize("freeze", SOUND)
def test_a_sound_freeze_leaves_both_critics_untouched(freeze, bootstrap_actor, optimizer):
    agent = make_agent(
        critic_freeze=freeze, bootstrap_actor=bootstrap_actor, optimizer=OPTIMIZERS[optimizer], critic_weight_decay=0.01
    )
    for seed in range(50):
        batch = make_batch(seed=seed)
        agent.update_critic(batch)
        critics, actor = weights(agent.critic, agent.target_critic), weights(agent.actor)
        agent.update_actor(batch)
        assert identical(critics, weights(agent.critic, agent.target_critic))
        assert not identical(actor, weights(agent.actor))
        agent.update_targets()


def test_the_control_moves_the_critic():
    agent = make_agent(critic_freeze="none")
    before = weights(agent.critic)
    agent.update_actor(make_batch())
    assert not identical(before, weights(agent.critic))


@pytest.mark.parametrize("freeze", ["none", *SOUND])
def test_a_freeze_says_whether_it_is_sound(freeze):
    assert CriticFreeze.make(freeze).sound == (freeze in SOUND)


@pytest.mark.parametrize("freeze", ["none", *SOUND])
def test_where_each_freeze_acts(freeze, gradient_flow):
    """And what it costs, as the table in the README says."""
    agent = make_agent(critic_freeze=freeze)
    with gradient_flow(agent.modules()) as flow:
        agent.update_actor(make_batch())
    (backward,), (step,) = flow.backwards, flow.steps
    assert step.applied["actor"] == backward.reached["actor"] > 0
    assert ("critic" in backward.reached) == (freeze in ("none", "optimizer", "manual"))
    assert ("critic" in step.holds) == (freeze != "optimizer")
    flow.assert_moved(only={"actor", "critic"} if freeze == "none" else "actor")
    flow.assert_untouched("target_actor", "target_critic")
    found = [(each.kind, each.modules) for each in flow.findings()]
    assert found == ([("waste", ("critic",))] if freeze in ("optimizer", "manual") else [])
    assert all(each.requires_grad for each in agent.critic.parameters())


@pytest.mark.parametrize("freeze", ["none", *SOUND])
def test_in_training_the_control_alone_leaks(freeze, gradient_flow):
    agent = make_agent(critic_freeze=freeze)
    with gradient_flow(agent.modules()) as flow:
        for seed in range(3):
            agent.update(make_batch(seed=seed))
    leaks = [each for each in flow.findings() if each.kind == "leak"]
    assert [each.modules for each in leaks] == ([("critic",)] if freeze == "none" else [])
    for leak in leaks:
        assert "critic(observations, actions)" in linecache.getline(leak.file, leak.line)
    assert {each.kind for each in flow.findings()} <= {"leak", "waste"}


def test_requires_grad_gives_back_what_it_found_even_after_an_error():
    agent = make_agent(critic_freeze="requires_grad")
    first = next(agent.critic.parameters())
    first.requires_grad_(False)
    with pytest.raises(RuntimeError):
        agent.critic_freeze.values(agent.critic, make_batch().observations[:, :1], make_batch().actions)
    agent.update_actor(make_batch())
    assert [each.requires_grad for each in agent.critic.parameters()] == [False] + 5 * [True]
