"""Compiled code is found again only by what is the same in all that it depends on."""

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ddpg.compilation import _digest


def graph_with(constant):
    mask = torch.tensor(constant)
    return make_fx(lambda x: x * mask)(torch.ones(2))


def test_graphs_that_differ_in_a_constant_alone_do_not_share_code():
    inputs = (torch.ones(2),)
    one, same, other = (_digest(graph_with(values), inputs) for values in ([0.0, 1.0], [0.0, 1.0], [1.0, 1.0]))
    assert one == same
    assert one != other
    assert graph_with([0.0, 1.0]).code == graph_with([1.0, 1.0]).code
