import sys

import pytest
from finished_runs import experiment

from ddpg.comparison.command import main


@pytest.fixture
def compare(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return call


def test_the_page_lies_beside_the_runs_and_the_terminal_tells_what_they_show(compare, tmp_path):
    status, out, err = compare(experiment(tmp_path))
    assert status == 0, err
    assert max(map(len, out.partition("wrote")[0].splitlines())) <= 80
    for expected in (
        "15 runs by gradient_stop",
        "Baseline: gradient_stop=no_grad",
        "detach",
        "seed 0",
        "difference",
        "paired by seed",
        "−248.0",
    ):
        assert expected in out
    assert "wrote" in out
    assert {path.name for path in (tmp_path / "comparison").iterdir()} == {
        "comparison.md",
        "curves.png",
        "differences.png",
    }
    assert compare(tmp_path)[0] == 0  # the page among the runs is none of them


def test_a_mistake_is_a_sentence(compare, tmp_path):
    runs = experiment(tmp_path / "runs", seeds=1)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, sentence in (
        ([tmp_path / "nowhere"], "no such folder"),
        ([tmp_path / "empty"], "no run in it at all"),
        ([runs, "--by", "gradient_stops"], "did you mean gradient_stop?"),
        ([runs, "--by", "seed"], "no run has such a setting"),
        ([runs, "--by", "a", "b", "c"], "give one or two settings"),
        ([runs, "--baseline", "nograd"], "did you mean no_grad?"),
        ([runs, "--output", tmp_path / "file"], "cannot be written"),
    ):
        status, _, err = compare(*arguments)
        assert status == 2
        assert sentence in err
        assert "Traceback" not in err


def test_the_help_page_fits_80_columns(compare, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = compare("--help")
    assert status == 0
    assert "--by" in out
    assert max(map(len, out.partition("wrote")[0].splitlines())) <= 80
