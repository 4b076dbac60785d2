import sys

import pytest

from ddpg import InputError
from ddpg.base import imports


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "nets_of_mine.py").write_text("class Actor: ...\n")
    (tmp_path / "broken_of_mine.py").write_text("\n1 / 0\n")
    yield
    for name in ("nets_of_mine", "broken_of_mine"):
        sys.modules.pop(name, None)


def test_a_name_in_a_module_of_the_working_directory(module):
    assert imports.named("agent.actor", "nets_of_mine.Actor").__name__ == "Actor"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Actor", "agent.actor=Actor: must be a class or function at the top of a module; my_module.MyClass is valid."),
        (
            "nets_of_mine.Actr",
            r"agent.actor=nets_of_mine.Actr: the module nets_of_mine has no Actr; did you mean Actor?",
        ),
        ("no_such_module.Actor", "cannot be imported: ModuleNotFoundError .* mind PYTHONPATH"),
        ("broken_of_mine.Actor", r"cannot be imported: ZeroDivisionError \(division by zero\) at broken_of_mine.py:2"),
    ],
)
def test_what_cannot_be_named_is_said(module, name, sentence):
    with pytest.raises(InputError, match=sentence.replace("?", r"\?")):
        imports.named("agent.actor", name)
