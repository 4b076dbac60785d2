import pytest

from ddpg.tour.compare import ALL, MISTAKES, choice, comparisons, trials_of


@pytest.fixture(scope="module")
def compared():
    return comparisons()


def test_the_columns_are_what_the_ways_are_known_for(compared):
    assert list(compared) == list(ALL) == list(MISTAKES)
    assert {way for way, each in compared.items() if each.upstream == "stopped"} == {
        "detach",
        "no_grad",
        "inference_mode+clone",
        "set_grad_enabled",
    }
    assert {way for way, each in compared.items() if not each.compiles} == {"inference_mode", "requires_grad_"}
    assert {way for way, each in compared.items() if not each.undone} == {"optimizer"}
    assert {way for way, each in compared.items() if each.scales} == {"manual", "register_hook", "autograd.Function"}
    assert compared["none"].saves == 0
    assert compared["no_grad"].saves == compared["detach"].saves > 0


def test_the_choice_is_the_cheapest_way_that_does_as_meant():
    chain = choice(trials_of("chain"))
    assert chain[0] == "no_grad"
    assert chain.index("no_grad") < chain.index("detach") < chain.index("optimizer")
    assert "none" not in chain
    assert choice(trials_of("middle"))[0] == "requires_grad_"
    assert "manual" not in choice(trials_of("heads"))
