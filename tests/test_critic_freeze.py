"""Promise 1, for the actor update: a sound freeze leaves both critics bit-identical, the control does not."""

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
def test_where_each_freeze_acts(freeze):
    agent = make_agent(critic_freeze=freeze)
    agent.update_actor(make_batch())
    assert any(each.grad is not None for each in agent.critic.parameters()) == (freeze in ("none", "optimizer"))
    held = {id(each) for group in agent.actor_optimizer.param_groups for each in group["params"]}
    assert {id(each) for each in agent.actor.parameters()} <= held
    assert {id(each) for each in agent.critic.parameters()}.isdisjoint(held) == (freeze == "optimizer")
    assert all(each.requires_grad for each in agent.critic.parameters())


def test_requires_grad_gives_back_what_it_found_even_after_an_error():
    agent = make_agent(critic_freeze="requires_grad")
    first = next(agent.critic.parameters())
    first.requires_grad_(False)
    with pytest.raises(RuntimeError):
        agent.critic_freeze.values(agent.critic, make_batch().observations[:, :1], make_batch().actions)
    agent.update_actor(make_batch())
    assert [each.requires_grad for each in agent.critic.parameters()] == [False] + 5 * [True]
