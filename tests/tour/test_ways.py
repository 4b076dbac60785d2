import pytest
import torch
from torch import nn

from ddpg.tour.compare import ALL
from ddpg.tour.ways import Scaled, idiom


@pytest.mark.parametrize(
    ("way", "line"),
    [
        ("none", "actions: Tensor = policy(next_observations)"),
        ("detach", "return actions.detach()"),
        ("no_grad", "with torch.no_grad():"),
        ("inference+clone", "return actions.clone()"),
        ("optimizer", "return list(critic.parameters())"),
        ("manual", "parameter.grad = parameter.grad * scale if scale != 0 else None"),
        ("manual", "# scale = 0, every = 1"),
        ("backward(inputs=)", "loss.backward(inputs=list(self.others.parameters()))"),
        ("register_hook", "actions.register_hook(lambda gradient: gradient * factor)"),
        ("autograd.Function", "return gradient * context.factor, None"),
        ("requires_grad_", "parameter.requires_grad_(False)"),
    ],
)
def test_the_idiom_shown_is_the_body_of_the_way(way, line):
    _, lines = idiom(ALL[way](nn.ModuleList()))
    assert line in lines
    assert "self.f" not in lines
    assert '"""' not in lines.partition("class")[0]


@pytest.mark.parametrize("factor", [0.0, 0.5, -1.0])
def test_a_function_of_ones_own_scales_or_reverses_the_gradient(factor):
    layer, data = nn.Linear(3, 2), torch.randn(4, 3)
    (whole,) = torch.autograd.grad(layer(data).sum(), [layer.weight])
    output = Scaled(factor).actions(layer, data)
    assert torch.equal(output, layer(data))
    (scaled,) = torch.autograd.grad(output.sum(), [layer.weight])
    torch.testing.assert_close(scaled, factor * whole)


def test_a_module_requires_the_gradients_again_that_it_had_required():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    ALL["requires_grad_"](nn.ModuleList()).actions(layer, torch.randn(4, 3))
    assert (layer.weight.requires_grad, layer.bias.requires_grad) == (True, False)
