"""One model says of each option what it is; a value that breaks its rule is named with the mend."""

import inspect
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from ddpg import InputError
from ddpg.base.options import AgentOptions, Options, checked, plain, takes


class Inner(Options):
    rate: Annotated[float, Field(gt=0, examples=[0.1])] = Field(0.5, description="a rate")


class Outer(Options):
    count: int = Field(2, ge=1, description="a count")
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"count": 0}, r"count=0: must be greater than or equal to 1; the nearest valid value is 1\."),
        ({"count": 2.0}, r"count=2\.0: must be a valid integer; 2 is valid\."),
        ({"inner": {"rate": -1.0}}, r"inner\.rate=-1\.0: must be greater than 0; 0\.1 is valid\."),
        ({"inner": {"rat": 1.0}}, r"inner\.rat=1\.0: there is no such setting; did you mean inner\.rate\?"),
        ({"count": None}, r"count=null: must be"),
    ],
)
def test_a_mistake_is_named_with_its_section_its_rule_and_the_mend(values, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        Outer.check(values)


def test_a_rule_over_several_options_is_named_with_its_section():
    class Run(Options):
        agent: AgentOptions

    with pytest.raises(InputError, match=r"^agent\.action_layer=3: .* layers 0 to 2"):
        Run.check({"agent": {"action_layer": 3}})
    with pytest.raises(InputError, match=r"^action_layer=3: "):
        AgentOptions.check({"action_layer": 3})


def test_numbers_of_numpys_become_plain():
    assert Outer.check({"count": np.int64(3), "inner": {"rate": np.float64(0.25)}}).model_dump() == {
        "count": 3,
        "inner": {"rate": 0.25},
    }
    assert plain((np.int32(1), [np.arange(2)])) == (1, [[0, 1]])
    assert checked("every", Annotated[int, Field(ge=1)], np.int64(2)) == 2


def test_a_class_shows_the_options_that_it_takes():
    @takes(Inner)
    class Taker:
        """Takes some.

        Args:
            **options: as follows, from `ddpg.base.options`.
        """

        def __init__(self, name: str, **options: Any) -> None: ...

    parameters = inspect.signature(Taker).parameters
    assert list(parameters) == ["name", "rate"]
    assert parameters["rate"].default == 0.5
    assert "rate: a rate." in Taker.__doc__


def test_every_key_is_known_sections_included():
    assert Outer.valid_keys() == ["count", "inner", "inner.rate"]
