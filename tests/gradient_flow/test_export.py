"""What other programs get: JSON, GitHub's annotations, and an assertion for tests."""

import json

import pytest
import torch
from faulty import LEAK, WASTE, audited
from torch import nn

from ddpg.gradient_flow import Finding, GradientFlow
from ddpg.gradient_flow.export import github


@pytest.fixture
def flow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return audited(tmp_path)


def test_the_dict_has_all_of_it_in_plain_types(flow, tmp_path):
    found = flow.as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == [
        "version", "verdict", "traced", "modules", "findings", "losses", "steps", "notes",
    ]  # fmt: skip
    assert found["modules"]["actor"] == {"class": "Linear", "parameters": 3, "where": ""}
    leak, waste = found["findings"]
    for told, finding in zip((leak, waste), flow.findings(), strict=True):
        for key in ("kind", "severity", "file", "line", "headline", "message", "cause", "mend"):
            assert told[key] == getattr(finding, key)
    assert (leak["file"], leak["line"], leak["modules"]) == (str(tmp_path / "train.py"), LEAK, ["actor"])
    assert (leak["losses"], leak["steps"], waste["losses"], waste["steps"]) == ([1], [1], [2], [])
    one, two = found["losses"]
    assert (one["number"], one["function"], one["passes"]) == (1, "update_critic", 3)
    assert two["reached"]["critic"] == {"norm": flow.backwards[-1].reached["critic"], "used": False}
    assert one["reached"]["actor"]["used"]
    assert {
        "module": "actor",
        "file": leak["file"],
        "line": LEAK,
        "path": ["MseLoss", "critic", "Cat", "actor"],
    } in one["enters"]
    step = found["steps"][0]
    assert (step["optimizer"], step["steps"], step["holds"]) == ("SGD", 3, ["actor", "critic"])
    assert step["moved"]["actor"] == {"norm": flow.steps[-2].moved["actor"], "losses": [1], "gradient": True}


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_no_finite_number_is_a_word(value):
    model = nn.Linear(1, 1)
    with GradientFlow(model=model) as flow:
        (model(torch.ones(1, 1)) * float(value)).abs().sum().backward()
    (loss,) = flow.as_dict()["losses"]
    assert loss["value"] == value and isinstance(loss["reached"]["model"]["norm"], str)
    json.dumps(flow.as_dict(), allow_nan=False)


def test_github_shows_each_finding_at_its_line(flow, tmp_path):
    leak, _ = flow.findings()
    first, second = flow.github().splitlines()
    message = leak.message.replace("%", "%25")
    assert first == f"::error file=train.py,line={LEAK},title=gradient-flow%3A leak::{message}"
    assert second.startswith(f"::notice file=train.py,line={WASTE},title=gradient-flow%3A waste::Gradients of critic")
    assert "%25 of the work" in second


def test_paths_are_those_of_the_repository_and_characters_escaped(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    file = str(tmp_path / "src" / "a,b:c%.py")
    finding = Finding("unheld", "hint", (), file, 3, "a\nb", "c\rd: e, f", "")
    assert github([finding]) == (
        "::warning file=src/a%2Cb%3Ac%25.py,line=3,title=gradient-flow%3A unheld::A%0Ab. c%0Dd: e, f"
    )
    elsewhere = Finding("unheld", "hint", (), "/elsewhere/x.py", 3, "a", "", "")
    assert "file=/elsewhere/x.py,line=3," in github([elsewhere])


def test_an_audit_with_a_fault_is_not_clean(flow):
    with pytest.raises(AssertionError, match=r"not clean: a loss that is not its own moves actor\.") as error:
        flow.assert_clean()
    assert str(flow) in str(error.value)
    assert [each.name for each in error.traceback.filter(error)] == ["test_an_audit_with_a_fault_is_not_clean"]
    flow.assert_clean(allow="leak")
    with pytest.raises(AssertionError):
        flow.assert_clean(allow=("waste", "drift"))
    with pytest.raises(ValueError, match="leek: there is no such kind; there are leak, "):
        flow.assert_clean(allow="leek")


def test_hints_and_costs_are_no_faults():
    body, head = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    with GradientFlow(body=body, head=head) as flow:
        for _ in range(2):
            optimizer.zero_grad()
            head(body(torch.ones(1, 2))).sum().backward()
            optimizer.step()
    assert {each.severity for each in flow.findings()} == {"hint", "cost"}
    flow.assert_clean()


def test_an_audit_that_has_seen_nothing_is_not_clean():
    with GradientFlow(body=nn.Linear(1, 1)) as flow:
        pass
    with pytest.raises(AssertionError, match="has seen nothing"):
        flow.assert_clean()
