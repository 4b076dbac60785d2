import pytest

from ddpg.gradient_stop import Detach
from ddpg.tour.compare import ALL, _compiles, choice, comparisons, trials_of


@pytest.fixture(scope="module")
def compared():
    return comparisons()


def test_the_columns_are_what_the_ways_are_known_for(compared):
    assert list(compared) == list(ALL)
    assert {way for way, each in compared.items() if each.upstream == "stopped"} == {
        "detach",
        "no_grad",
        "inference+clone",
        "set_grad_enabled",
    }
    assert {way for way, each in compared.items() if each.compiles == "no"} == {"inference_mode", "requires_grad_"}
    assert {way for way, each in compared.items() if each.compiles == "outside"} == {
        "none",
        "optimizer",
        "manual",
        "backward(inputs=)",
    }
    assert {way for way, each in compared.items() if not each.undone} == {"optimizer"}
    assert {way for way, each in compared.items() if each.scales} == {"manual", "register_hook", "autograd.Function"}
    assert compared["none"].saves == 0
    assert compared["no_grad"].saves == compared["detach"].saves > 0


def test_a_graph_that_no_longer_stops_the_gradient_does_not_count_as_compiled(monkeypatch):
    assert _compiles("detach") == "yes"
    monkeypatch.setattr(Detach, "actions", lambda self, policy, next_observations: policy(next_observations))
    assert _compiles("detach") == "no"


def test_the_choice_is_the_cheapest_way_that_does_as_meant():
    first, *others = choice(trials_of("chain"))
    assert first == ["no_grad", "inference+clone", "set_grad_enabled", "requires_grad_", "functional_call"]
    assert others == [["detach"], ["backward(inputs=)"], ["optimizer", "manual"]]
    assert choice(trials_of("middle"))[-1] == ["optimizer", "manual"]
    assert choice(trials_of("shared")) == [["detach", "autograd.Function"]]
