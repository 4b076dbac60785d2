from functools import partial

import pytest
import torch
from torch import nn

from ddpg import InputError
from ddpg.base import optimizers


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_every_optimizer_moves_parameters_and_is_rebuilt_from_its_data(name):
    factory = optimizers.named(name, {"foreach": False})
    assert optimizers.as_data(factory) == {"name": name, "options": {"foreach": False}}
    parameter = nn.Parameter(torch.ones(3))
    optimizer = optimizers.build(optimizers.named(**optimizers.as_data(factory)), [parameter], 0.1)
    parameter.sum().backward()
    optimizer.step()
    assert type(optimizer).__name__ == name
    assert (parameter < 1).all()


def test_fused_where_there_is_a_kernel_and_the_user_did_not_say_otherwise():
    def fused(factory):
        return optimizers.build(factory, [nn.Parameter(torch.ones(1))], 0.1).defaults.get("fused")

    assert fused(torch.optim.Adam) is True
    assert fused(partial(torch.optim.Adam, fused=False)) is False
    assert fused(partial(torch.optim.Adam, foreach=True)) is None
    assert fused(torch.optim.RMSprop) is None


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("Adm", {}, r"^optimizer=Adm.*did you mean Adam"),
        ("LBFGS", {}, "no such optimizer"),
        ("SGD", {"momentun": 0.9}, r"optimizer_options\.momentun.*did you mean momentum"),
        ("SGD", {"momentum": -1.0}, "SGD refuses"),
        ("SGD", {"params": []}, "no such option"),
    ],
)
def test_unknown_names_options_and_values_are_refused(name, options, sentence):
    with pytest.raises(InputError, match=sentence):
        optimizers.named(name, options)
