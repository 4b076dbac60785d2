import pytest

from ddpg.tour.traps import TRAPS

BY_TITLE = {trap.title: trap for trap in TRAPS}


@pytest.mark.parametrize(
    ("title", "wrong", "mended"),
    [
        ("A zero gradient is not no gradient", "yes", "no"),
        ("What detach returns is the same memory", "yes", "no"),
        ("no_grad around too much", "no", "yes"),
    ],
)
def test_a_trap_and_its_mend_answer_differently(title, wrong, mended):
    outcome = BY_TITLE[title].run()
    assert (outcome.wrong, outcome.mended) == (wrong, mended)


@pytest.mark.parametrize("title", ["A stop after the fact", "eval() is no stop"])
def test_what_is_no_stop_lets_a_gradient_through(title):
    outcome = BY_TITLE[title].run()
    assert float(outcome.wrong) > 0
    assert outcome.mended == "none"


def test_a_stop_on_the_wrong_side_ends_all_learning():
    outcome = BY_TITLE["A stop on the wrong side of the link"].run()
    assert outcome.wrong == "none"
    assert float(outcome.mended) > 0


def test_what_the_other_loss_left_is_applied_and_the_audit_says_so():
    outcome = BY_TITLE["What the other loss left behind"].run()
    assert float(outcome.wrong) != float(outcome.mended)
    assert "stale_gradient" in outcome.findings


def test_the_code_shown_is_the_code_that_runs():
    for trap in TRAPS:
        wrong, mended = trap.code()
        assert wrong != mended
        for code in (wrong, mended):
            compile(f"def step(setup):\n{''.join(f'    {line}' for line in code.splitlines(True))}", trap.title, "exec")
