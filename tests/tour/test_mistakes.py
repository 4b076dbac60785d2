import pytest

from ddpg.tour.compare import ALL
from ddpg.tour.mistakes import MISTAKES


@pytest.mark.parametrize(
    ("way", "outcome"),
    [
        ("inference_mode", "refused: True"),
        ("inference+clone", "refused: True"),
        ("requires_grad_", "the next loss trains the module: False"),
        ("functional_call", "a BatchNorm1d keeps its running mean: False"),
        ("backward(inputs=)", "the first module gets a gradient: False"),
        ("manual", "the critic's step moves the actor: yes"),
    ],
)
def test_what_comes_of_a_mistake_is_seen(way, outcome):
    assert MISTAKES[way][1]() == outcome


def test_there_is_a_mistake_for_every_way():
    assert list(MISTAKES) == list(ALL)
