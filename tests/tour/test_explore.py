"""The page to play with: what every way comes to on every network, and that it comes from the run."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

import explore

WAYS = {way.name: way for way in explore.WAYS}
MEANT = {  # by network: chain, middle, heads, shared, critic's loss, actor's loss; - where PyTorch refuses
    "control": "xxxxxx",
    "detach": "+x+++-",
    "no_grad": "+x+x+-",
    "inference_mode": "---x+-",
    "inference_mode + clone": "+x+x+-",
    "optimizer": "++xx++",
    "by hand": "++xx++",
    "set_grad_enabled": "+x+x+-",
    "requires_grad_": "+++x++",
    "functional_call": "++++++",
    "backward(inputs=)": "++xx++",
    "a hook": "xx+xxx",
    "autograd.Function": "xx++xx",
}
SIGNS = {"as meant": "+", "not as meant": "x", "refused": "-"}


@pytest.fixture(scope="module")
def found():
    return json.loads(json.dumps(explore.results(measured=False)))


def test_every_way_on_every_network(found):
    signs = {way: "".join(SIGNS[runs[way]["verdict"]] for runs in found.values()) for way in WAYS}
    assert signs == MEANT


@pytest.mark.parametrize(
    ("way", "part", "idiom", "instead"),
    [
        ("detach", "link", ".detach()", ".clone()"),
        ("no_grad", "link", "torch.no_grad()", "torch.enable_grad()"),
        ("by hand", "backward", "zero_grad()", "zero_grad(set_to_none=False)"),  # Adam moves by zeros
        ("optimizer", "holds", "{others}", "{everything}"),
        ("backward(inputs=)", "backward", "{others}", "{everything}"),
    ],
)
def test_a_broken_way_is_not_as_meant(way, part, idiom, instead):
    broken = dataclasses.replace(WAYS[way], **{part: getattr(WAYS[way], part).replace(idiom, instead)})
    assert explore.run(explore.NETWORKS["chain"], broken)["verdict"] == "not as meant"


def test_the_code_that_is_shown_is_the_code_that_ran(found):
    run = found["chain"]["by hand"]
    lines = [line for line, _ in run["code"]]
    assert [line for line, changed in run["code"] if changed] == ["L1.zero_grad()"]
    names = explore.NETWORKS["chain"].names()
    exec("\n".join(lines), names)
    assert names["L1"][0].weight.grad is None
    assert run["modules"] == [["L1", None, False, False], ["L2", explore.gradient(names["L2"]), True, True]]


def test_the_sentence_says_who_moved_and_what_of_it_was_not_meant(found):
    says = {way: found["middle"][way]["says"] for way in ("control", "detach", "by hand", "a hook")}
    assert says == {
        "control": "The step moved first, middle and head; middle was to stay.",
        "detach": "The step moved head; first was to learn.",
        "by hand": "The step moved first and head, as meant.",
        "a hook": "The step moved head; first was to learn; "
        "middle has a gradient of zeros, by which Adam with weight decay moves it.",
    }
    assert found["shared"]["control"]["says"].endswith("trunk was not to learn from both losses.")
    assert "Inference tensors cannot be saved for backward" in found["chain"]["inference_mode"]["says"]


def links(run):
    """Return the operations at both ends of each link, with what it carries."""
    boxes = [title for title, *_ in run["graph"]["boxes"]]
    return [(boxes[one], boxes[other], kind) for one, other, kind in run["graph"]["arrows"]]


def test_the_graph_shows_where_zeros_begin(found):
    hook, own = (links(found["shared"][way]) for way in ("a hook", "autograd.Function"))
    # A hook is on the tensor that both heads take; a Function stands between it and one of them.
    assert [each for each in hook if each[1] == "tanh"] == [("linear", "tanh", "zeros")] * 2
    assert sorted(each for each in own if each[1] == "tanh") == [
        ("linear", "tanh", "gradient"),
        ("linear", "tanh", "zeros"),
    ]
    assert ("tanh", "0 · linear", "zeros") in hook
    assert ("tanh", "0 · linear", "gradient") in own
    weights = {
        way: [box[-1] for box in found["chain"][way]["graph"]["boxes"] if box[-1]]
        for way in WAYS
        if way != "inference_mode"
    }
    assert weights["a hook"] == weights["autograd.Function"] == ["applied", "zeros"]
    assert weights["functional_call"] == weights["requires_grad_"] == ["applied", "none"]
    assert all("zeros" not in each for way, each in weights.items() if way not in ("a hook", "autograd.Function"))


def test_the_graph_ends_where_the_stop_stands(found):
    kinds = {way: [kind for _, _, kind in found["chain"][way]["graph"]["arrows"]] for way in ("control", "no_grad")}
    assert set(kinds["control"]) == {"gradient"}
    assert kinds["no_grad"].count("cut") == 1
    assert [name for name, _ in found["chain"]["no_grad"]["graph"]["modules"]] == ["L2", "L1"]


def test_the_page_loads_nothing_and_its_text_cannot_end_the_script(found):
    found["chain"]["control"]["why"] = "</script>"
    page = explore.page(found)
    assert not re.search(r"https?://|src=|@import|url\((?!#)", page)
    assert page.count("</script>") == 2
    assert explore.read(page)["runs"] == found


def test_differences_are_named_but_for_times_and_small_numbers(found):
    other = json.loads(json.dumps(found))
    other["chain"]["detach"]["time"] = [9, 9, 9]
    other["chain"]["detach"]["held"] *= 1.005
    assert explore.differences(found, other) == []
    other["chain"]["detach"]["verdict"] = "not as meant"
    other["heads"]["a hook"]["held"] *= 1.1
    assert [each.partition(":")[0] for each in explore.differences(found, other)] == [
        "chain detach verdict",
        "heads a hook held",
    ]


@pytest.mark.long
def test_the_committed_page_is_what_the_runs_come_to(tmp_path):
    script = [sys.executable, explore.__file__]
    assert subprocess.run([*script, "--check"], capture_output=True, text=True).stderr.count("stale") == 0
    stale = tmp_path / "explore.html"
    text = explore.PAGE.read_text("utf-8").replace('"as meant"', '"refused"', 1).replace("<h1>", "<h1>Well: ", 1)
    stale.write_text(text, "utf-8")
    done = subprocess.run([*script, "--check", "--output", str(stale)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "chain detach verdict: refused and as meant" in done.stderr
    assert "page differs" in done.stderr
