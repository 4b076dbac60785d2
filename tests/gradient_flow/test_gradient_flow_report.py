"""The report: what is wrong first, with the user's lines, in any width."""

import io
import linecache
import re
import subprocess
import sys

import pytest
import torch
from faulty import LEAK, STEP, WASTE, audited
from torch import nn

from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_flow.report import plain


@pytest.fixture
def flow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return audited(tmp_path)


def rows(text):
    """The table: its legend and its rows."""
    lines = text.splitlines()
    first = next(place for place, each in enumerate(lines) if each.startswith("What reaches and what moves"))
    return lines[first + 1 :]


def test_the_verdict_comes_first_then_faults_costs_and_the_table(flow):
    text = str(flow)
    assert text.splitlines()[0] == f"1 fault: leak, train.py:{LEAK} · 1 cost"
    order = [
        "1 fault",
        "modules ",
        "optimizers ",
        "\nFAULT  leak: ",
        "  cause  ",
        "  mend   ",
        "\nCOST   waste: ",
        "loss 1",
    ]
    places = [text.index(each) for each in order]
    assert places == sorted(places)


def test_a_fault_has_its_place_at_the_right_its_lines_its_cause_and_its_mend(flow):
    (leak, _), lines = flow.findings(), str(flow).splitlines()
    head = next(place for place, each in enumerate(lines) if each.startswith("FAULT"))
    assert lines[head] == f"FAULT  leak: {leak.headline}".ljust(100 - len(f"train.py:{LEAK}")) + f"train.py:{LEAK}"
    marked = [each for each in lines[head + 1 : head + 6] if each.startswith("  ▸ ")]
    assert marked == [f"  ▸ {LEAK:>4} │ value = critic(torch.cat((x, actor(x)), -1))"]
    assert lines[head + 1].split()[0] == str(LEAK - 2) and lines[head + 5].split()[0] == str(LEAK + 2)
    rest = " ".join(" ".join(lines[head + 6 :]).split())
    assert leak.cause in rest and f"mend {leak.mend.split('. (')[0]}. but " in rest
    assert leak.message == f"{leak.headline[0].upper()}{leak.headline[1:]}. {leak.cause} {leak.mend}"


def test_costs_are_short_unless_there_is_nothing_else(flow):
    text = str(flow)
    assert f"▸ {WASTE:>4} │" not in text
    model = nn.Linear(2, 1)
    with GradientFlow(model=model) as flow:
        model(torch.ones(1, 2)).sum().backward()
    assert re.match(r"no fault · 1 cost: waste, \S*test_gradient_flow_report\.py:\d+\n", str(flow))
    assert "│     model(torch.ones(1, 2)).sum().backward()" in str(flow)


def test_the_table_says_what_each_pass_reached_and_each_step_did(flow):
    *legend, header, one, two, first, second, idle = rows(plain(flow._summary(), 120))
    last, step = flow.backwards[-2], flow.steps[-2]
    assert header.split() == ["actor", "critic"]
    assert one.startswith("loss 1  train.py:") and f"in update_critic ×3, value {last.loss:.4g} " in one
    assert one.split()[-4:] == ["●!", f"{last.reached['actor']:.3g}", "●", f"{last.reached['critic']:.3g}"]
    assert two.split()[-4::2] == ["●", "○"]
    assert first.startswith(f"SGD     train.py:{STEP} ")
    assert first.split()[-6:] == [f"{step.moved['actor']:.3g}", "by", "1!", f"{step.moved['critic']:.3g}", "by", "1"]
    assert second.split()[-3:] == [f"{flow.steps[-1].moved['actor']:.3g}", "by", "2"]
    assert idle == "No gradient reached and no step moved target and spare."
    assert all(f"{sign} " in " ".join(legend) for sign in ("●", "○", "by 1", "!"))
    assert all(each.startswith(("●", "○", "by 1", "!")) for each in legend)
    assert "~" not in " ".join(legend) and "held, not moved" not in " ".join(legend)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("trace", [True, False])
def test_no_line_is_too_long_and_no_word_is_broken(tmp_path, monkeypatch, width, trace):
    monkeypatch.chdir(tmp_path)
    flow = audited(tmp_path, trace)
    text = plain(flow._summary(), width)
    assert max(map(len, text.splitlines())) <= width
    words = set(text.split())
    for finding in flow.findings()[:1]:
        assert set(finding.headline.split()) | set(re.sub(r" \((?=If)|\)$", " ", finding.message).split()[9:]) <= words


