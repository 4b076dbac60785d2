import pytest
import torch

from ddpg.gradient_stop import GradientStop
from ddpg.tour.architectures import NETWORKS, made
from ddpg.tour.autograd import tracks


@pytest.mark.parametrize("name", NETWORKS)
def test_without_a_way_every_loss_reaches_more_than_it_may_move(name):
    network, data = made(name)
    losses = network.losses(GradientStop.make("none"), data)
    assert losses.keys() == network.may_move.keys()
    reached = {
        loss: {module for module in network.modules if tracks(value, network.modules[module])}
        for loss, value in losses.items()
    }
    assert all(network.may_move[loss] <= modules for loss, modules in reached.items())
    assert [loss for loss, modules in reached.items() if modules > network.may_move[loss]] == [list(losses)[-1]]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_the_same_from_the_same_seed_and_as_large_as_asked(name):
    (one, data), (other, again) = made(name, 8, 3), made(name, 8, 3)
    assert torch.equal(data, again)
    assert data.shape == (32, 8)
    weights = [[*network.modules[network.alone].parameters()] for network in (one, other)]
    assert all(map(torch.equal, *weights))
    assert [tuple(each.shape) for each in weights[0]] == [(8, 8), (8,)] * 3
    assert not torch.equal(data, made(name, 8, 3, seed=1)[1])
