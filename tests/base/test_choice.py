"""Choices by name: made from a name, a mapping or an instance, and written down as data."""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import pytest
from pydantic import Field
from torch import nn

from ddpg import InputError
from ddpg.base.choice import Choice


class Colour(Choice, kind="colour"):
    pass


@dataclass(frozen=True)
class Plain(Colour, name="plain"):
    pass


@dataclass(frozen=True)
class Shade(Colour, name="shade"):
    depth: Annotated[float, Field(ge=0, description="how dark")] = 0.5
    coats: int = 1
    note: object = field(default=None, init=False)


@dataclass(frozen=True)
class Learnt(Colour):
    """Of somebody's own: without a name, and with a setting that is no number."""

    network: nn.Module


def test_an_option_is_made_from_its_name_a_mapping_or_itself():
    assert Colour.make("shade") == Colour.make({"name": "shade", "depth": 0.5}) == Shade()
    shade = Shade(depth=1)
    assert Colour.make(shade) is shade
    assert Colour.make(shade.as_data()) == shade


def test_numbers_are_checked_and_made_plain_other_settings_are_left_alone():
    shade = Shade(depth=np.float32(0.25), coats=np.int64(2))
    assert type(shade.depth) is float and type(shade.coats) is int
    network = nn.Linear(1, 1)
    assert Learnt(network).network is network
    assert Learnt(network).as_data() == {"name": None}


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("shad", r"colour=shad: no such option; did you mean shade\?"),
        (3, "colour=3: expected a name, or an instance of Colour"),
        ({"depth": 1}, "expected a name"),
        ({"name": "plain", "depth": 1}, r"colour\.depth: colour plain has no such setting; it has none"),
        ({"name": "shade", "deph": 1}, r"colour\.deph: .*did you mean depth"),
        ({"name": "shade", "depth": -1.0}, r"colour\.depth=-1\.0: must be greater than or equal to 0"),
        ({"name": "shade", "coats": 1.5}, r"colour\.coats=1\.5: must be a valid integer"),
    ],
)
def test_a_mistake_is_a_sentence(choice, sentence):
    with pytest.raises(InputError, match=sentence):
        Colour.make(choice)
