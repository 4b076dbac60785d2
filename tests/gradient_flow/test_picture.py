"""The pictures: every box, and every mark that tells the story, is there and in its place."""

import pytest
import torch
from conftest import make_agent, make_batch
from faulty import audited
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from torch import nn

from ddpg.gradient_flow import GradientFlow, picture


@pytest.fixture(scope="module")
def flow():
    agent = make_agent(gradient_stop="no_grad")
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update(make_batch())
    return flow


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_files(flow, tmp_path, ending, start):
    path = tmp_path / f"graph.{ending}"
    flow.draw(path, by="update_critic")
    assert path.read_bytes().startswith(start)


def test_boxes_do_not_overlap_and_the_loss_is_on_top(flow):
    axes, _ = flow.figure("update_critic").axes
    boxes = [each.get_bbox() for each in axes.patches if isinstance(each, FancyBboxPatch)]
    assert len(boxes) == len(flow.backwards[0].diagram.operations)
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            assert one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
    top = max(boxes, key=lambda box: box.y1)
    labels = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert top.y0 < labels["mse_loss"] < top.y1


def test_modules_are_grouped_named_and_told_apart(flow):
    axes, _ = flow.figure("update_critic").axes
    groups = [each for each in axes.patches if type(each) is Rectangle]
    assert len(groups) == 3
    assert len({each.get_facecolor() for each in groups}) == 3
    texts = [text.get_text() for text in axes.texts]
    assert {"critic", "target_critic\nnot reached", "target_actor\nnot reached"} <= set(texts)
    assert texts.count("weight\nbias") == 9  # three layers each


def test_the_stop_is_drawn_once_and_gradients_are_arrows(flow):
    axes, _ = flow.figure("update_critic").axes
    cuts = [line for line in axes.lines if line.get_linewidth() > 2 and line.get_color() == "#C1121F"]
    assert len(cuts) == 1
    arrows = [each for each in axes.patches if isinstance(each, FancyArrowPatch) and each.get_linestyle() == "-"]
    assert len(arrows) == 6  # mse_loss, squeeze and five more of the critic's operations in a row


@pytest.mark.parametrize("stop", ["optimizer", "manual"])
def test_what_was_computed_and_not_applied_is_crossed_out_and_said_why(stop):
    agent = make_agent(gradient_stop=stop)
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update(make_batch())
    axes, _ = flow.figure("update_critic").axes
    assert sum(line.get_marker() == "x" for line in axes.lines) == 3
    reason = {"optimizer": "not held by the step", "manual": "dropped before the step"}[stop]
    assert f"target_actor\n{reason}" in [text.get_text() for text in axes.texts]


def test_what_no_step_follows_is_never_applied():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    with GradientFlow(model=model, trace=True) as flow:
        model(torch.ones(1, 2)).sum().backward()
    assert "model\nnever applied" in [text.get_text() for text in picture.figure(flow.backwards[0]).axes[0].texts]


def test_a_loss_of_one_operation_and_one_of_many_roots():
    model = nn.ParameterList([nn.Parameter(torch.ones(2))])
    with GradientFlow(model=model, trace=True) as flow:
        one, other = model[0].sum(), model[0].prod()
        one.backward()
        torch.autograd.backward([model[0].exp().sum(), other])
    for backward in flow.backwards:
        assert picture.figure(backward).axes


def test_a_leak_is_red_from_the_loss_to_the_module_and_has_its_name(tmp_path):
    leaking = audited(tmp_path)
    red = to_rgba("#C1121F")
    for function, found in (("update_critic", True), ("update_actor", False)):
        axes, _ = leaking.figure(function).axes
        flags = [each for each in axes.texts if each.get_text() == "leak"]
        frames = [each for each in axes.patches if isinstance(each, FancyBboxPatch) and not each.get_fill()]
        arrows = [each for each in axes.patches if isinstance(each, FancyArrowPatch) and each.get_edgecolor() == red]
        assert (len(flags), len(frames), len(arrows)) == ((1, 1, 3) if found else (0, 0, 0))
    axes, _ = leaking.figure("update_critic").axes
    (frame,) = (each.get_bbox() for each in axes.patches if isinstance(each, FancyBboxPatch) and not each.get_fill())
    actor = next(each for each in axes.texts if each.get_text() == "actor")
    assert frame.y0 < actor.get_position()[1] < frame.y1


def chases(one, two, x):
    """A prediction, and a target of the same network."""
    target = 0.9 * one(x + 1) + x
    return (one(x) - target).square().mean() + two(x).mean()


@pytest.mark.parametrize(
    ("kind", "program"),
    [
        ("dead_link", lambda one, two, x: two(one(x).detach()).mean()),
        ("self_target", chases),
    ],
)
def test_other_kinds_are_framed_where_they_have_a_place(kind, program):
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (one, two)]
    with GradientFlow(one=one, two=two, trace=True) as flow:
        for _ in range(3):
            for each in optimizers:
                each.zero_grad()
            program(one, two, torch.randn(4, 1)).backward()
            for each in optimizers:
                each.step()
    assert kind in [each.kind for each in flow.findings()]
    axes, _ = flow.figure().axes
    assert [each.get_text() for each in axes.texts].count(kind) == 1  # of two calls of a module, the one that it is
    assert f"· {kind}" in flow.mermaid() and "classDef fault" in flow.mermaid()
