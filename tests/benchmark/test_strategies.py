"""Bytes that autograd keeps, and gradients in vain, against what can be computed by hand."""

from conftest import make_agent, make_batch

from strategies import bytes_in_vain, kept_bytes


def size(module):
    return sum(each.nbytes for each in module.parameters())


def test_gradients_in_vain():
    agent = make_agent()
    actor, critic = size(agent.actor), size(agent.critic)
    wasted = {
        ("no_grad", "requires_grad"): 0,
        ("optimizer", "requires_grad"): actor,
        ("manual", "requires_grad"): actor,
        ("no_grad", "optimizer"): critic,
        ("no_grad", "manual"): critic,
        ("no_grad", "inputs"): 0,
        ("none", "none"): 0,  # applied, and that is what is wrong there
    }
    for (stop, freeze), expected in wasted.items():
        assert bytes_in_vain(make_agent(gradient_stop=stop, critic_freeze=freeze), make_batch()) == expected, stop


def test_autograd_keeps_more_where_the_graph_is_recorded_through_the_actor():
    kept = {stop: kept_bytes(make_agent(gradient_stop=stop), make_batch()) for stop in ("no_grad", "none")}
    # At the least the activations of its two layers of 16 units, of a batch of 16.
    assert kept["none"] >= kept["no_grad"] + 2 * 16 * 16 * 4
    twice = kept_bytes(make_agent(), make_batch(rows=32))
    assert twice > 1.8 * kept["no_grad"]  # the batch's, and no parameters
