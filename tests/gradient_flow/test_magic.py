"""The audit of a notebook's cell."""

import pytest
from IPython.testing.globalipapp import start_ipython

from ddpg.gradient_flow import Place

CELL = """
import torch
critic, actor = torch.nn.Linear(2, 1), torch.nn.Linear(2, 2)
both = torch.optim.SGD([*critic.parameters(), *actor.parameters()], 0.1)
own = torch.optim.SGD(actor.parameters(), 0.1)
for _ in range(4):
    both.zero_grad()
    critic(actor(torch.randn(3, 2))).sum().backward()
    both.step()
    own.zero_grad()
    actor(torch.randn(3, 2)).square().sum().backward()
    own.step()
"""


@pytest.fixture(scope="module")
def shell():
    started = start_ipython()
    started.run_line_magic("load_ext", "ddpg.gradient_flow")
    return started


def test_a_cell_is_run_and_its_audit_shown(shell):
    flow = shell.run_cell_magic("gradient_flow", "", CELL)
    assert [each.kind for each in flow.findings() if each.severity == "fault"] == ["leak"]
    assert flow.as_dict()["modules"].keys() == {"actor", "critic"}
    assert "leak" in flow._repr_html_()
    assert "actor" in shell.user_ns


def test_a_line_of_a_cell_goes_by_the_cells_number_as_in_a_traceback(shell):
    number = shell.execution_count
    lines = ["with GradientFlow(m=(m := torch.nn.Linear(1, 1))) as flow:", "    m(torch.ones(1)).backward()"]
    assert shell.run_cell(
        "\n".join(["import torch", "from ddpg import GradientFlow", *lines]), store_history=True
    ).success
    assert str(shell.user_ns["flow"].backwards[0].place) == f"Cell In[{number}]:4"


def test_an_ipython_that_names_no_cells_leaves_the_file(shell, monkeypatch):
    monkeypatch.delattr("IPython.core.compilerop.CachingCompiler.format_code_name")  # as in IPython 7
    assert str(Place("<ipython-input-3>", 4, "<module>")) == "<ipython-input-3>:4"


def test_a_cell_that_fails_fails_under_the_audit(shell):
    with pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("gradient_flow", "", "1 / 0")


def test_options_of_the_command_alone_are_refused(shell, capsys):
    with pytest.raises(SystemExit):
        shell.run_cell_magic("gradient_flow", "--html report.html", CELL)
    assert "unrecognized arguments: --html report.html" in capsys.readouterr().err


def test_what_is_meant_can_be_said(shell):
    flow = shell.run_cell_magic("gradient_flow", "--shared actor", CELL)
    assert not [each for each in flow.findings() if each.severity == "fault"]