@pytest.mark.parametrize("width", [60, 80])
def test_twelve_modules_are_lists(width):
    modules = {f"model.network_with_a_long_name_{number}": nn.Linear(2, 2) for number in range(12)}
    optimizer = torch.optim.SGD([each for module in modules.values() for each in module.parameters()], lr=0.1)
    others = torch.optim.SGD(next(iter(modules.values())).parameters(), lr=0.1)
    with GradientFlow(modules, trace=True) as flow:
        for _ in range(3):
            for each in (optimizer, others):
                optimizer.zero_grad()
                sum(module(torch.ones(1, 2)).sum() for module in modules.values()).backward()
                each.step()
    text = plain(flow._summary(), width)
    table = " ".join(" ".join(rows(text)).split())
    reached = flow.backwards[-1].reached
    assert all(f"{name} {'●'} {reached[name]:.3g}" in table for name in modules)
    assert max(map(len, text.splitlines())) <= width


def test_colours_are_for_terminals(flow):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal, file = Terminal(), io.StringIO()
    flow.report(terminal, width=100)
    flow.report(file)
    assert file.getvalue() == f"{flow}\n"
    assert "\x1b[1;31m1 fault" in terminal.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue()).split() == str(flow).split()


def test_without_tracing_it_says_once_how_to_get_the_line(tmp_path, flow):
    assert "trace=True" not in str(flow)
    assert str(audited(tmp_path, trace=False)).count("trace=True") == 1
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    with GradientFlow(one=one, two=two) as flow:
        one(torch.ones(1, 1)).sum().backward()
        optimizer.step()
        two(torch.ones(1, 1)).sum().backward()
        optimizer.step()
    assert [each.kind for each in flow.findings()].count("unheld") == 2
    assert str(flow).count("trace=True") == 1


def test_a_file_that_changed_or_is_gone_gives_no_lines(tmp_path, flow):
    path = tmp_path / "train.py"
    assert "│" in str(flow)
    path.write_text("something else\n" * 50)
    assert "│" not in str(flow)
    path.unlink()
    linecache.clearcache()
    assert "│" not in str(flow) and f"train.py:{LEAK}" in str(flow)


def test_a_cell_of_a_notebook_gives_its_lines():
    name, code = "<ipython-input-1-abc>", "model(torch.ones(1, 2)).sum().backward()\n"
    linecache.cache[name] = (len(code), None, [code], name)
    model = nn.Linear(2, 1)
    with GradientFlow(model=model) as flow:
        exec(compile(code, name, "exec"), {"model": model, "torch": torch})
    assert f"▸    1 │ {code}" in str(flow)


def test_the_stop_that_cuts_off_is_marked_too():
    actor, critic = nn.Linear(2, 1), nn.Linear(3, 1)
    optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)
    with GradientFlow(actor=actor, critic=critic, trace=True) as flow:
        for _ in range(3):
            x = torch.ones(1, 2)
            a = actor(x).detach()  # the stop
            # a
            # long
            # way
            critic(torch.cat((x, a), -1)).sum().backward()
            optimizer.step()
    assert flow.findings()[0].kind == "dead_link"
    marked = re.findall(r"▸ +\d+ │ (.*)", str(flow))
    assert [each.strip() for each in marked[:2]] == ["a = actor(x).detach()  # the stop", "optimizer.step()"]
    assert str(flow).count("⋮") == 1


def test_what_repeats_is_one_line():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model) as flow:
        for _ in range(200):
            optimizer.zero_grad()
            model(torch.ones(1, 2)).square().sum().backward()
            optimizer.step()
    assert len(str(flow).splitlines()) < 12
    assert "×200" in str(flow)
    assert sum(each.times for each in flow.backwards) == sum(each.times for each in flow.steps) == 200
    assert len(flow.backwards) < 50


def test_the_audit_and_its_text_need_pytorch_alone():
    code = """
import sys
import torch, torch._dynamo
before = set(sys.modules)
from ddpg.gradient_flow import GradientFlow
with GradientFlow(model=torch.nn.Linear(1, 1)) as flow:
    pass
str(flow), flow._repr_html_(), flow.as_dict()
new = {name.partition(".")[0] for name in set(sys.modules) - before}
assert new <= {*sys.stdlib_module_names, "torch", "ddpg"}, new
"""
    subprocess.run([sys.executable, "-c", code], check=True)
