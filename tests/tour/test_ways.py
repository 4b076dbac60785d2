import pytest
import torch
from torch import nn

from ddpg.tour.compare import ALL
from ddpg.tour.ways import Scaled, idiom


@pytest.mark.parametrize(
    ("way", "line"),
    [
        ("none", "pass"),
        ("detach", "return actions.detach()"),
        ("no_grad", "with torch.no_grad():"),
        ("inference_mode+clone", "return actions.clone()"),
        ("optimizer", "return list(critic.parameters())"),
        ("manual", "loss.backward()"),
        ("backward(inputs=)", "loss.backward(inputs=list(self.others.parameters()))"),
        ("register_hook", "actions.register_hook(lambda gradient: gradient * self.factor)"),
    ],
)
def test_the_idiom_shown_is_the_body_of_the_way(way, line):
    assert line in idiom(ALL[way](nn.ModuleList()))


@pytest.mark.parametrize("factor", [0.0, 0.5, -1.0])
def test_a_function_of_ones_own_scales_or_reverses_the_gradient(factor):
    layer, data = nn.Linear(3, 2), torch.randn(4, 3)
    (whole,) = torch.autograd.grad(layer(data).sum(), [layer.weight])
    output = Scaled(factor).actions(layer, data)
    assert torch.equal(output, layer(data))
    (scaled,) = torch.autograd.grad(output.sum(), [layer.weight])
    torch.testing.assert_close(scaled, factor * whole)


def test_a_module_requires_its_gradients_again_afterwards():
    layer = nn.Linear(3, 2)
    ALL["requires_grad_"](nn.ModuleList()).actions(layer, torch.randn(4, 3))
    assert all(parameter.requires_grad for parameter in layer.parameters())
