"""`scripts/tour.py`: the notebooks in the terminal, and as pages."""

import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import showing

SCRIPT = Path(showing.__file__).parents[1] / "tour.py"


def tour(*words, cwd):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"COLUMNS": "80"},
    )


ONE, *OTHERS = showing.NOTEBOOKS


@pytest.mark.parametrize(
    "notebook", [ONE, *(pytest.param(each, marks=pytest.mark.long) for each in OTHERS)], ids=lambda path: path.stem
)
def test_a_notebook_runs_in_the_terminal_at_80_columns(notebook, tmp_path):
    done = tour(notebook.stem, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    code = [
        line for markdown, text, _ in showing.cells(notebook.read_text()) if not markdown for line in text.split("\n")
    ]
    assert max(map(len, code)) <= 80
    shown = " ".join(re.sub("[▌│]", " ", done.stdout).split())
    for each in showing.run(notebook):
        name = f"Claim {each.name}," if each.name.isdigit() else each.name.partition("=")[2] or each.name
        assert name.partition(", ")[0] in shown
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_it_without_a_traceback(tmp_path):
    script = [sys.executable, "-u", str(SCRIPT), "4"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert (running.returncode, error) == (130, "Interrupted.\n")


def test_its_first_letters_name_a_notebook(tmp_path):
    done = tour("5", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no notebook 5: there are 1_one_network, 2_several_modules" in done.stderr


def test_without_the_extra_a_page_is_refused_with_what_to_install(tmp_path):
    run = "import sys, runpy; sys.modules['jupytext'] = None; sys.argv[1:] = ['1', '--output', '.']; "
    run += f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "--output needs jupytext: pip install -c .ci/constraints.txt -e '.[tour]' brings it.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_page_has_the_text_the_results_and_the_pictures(tmp_path):
    done = tour("2", "--output", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "2_several_modules.md").read_text(encoding="utf-8")
    assert page.startswith("# 2 · A module in the middle")
    assert page.count("as meant.**") == len(showing.run(showing.NOTEBOOKS[1])) - 1  # one is of a claim
    pictures = re.findall(r"!\[png\]\((.+?)\)", page)
    assert len(pictures) == page.count("\nshow(") + page.count("\ndraw(")
    assert all((tmp_path / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize("notebook", showing.NOTEBOOKS, ids=lambda path: path.stem)
def test_a_question_stands_before_each_way_and_the_code_is_short(notebook):
    cells = [(markdown, text) for markdown, text, _ in showing.cells(notebook.read_text(encoding="utf-8"))]
    for (before, question), (markdown, code) in itertools.pairwise(cells):
        if not markdown and "\nshow(" in code:
            assert len(list(filter(None, code.split("\n")))) <= 8, code
            assert before and "?" in question, question
