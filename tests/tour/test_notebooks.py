"""The notebooks of the tour: what they come to, and that their verdicts come from the run."""

import pytest

import showing
from ddpg.gradient_stop import GradientStop as Stop
from ddpg.gradient_stop import NoGrad

ONE, SEVERAL, ACTOR_CRITIC, TRAPS = showing.NOTEBOOKS
HOLDS, CONDITION, FAILS = "holds", "holds in part", "does not hold"
CLAIMS = {
    **dict.fromkeys(("3", "4", "7", "10", "12", "13", "15"), HOLDS),
    **dict.fromkeys(("2", "6", "8", "9", "11", "14", "16", "17", "18"), CONDITION),
    "1": FAILS,
}  # and the fifth, which is measured
NOT_MEANT = {
    "control",
    "detach",
    "no_grad",
    "a hook on the output",
    "two runs, control",
    "two runs, by hand",
    "one run, no_grad around the head",
    "critic's loss, nothing stopped",
    "critic's loss, a' of the target actor",
    "actor's loss, the action detached",
    "actor's loss, nothing frozen",
    "thirty lines, no stop",
    "gradient_stop=none, online actor",
    "gradient_stop=none, target actor",
    "critic_freeze=none",
    "audit of the agent, none",
}


def came_to(notebook, edited=lambda text: text):
    return {each.name: each.verdict for each in showing.run(notebook, edited)}


def turned(notebook, edited=lambda text: text):
    """Return the verdicts that differ from those of the notebook as it is; of an edit, or of what was broken since."""
    before = BEFORE[notebook.stem]
    after = came_to(notebook, edited)
    return {name for name in before if name != "5" and after.get(name) != before[name]}


BEFORE = {}


@pytest.fixture(scope="module", autouse=True)
def as_they_are():
    BEFORE.update({notebook.stem: came_to(notebook) for notebook in (ONE, SEVERAL, ACTOR_CRITIC)})


def test_every_claim_is_judged_once_in_the_first_three_notebooks():
    judged = [name for verdicts in BEFORE.values() for name in verdicts if name.isdigit()]
    assert sorted(judged, key=int) == list(showing.CLAIMS)
    assert {name: BEFORE[key][name] for key in BEFORE for name in BEFORE[key] if name in CLAIMS} == CLAIMS


def test_every_way_does_what_the_text_says_of_it():
    ways = [(key, name, verdict) for key in BEFORE for name, verdict in BEFORE[key].items() if not name.isdigit()]
    not_meant = [(key, name) for key, name, verdict in ways if verdict == "not as meant"]
    assert {name for _, name in not_meant} == NOT_MEANT
    assert not any(key == ONE.stem and name != "control" for key, name in not_meant)


@pytest.mark.parametrize(
    ("idiom", "instead", "verdicts"),
    [
        (".detach()", ".clone()", {"1", "3", "4", "6", "7", "detach"}),
        ("torch.no_grad()", "torch.enable_grad()", {"2", "4", "6", "17", "no_grad"}),
        ("torch.inference_mode()", "torch.enable_grad()", {"8", "9", "10", "inference_mode"}),
        ("torch.optim.SGD(net.L2.parameters()", "torch.optim.SGD(net.parameters()", {"11", "optimizer"}),
        ("net.L1.zero_grad()", "pass", {"11", "by hand"}),
        ("net.L1.bias: 0.0", "net.L1.bias: 0.01", {"14"}),
    ],
)
def test_breaking_an_idiom_turns_its_verdicts(idiom, instead, verdicts):
    assert turned(ONE, lambda text: text.replace(idiom, instead)) >= verdicts


def test_every_trap_is_one_and_its_mend_is_a_mend():
    came = came_to(TRAPS, lambda text: text.partition("# ## Which way?")[0])
    assert [name.partition(",")[0] for name in came] == [str(trap) for trap in range(1, 8) for _ in range(2)]
    assert {name for name, verdict in came.items() if verdict == "as meant"} == {
        f"{trap}, mended" for trap in range(1, 8)
    }


def test_breaking_a_stop_of_the_agent_turns_five_verdicts(monkeypatch):
    monkeypatch.setattr(NoGrad, "actions", Stop.actions)
    assert turned(ACTOR_CRITIC) == {
        "gradient_stop=no_grad, online actor",
        "gradient_stop=no_grad, target actor",
        "18",
        "equal weights",
        "audit of the agent, no_grad",
    }
