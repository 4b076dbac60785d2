"""Lines of the user's code."""

import os
import sys
from pathlib import Path

import torch
from torch import nn

from ddpg.gradient_flow.places import Place, call_stack, caller


class Module(nn.Module):
    def forward(self, _):
        return caller(), caller(frozenset([id(self)]))


def test_the_callers_line_without_pytorchs_own():
    here = caller()
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
