import json

import pytest
from finished_runs import experiment, finished_run

from ddpg.base.errors import InputError
from ddpg.comparison.reading import BrokenRunError, read, read_run


def test_a_run_is_its_settings_its_result_and_its_curves(tmp_path):
    run = read_run(finished_run(tmp_path, 2, stop="manual"))
    assert run.seed == 2
    assert run.settings["gradient_stop"] == "manual"
    assert run.settings["gradient_stop.scale"] == 0
    assert run.settings["agent.hidden_sizes"] == "[8, 8]"
    assert "seed" not in run.settings
    assert run.result["mean_return"] == -198
    assert run.curves["eval/mean_return"].steps.tolist() == [100, 200, 300]
    assert run.curves["eval/mean_return"].values.tolist() == [-398, -298, -198]


def cut(folder):
    (path,) = folder.glob("events*")
    path.write_bytes(path.read_bytes()[:-200])


def bomb(folder):
    (folder / "result.json").write_text("[" * 100_000)


def rewrite(**changes):
    def do(folder):
        path = folder / "result.json"
        content = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return do


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "result.json").unlink(), "not finished; train.py resume="),
        (lambda folder: (folder / "result.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "result.json").write_text("[]"), "cannot be read"),
        (lambda folder: (folder / "result.json").write_bytes(b"\xff\xfe"), "cannot be read"),
        (bomb, "cannot be read"),
        (rewrite(weights_digest=None), "no weights_digest"),
        (rewrite(settings=[]), "settings is of the wrong type"),
        (rewrite(mean_return=float("nan")), "mean_return=nan"),
        (rewrite(mean_return="high"), "mean_return is of the wrong type"),
        (rewrite(mean_return=10**400), "cannot be read"),
        (rewrite(training_seconds=0), "must be positive"),
        (rewrite(settings={"seed": 1, "agent": {"critic_lr": 10**400}}), "cannot be read"),
        (rewrite(environment_steps=1000), "ends at step 300 of 1000"),
        (cut, "ends at step"),
        (lambda folder: next(folder.glob("events*")).unlink(), "no event file"),
        (lambda folder: next(folder.glob("events*")).write_bytes(b"no events at all"), "ends at step 0"),
    ],
)
def test_a_broken_run_is_named_with_its_reason_and_the_others_are_read(tmp_path, damage, reason):
    broken = finished_run(tmp_path / "broken", 0)
    finished_run(tmp_path / "whole", 1)
    damage(broken)
    with pytest.raises(BrokenRunError, match=reason):
        read_run(broken)
    runs, left_out = read([tmp_path])
    assert [run.seed for run in runs] == [1]
    assert len(left_out) == 1
    assert str(broken) in left_out[0]
    assert reason in left_out[0]


def test_a_second_run_of_the_same_settings_and_seed_is_named_not_averaged(tmp_path):
    finished_run(tmp_path / "one", 0)
    finished_run(tmp_path / "two", 0)
    runs, left_out = read([tmp_path])
    assert len(runs) == 1
    assert "has the settings and the seed of" in left_out[0]


def test_an_empty_folder_or_none_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no run in it at all"):
        read([tmp_path])
    with pytest.raises(InputError, match="no such folder"):
        read([tmp_path / "nowhere"])


def test_a_folder_given_twice_counts_once(tmp_path):
    runs, left_out = read([experiment(tmp_path), tmp_path / "none"])
    assert len(runs) == 15
    assert not left_out
