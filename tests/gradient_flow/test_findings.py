"""The gallery: every fault is found and named at its line, and no mended twin gives a finding."""

import inspect
import re
from functools import partial

import pytest
from gallery import CASES

from ddpg.gradient_flow import GradientFlow

KINDS = {"leak", "stale_gradient", "dead_link", "drift", "waste", "tracked_target"}
ONLY_TRACED = {"target_detached_behind"}  # nothing of that graph is left when the loss is sent backward


def due(loop):
    """What the comments in a loop's source say an audit must find: (kind, module, line)."""
    lines, first = inspect.getsourcelines(inspect.unwrap(loop))
    return {
        (kind, module, first + place)
        for place, line in enumerate(lines)
        for marks in re.findall(r"# finds: (.*)$", line.rstrip())
        for kind, module in re.findall(r"(\w+)\((\w+)\)", marks)
    }


def found(findings):
    return {(each.kind, module, each.line) for each in findings for module in each.modules}


def test_the_gallery_is_what_it_says():
    assert len(CASES) >= 16
    assert {kind for case in CASES for kind, _, _ in due(case.faulty)} == KINDS
    assert all(due(case.faulty) for case in CASES)
    assert not any(due(case.mended) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_found_at_its_line(case):
    flow = case.faulty(partial(GradientFlow, trace=True))
    assert found(flow.findings()) == due(case.faulty)
    assert {each.file for each in flow.findings()} == {inspect.getsourcefile(inspect.unwrap(case.faulty))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mended_twin_gives_no_finding(case):
    for trace in (True, False):
        assert not case.mended(partial(GradientFlow, trace=trace)).findings()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_tracing_the_same_is_found_at_the_line_of_the_backward_pass(case):
    flow = case.faulty(GradientFlow)
    backward_lines = {each.line for each in flow.backwards}
    expected = {mark for mark in due(case.faulty) if case.name not in ONLY_TRACED}
    assert {mark[:2] for mark in found(flow.findings())} == {mark[:2] for mark in expected}
    for finding in flow.findings():
        if finding.kind in ("leak", "tracked_target", "waste"):
            assert finding.line in backward_lines


def test_a_message_says_where_and_how_to_mend_it():
    case = next(case for case in CASES if case.name == "td_target_through_the_online_actor")
    (leak,) = case.faulty(partial(GradientFlow, trace=True)).findings()
    assert leak.modules == ("actor",)
    assert re.search(rf"gallery\.py:{leak.line}: actor\(…\)\.detach\(\)", leak.message)
    assert str(leak).startswith("leak: actor is trained by the loss at ")
