"""Bars at every width, lines in a log, and nothing of what is soon over."""

import io
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from commands import SMALL

from ddpg.base.progress import Bar, fleeting, line, under_way

PARTS = [
    "{n_fmt}/{total_fmt}",
    "{remaining} left",
    "{rate_noinv_fmt}",
    "return -1.23e+03",
    "critic 0.0123",
    "actor 99.5",
]
LONG = "AnEnvironmentWithANameOfFortyLetters1-v0"


def at(width, title="Pendulum-v1", n=9000, total=10000):
    return line(width, PARTS, prefix=title, n=n, total=total, elapsed=80, unit="")


@pytest.mark.parametrize(
    ("width", "last"), [(40, "9000/10000"), (60, "112.50/s"), (80, "return -1.23e+03"), (120, "actor 99.5")]
)
def test_the_width_decides_what_follows_the_bar_losses_go_first(width, last):
    shown = at(width)
    assert shown.startswith("Pendulum-v1 █")
    assert shown.endswith(last)
    assert len(shown) == width


@pytest.mark.parametrize("title", ["Ant-v5", "MountainCarContinuous-v0", LONG])
@pytest.mark.parametrize("steps", [200, 1_000_000])
@pytest.mark.parametrize("width", [40, 60, 80, 120, *range(33, 160, 9)])
def test_ten_cells_stay_and_no_number_is_cut(width, steps, title):
    shown = at(width, title, steps - 100, steps)
    assert len(shown) == width
    begin, bar, parts = re.fullmatch("(.*?) ([█▏▎▍▌▋▊▉]+ *?)(?: ([^█ ].*))?", shown).groups()
    assert begin == title or (len(title) > width // 3 and len(begin) == width // 3 and begin.endswith("…"))
    assert len(bar) >= 10
    everything = at(None, title, steps - 100, steps).removeprefix(f"{title} ").split(", ")
    assert (parts or "").split(", ") in [everything[:count] or [""] for count in range(len(PARTS) + 1)]


def test_without_a_width_all_is_said_and_there_is_no_bar():
    assert at(None) == "Pendulum-v1 9000/10000, 00:08 left, 112.50/s, return -1.23e+03, critic 0.0123, actor 99.5"


def test_without_a_terminal_there_is_a_line_every_half_minute_the_first_and_the_last(monkeypatch, capsys):
    clock = iter(range(10**6))
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock) / 4)
    with Bar("Pendulum-v1", {"steps": "{n_fmt}/{total_fmt}"}, total=1000) as bar:
        for _ in range(1000):  # of some quarters of a second each
            bar.update()
    first, *between, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("Pendulum-v1 0/1000", "Pendulum-v1 1000/1000")
    assert 4 <= len(between) <= 30
    assert all(re.fullmatch(r"Pendulum-v1 \d+/1000", each) for each in between)


def test_the_log_of_a_training_is_a_few_lines(command):
    status, out, err = command("train.py", *SMALL)
    assert status == 0, err
    first, *between, last = err.splitlines()
    assert first == "Pendulum-v1 0/120, ? left, ?/s"
    assert last.startswith("Pendulum-v1 120/120, 00:00 left, ")
    assert len(between) <= 10  # none, unless the machine stands still for minutes
    assert "\r" not in err
    assert len(out.splitlines()) == 2


def test_in_a_notebook_there_is_a_bar_which_redraws_its_line(monkeypatch):
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream", "encoding": "utf-8"})()
    monkeypatch.setattr(sys, "stderr", stream)
    with Bar("Pendulum-v1", {"steps": "{n_fmt}/{total_fmt}"}, total=10) as bar:
        bar.update(10)
    assert list(fleeting(range(3), "final evaluation")) == [0, 1, 2]
    drawn = stream.getvalue().split("\r")
    assert any(re.fullmatch("Pendulum-v1 █+ 10/10\n?", each) and len(each.rstrip()) == 100 for each in drawn)
    assert any("final evaluation" in each for each in drawn)
    assert not drawn[-1].strip()


@pytest.mark.parametrize("disable", [True, False])
def test_the_variable_of_tqdm_takes_the_bar_away(disable):
    program = "from ddpg.base.progress import Bar; Bar('Pendulum-v1', {'left': '{remaining} left'}, total=3).close()"
    environment = os.environ | {"TQDM_DISABLE": "1"} if disable else os.environ
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ("Pendulum-v1" in done.stderr) != disable


def test_what_is_soon_over_leaves_a_log_alone(capsys):
    assert list(fleeting(range(3), "final evaluation")) == [0, 1, 2]
    with under_way("compiling"):
        pass
    assert capsys.readouterr().err == ""


def test_on_a_terminal_what_is_soon_over_is_cleared_away(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "61")
    assert list(fleeting(range(3), "final evaluation", " episodes")) == [0, 1, 2]
    shown = capsys.readouterr().err
    assert "final evaluation" in shown
    assert "0/3 episodes, ? left" in shown
    assert not shown.rstrip("\r").rpartition("\r")[2].strip()


def divide_late():
    time.sleep(1.2)
    return 1 / 0


def test_what_is_under_way_is_shown_with_its_time_and_cleared_away_at_the_end(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), under_way("dividing"):
        divide_late()
    shown = capsys.readouterr().err
    assert "00:00 dividing" in shown
    assert "00:01 dividing" in shown
    assert not shown.rpartition("\r")[0].rpartition("\r")[2].strip()
    assert threading.active_count() <= threads + 1  # tqdm's own
