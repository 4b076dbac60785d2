"""Promise 1, for the critic update: a sound stop leaves both actors bit-identical, a control does not."""

import linecache
from functools import partial

import pytest
import torch
from conftest import identical, make_agent, make_batch, weights

from ddpg import InputError, gradient_stop
from ddpg.gradient_stop import EditGradient, GradientStop

SOUND = ["detach", "no_grad", "inference_mode", "optimizer", "manual"]
UNSOUND = ["none", EditGradient(scale=0.5), EditGradient(scale=-1.0), EditGradient(every=3)]
OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, momentum=0.9, weight_decay=0.01),
    "adam": partial(torch.optim.Adam, weight_decay=0.01),
    "adamw": partial(torch.optim.AdamW, weight_decay=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize("stop", SOUND)
def test_a_sound_stop_leaves_both_actors_untouched(stop, bootstrap_actor, optimizer):
    agent = make_agent(
        gradient_stop=stop, bootstrap_actor=bootstrap_actor, optimizer=OPTIMIZERS[optimizer], critic_weight_decay=0.01
    )
    for seed in range(50):
        batch = make_batch(seed=seed)
        actors, critic = weights(agent.actor, agent.target_actor), weights(agent.critic)
        agent.update_critic(batch)
        assert identical(actors, weights(agent.actor, agent.target_actor))
        assert not identical(critic, weights(agent.critic))
        agent.update_actor(batch)  # gives the moments of the actor something to move it with
        agent.update_targets()


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize("stop", UNSOUND, ids=str)
def test_an_unsound_stop_moves_the_bootstrapping_actor_and_only_it(stop, bootstrap_actor):
    agent = make_agent(gradient_stop=stop, bootstrap_actor=bootstrap_actor)
    other = agent.actor if bootstrap_actor == "target" else agent.target_actor
    before, other_before = weights(agent.bootstrapping_actor), weights(other)
    for seed in range(5):
        agent.update_critic(make_batch(seed=seed))
    assert not identical(before, weights(agent.bootstrapping_actor))
    assert identical(other_before, weights(other))


@pytest.mark.parametrize("stop", [*SOUND, *UNSOUND], ids=str)
def test_a_stop_says_whether_it_is_sound(stop):
    assert GradientStop.make(stop).sound == (stop in SOUND)


@pytest.mark.parametrize("stop", ["none", *SOUND])
@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
def test_where_each_stop_acts(stop, bootstrap_actor, gradient_flow):
    """In the graph, at the gradient or at the optimizer, and at what cost, as the table in the README says."""
    agent = make_agent(gradient_stop=stop, bootstrap_actor=bootstrap_actor)
    policy = "target_actor" if bootstrap_actor == "target" else "actor"
    with gradient_flow(agent.modules()) as flow:
        agent.update_critic(make_batch())
    (backward,), (step,) = flow.backwards, flow.steps
    in_graph = stop in ("detach", "no_grad", "inference_mode")
    assert (policy in backward.reached) is not in_graph
    assert (policy in backward.crossings) is not in_graph
    assert (policy in step.holds) == (stop != "optimizer")
    assert (policy in step.moved) == (stop == "none")
    assert step.applied["critic"] == backward.reached["critic"] > 0
    flow.assert_moved(only={"critic", policy} if stop == "none" else "critic")
    flow.assert_untouched("target_critic")
    found = {(each.kind, each.modules) for each in flow.findings()}
    paid = {("waste", (policy,))} if stop in ("optimizer", "manual") else set()
    unheld = {("tracked_target", (policy,))} if (stop, policy) == ("optimizer", "target_actor") else set()
    assert found == paid | unheld
    assert all(each.requires_grad for each in agent.bootstrapping_actor.parameters())
    assert not any(each.requires_grad for each in agent.target_critic.parameters())


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize("stop", ["none", *SOUND])
def test_in_training_the_control_alone_leaks(stop, bootstrap_actor, gradient_flow):
    agent = make_agent(gradient_stop=stop, bootstrap_actor=bootstrap_actor)
    with gradient_flow(agent.modules()) as flow:
        for seed in range(3):
            agent.update(make_batch(seed=seed))
    leaks = [each for each in flow.findings() if each.kind == "leak"]
    policy = "target_actor" if bootstrap_actor == "target" else "actor"
    assert [each.modules for each in leaks] == ([(policy,)] if stop == "none" else [])
    for leak in leaks:
        assert leak.file == gradient_stop.__file__
        assert "policy(next_observations)" in linecache.getline(leak.file, leak.line)
    assert {each.kind for each in flow.findings()} <= {"leak", "waste", "tracked_target"}


def test_manual_drops_the_gradient_since_a_zero_gradient_would_move_the_actor():
    class Zero(EditGradient):
        def backward(self, loss, policy, update):
            loss.backward()
            for parameter in policy.parameters():
                parameter.grad.zero_()

    moved = {}
    for stop in (EditGradient(), Zero()):
        agent = make_agent(gradient_stop=stop, optimizer=OPTIMIZERS["sgd"])
        before = weights(agent.target_actor)
        agent.update_critic(make_batch())
        moved[type(stop)] = not identical(before, weights(agent.target_actor))
    assert moved == {EditGradient: False, Zero: True}


def test_manual_scales_the_gradient_on_every_kth_update_and_lets_the_others_pass():
    agent, control = (make_agent(gradient_stop=stop) for stop in (EditGradient(scale=0.25, every=3), "none"))
    for update in range(1, 7):
        batch = make_batch(seed=update)
        control.target_actor.load_state_dict(agent.target_actor.state_dict())
        control.critic.load_state_dict(agent.critic.state_dict())
        agent.update_critic(batch)
        control.update_critic(batch)
        factor = 0.25 if update % 3 == 0 else 1.0
        for ours, whole in zip(agent.target_actor.parameters(), control.target_actor.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, factor * whole.grad, rtol=1e-6, atol=0)


def test_a_stop_of_the_users_own_is_one_class():
    class Halve(GradientStop):
        def actions(self, policy, next_observations):
            actions = policy(next_observations)
            return 0.5 * actions + 0.5 * actions.detach()

    agent, control = make_agent(gradient_stop=Halve()), make_agent(gradient_stop="none")
    for each in (agent, control):
        each.update_critic(make_batch())
    for ours, whole in zip(agent.target_actor.parameters(), control.target_actor.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, 0.5 * whole.grad)


@pytest.mark.parametrize("settings", [{"scale": float("nan")}, {"scale": "1"}, {"every": 0}, {"every": 1.5}])
def test_manual_refuses_values_out_of_range(settings):
    (key,) = settings
    with pytest.raises(InputError, match=rf"gradient_stop\.{key}=.*must be"):
        gradient_stop.EditGradient(**settings)
