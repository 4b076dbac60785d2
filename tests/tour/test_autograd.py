import torch
from torch import nn

from ddpg.tour.autograd import gradient_norm, message, nodes, tracks


def test_the_nodes_of_a_graph_are_told_from_the_loss_upwards():
    layer = nn.Linear(3, 1)
    loss = layer(torch.ones(2, 3)).mean()
    assert nodes(loss) == ["MeanBackward0", "AddmmBackward0", "AccumulateGrad", "TBackward0", "AccumulateGrad"]
    assert nodes(loss.detach()) == []


def test_a_module_is_in_the_graph_if_a_parameter_of_it_is():
    first, second = nn.Linear(3, 3), nn.Linear(3, 1)
    loss = second(first(torch.ones(2, 3)).detach()).mean()
    assert tracks(loss, second)
    assert not tracks(loss, first)


def test_a_norm_of_nothing_is_none_and_of_zeros_is_zero():
    layer = nn.Linear(3, 1)
    assert gradient_norm(layer) is None
    layer.bias.grad = torch.zeros(1)
    assert gradient_norm(layer) == 0
    layer.weight.grad = torch.tensor([[3.0, 0.0, 4.0]])
    assert gradient_norm(layer) == 5


def test_a_message_is_the_first_sentence_of_a_refusal():
    assert message(torch.ones(1, requires_grad=True).numpy) == "Can't call numpy() on Tensor that requires grad"
    assert message(torch.ones(1).numpy) == ""
