import pytest

from ddpg.survival.runs import finish, outcome

SMALL = (
    "total_steps=80",
    "learning_starts=20",
    "batch_size=8",
    "agent.hidden_sizes=[8]",
    "log_interval=10",
    "threads=1",
)


def test_an_outcome_tells_runs_apart_and_repeats(tmp_path):
    found = []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        finish([*SMALL, f"seed={seed}", "hydra.run.dir=run"], tmp_path / name)
        found.append(outcome(tmp_path / name / "run"))
    assert found[0] == found[1]
    assert all(found[0][key] != found[2][key] for key in found[0])
    assert len(found[0]["curves"]) > 50


def test_what_fails_says_what_it_printed(tmp_path):
    with pytest.raises(RuntimeError, match=r"exit status 2(.|\n)*sed: there is no such setting; did you mean seed"):
        finish(["sed=3"], tmp_path)
