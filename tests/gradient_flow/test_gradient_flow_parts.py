"""What belongs to an audited module."""

import warnings

import torch
from torch import nn

from ddpg.gradient_flow.parts import part_of


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.known = nn.Linear(1, 1)
        self.listed = [nn.Linear(1, 1), {"deep": nn.Linear(1, 1)}]
        self.again = [self.known]  # registered already
        self.tensor = torch.ones(1, requires_grad=True)
        self.data = torch.ones(1)
        self.norm = nn.BatchNorm1d(2)


def names(part):
    return [name for name, _ in part.parameters()]


def test_what_is_not_registered_is_a_part_all_the_same():
    part = part_of("odd", Odd())
    assert set(part.unregistered) == {"listed.0", "listed.1.deep", "tensor"}
    assert names(part) == [
        "known.weight",
        "known.bias",
        "norm.weight",
        "norm.bias",
        "listed.0.weight",
        "listed.0.bias",
        "listed.1.deep.weight",
        "listed.1.deep.bias",
        "tensor",
    ]
    assert {"", "known", "norm", "listed.0", "listed.1.deep"} == {path for path, _ in part.modules()}
    assert list(part.buffers(nn.BatchNorm1d)) == ["norm"]
    assert set(part.buffers()["norm"]) == {"running_mean", "running_var", "num_batches_tracked"}


def test_a_shared_submodule_has_all_of_its_names():
    inner = nn.Linear(1, 1)
    assert names(part_of("twice", nn.Sequential(inner, inner))) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_tensor_and_a_scripted_module():
    tensor = torch.ones(1, requires_grad=True)
    part = part_of("alpha", tensor)
    assert not part.is_module
    assert list(part.parameters()) == [("", tensor)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of scripting
        scripted = torch.jit.script(nn.Linear(1, 1))
    assert names(part_of("scripted", scripted)) == ["weight", "bias"]
