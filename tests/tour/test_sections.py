import pytest

from ddpg.tour import sections
from ddpg.tour.page import MEASURED, Table
from ddpg.tour.turns import Spread


@pytest.fixture
def untimed(monkeypatch):
    """Nothing is timed: every way takes as long as the control."""
    monkeypatch.setattr(
        sections, "relative_times", lambda name, ways, **sizes: {way: Spread(1.25, 1.0, 1.5) for way in ways}
    )


def rows(section, number=0):
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return {row[0]: list(row[1:]) for row in tables[number].rows}


def test_the_tutorials_network_has_a_row_for_every_condition(untimed):
    section = sections.network()
    found = rows(section)
    assert found["`none`"] == ["0.36 →", "0.51 →", "4,224", "4,224", "1,156", f"{MEASURED}1.25", "no"]
    assert found["`detach`"][:2] == ["None", "0.51 →"]
    assert found["`optimizer`"][:2] == ["0.36", "0.51 →"]
    assert found["`inference_mode`"][-1] == "error"
    assert "Not as meant, with what moved otherwise: `none` (L1), `inference_mode` (refused)." in section.markdown()


def test_the_other_architectures_say_which_ways_work(untimed):
    text = sections.architectures().markdown()
    assert "As meant: `optimizer`, `manual`, `requires_grad_`, `functional_call`, `backward(inputs=)`." in text
    assert "`optimizer` (trunk)" in text


def test_actor_and_critic_say_who_stays(untimed):
    text = sections.agent().markdown()
    assert "The actor stays where it is under: `detach`, `no_grad`, `inference_mode`, `optimizer`, `manual`. " in text
    assert (
        "The critic stays where it is under: `requires_grad`, `optimizer`, `inputs`, `functional`, `manual`. " in text
    )


def test_the_cost_says_what_drowns_in_noise(untimed):
    text = sections.cost().markdown()
    assert f"{MEASURED}Drowned in the noise here, as both ranges include 1: `detach`, `no_grad`," in text


def test_every_way_has_its_row_and_the_mistake_that_is_made_with_it(untimed):
    section = sections.beyond()
    found, mistakes = rows(section, 0), rows(section, 1)
    assert list(found) == list(mistakes)
    assert found["`detach`"] == ["stopped", "no", "no", "2,048", f"{MEASURED}1.25", "yes", "yes"]
    assert found["`manual`"] == ["passes", "yes", "yes", "0", f"{MEASURED}1.25", "outside", "yes"]
    assert mistakes["`detach`"][1] == "adding noise to it changes the original: yes"


def test_only_what_is_measured_depends_on_the_moment(untimed):
    for section in (sections.network, sections.agent, sections.traps, sections.choose):
        assert section().markdown() == section().markdown()
