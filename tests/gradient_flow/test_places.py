"""Lines of the user's code."""

import os
import sys
from pathlib import Path

import torch
from torch import nn

from ddpg.gradient_flow.places import Lines, Place, call_stack


class Module(nn.Module):
    def forward(self, _):
        return Lines().site().place, Lines().site(frozenset([id(self)])).place


def test_the_callers_line_without_pytorchs_own():
    here = Lines().site().place
    assert (here.file, here.function) == (__file__, "test_the_callers_line_without_pytorchs_own")
    inside, outside = Module()(0)
    assert inside.function == "forward"
    assert outside.function == "test_the_callers_line_without_pytorchs_own"
    with torch.no_grad():
        decorated = torch.no_grad()(lambda: call_stack())()
    assert [place.function for place in decorated[:2]] == ["<lambda>", "test_the_callers_line_without_pytorchs_own"]


def test_a_place_is_shown_from_the_folder_it_is_found_in(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert str(Place(str(tmp_path / "train.py"), 3, "f")) == "train.py:3"
    library = next(Path(each) for each in sys.path if each.endswith("site-packages"))
    assert str(Place(str(library / "package" / "core.py"), 7, "f")) == os.path.join("package", "core.py") + ":7"
    assert str(Place("/elsewhere/train.py", 3, "f")) == "/elsewhere/train.py:3"
    assert str(Place("<stdin>", 1, "<module>")) == "<stdin>:1"


OWN, HELPER, OTHER = (
    Place("/home/me/train.py", 5, "f"),
    Place("/home/me/train.py", 9, "optimize"),
    Place("/x.py", 1, "g"),
)
LIBRARY = Place("/usr/lib/python3/site-packages/trainer/loop.py", 7, "train")
DEEPER = Place("/usr/lib/python3/site-packages/trainer/loop.py", 8, "train")


def test_a_name_is_the_innermost_line_that_no_other_has():
    lines = Lines()
    assert lines.name([(HELPER, OWN)], []) == HELPER
    assert lines.name([(HELPER, OWN)], [(HELPER, OTHER)]) == OWN
    assert lines.name([(HELPER, OWN), (HELPER, OTHER)], []) == HELPER  # called from two lines
    assert lines.name([(HELPER, OWN)], [(HELPER, OWN)]) == HELPER


def test_the_users_own_lines_go_before_those_of_libraries():
    lines = Lines()
    lines.meet((LIBRARY, OWN))
    assert lines.name([(LIBRARY, OWN)], []) == OWN
    assert lines.name([(LIBRARY, OWN)], [(DEEPER, OWN)]) == LIBRARY


def test_a_line_for_a_whole_training_names_nothing():
    lines = Lines()
    for inner in (LIBRARY, DEEPER):
        lines.meet((inner, OWN))
    assert lines.name([(LIBRARY, OWN)], []) == LIBRARY
