import pytest
from small_runs import run, scalars, small

from ddpg.survival.runs import finish, outcome


def test_an_outcome_tells_runs_apart_and_repeats(tmp_path):
    found = []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        run(tmp_path / name, small(seed=seed))
        found.append(outcome(tmp_path / name))
    assert found[0] == found[1]
    assert all(found[0][key] != found[2][key] for key in found[0])
    assert [(step, value) for tag, step, value in found[0]["curves"] if tag == "losses/critic"] == scalars(
        tmp_path / "one"
    )["losses/critic"]


def test_what_fails_says_what_it_printed(tmp_path):
    with pytest.raises(RuntimeError, match=r"exit status 2(.|\n)*sed: there is no such setting; did you mean seed"):
        finish(["sed=3"], tmp_path)
