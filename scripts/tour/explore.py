"""Make docs/explore.html: every way to stop a gradient on every network, run, as one page to play with."""

import argparse
import copy
import difflib
import functools
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ddpg import GradientFlow
from ddpg.base.progress import fleeting
from ddpg.gradient_flow import Backward
from ddpg.gradient_flow.diagram import Link, Operation
from ddpg.gradient_flow.drawing import Fate, fate, title
from ddpg.gradient_flow.picture import positions
from showing import HERE, Range, listed, relative_times
from ways import NETWORKS, WAYS, Network, Way

PAGE = HERE.parents[1] / "docs" / "explore.html"
MEASURED = "time"


def run(network: Network, way: Way) -> dict[str, Any]:
    """Take one step of a network under a way; return what the page shows of it, but for times."""
    lines, names = way.code(network), network.names()
    modules = {name: each for name, each in names.items() if isinstance(each, nn.Module)}
    before, ideal = weights_of(modules), after_ideal_step(network)
    control = WAYS[0].code(network)
    result: dict[str, Any] = {"code": marked(lines, control), "why": way.why}
    try:
        with GradientFlow(modules, trace=True) as flow:
            backward_at = next(place for place, line in enumerate(lines) if line.startswith("loss.backward"))
            exec("\n".join(lines[:backward_at]), names)
            zeros = zeros_of(names["loss"])
            exec("\n".join(lines[backward_at:]), names)
    except RuntimeError as error:
        return result | {
            "verdict": "refused",
            "says": f"PyTorch refuses: “{str(error).partition('. ')[0].strip('.')}.”",
        }
    after = weights_of(modules)
    moved = [name for name in modules if not equal(before[name], after[name], 0)]
    wrong = [name for name in modules if not equal(ideal[name], after[name], 1e-6)]
    to_learn = {name for each in network.learns.values() for name in each}
    drifts = network.alone not in to_learn and drifts_under_adam(network, lines)
    (backward,) = flow.backwards
    keys = [(name, key.removeprefix(f"{name}.")) for name, each in backward.parameters.items() for key in each]
    return result | {
        "verdict": "not as meant" if wrong or drifts else "as meant",
        "says": sentence(moved, wrong, network.alone if drifts else "", to_learn),
        "modules": [[name, gradient(modules[name]), name in moved, name in to_learn] for name in modules],
        "held": backward.bytes,
        "computed": sum(modules[name].get_parameter(key).nbytes for name, key in keys),
        "audit": [f"{each.severity}: {each.headline}" for each in flow.findings()],
        "graph": graph(backward, zeros),
    }


def marked(lines: list[str], control: list[str]) -> list[tuple[str, bool]]:
    """Return each line, and whether the control has it not."""
    differs = difflib.SequenceMatcher(a=control, b=lines, autojunk=False).get_opcodes()
    return [(lines[place], kind != "equal") for kind, _, _, start, end in differs for place in range(start, end)]


def after_ideal_step(network: Network) -> dict[str, list[Tensor]]:
    """Return the weights after a step in which every loss moves the modules that it is to train, and no other."""
    names = network.names()
    exec("\n".join([*network.before, network.link, *network.after]), names)
    found = weights_of({name: each for name, each in names.items() if isinstance(each, nn.Module)})
    for loss, modules in network.learns.items():
        for name in modules:
            gradients = torch.autograd.grad(names[loss], list(names[name].parameters()), retain_graph=True)
            for weight, each in zip(found[name], gradients, strict=True):
                weight -= 0.1 * each
    return found


def drifts_under_adam(network: Network, lines: list[str]) -> bool:
    """Whether Adam with weight decay, which has a history, moves the module that is to be left alone."""
    names, before = network.names(), list[Tensor]()

    def adam(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        optimizer = torch.optim.Adam(parameters, lr, weight_decay=0.01)
        for each in parameters:
            each.grad = torch.ones_like(each)
        optimizer.step()
        optimizer.zero_grad()
        before.extend(each.detach().clone() for each in names[network.alone].parameters())
        return optimizer

    exec("\n".join(lines), names | {"SGD": adam})
    return not equal(before, [each.detach() for each in names[network.alone].parameters()], 0)


def weights_of(modules: Mapping[str, nn.Module]) -> dict[str, list[Tensor]]:
    """Return copies of the parameters of each module."""
    return {name: [each.detach().clone() for each in module.parameters()] for name, module in modules.items()}


def equal(some: list[Tensor], others: list[Tensor], tolerance: float) -> bool:
    """Whether tensors are equal within a tolerance."""
    return all(torch.allclose(one, other, rtol=0, atol=tolerance) for one, other in zip(some, others, strict=True))


def gradient(module: nn.Module) -> float | None:
    """Return the norm of what is in `.grad`, None where nothing is."""
    gradients = [each.grad for each in module.parameters() if each.grad is not None]
    return round(float(torch.stack([each.norm() for each in gradients]).norm()), 4) if gradients else None


def sentence(moved: list[str], wrong: list[str], drifting: str, to_learn: set[str]) -> str:
    """Return in words who moved, and what of that was not meant."""
    text = f"The step moved {listed(moved)}"
    for name in wrong:
        if name not in moved:
            text += f"; {name} was to learn"
        elif name not in to_learn:
            text += f"; {name} was to stay"
        else:
            text += f"; {name} was not to learn from both losses"
    if drifting and drifting not in wrong:
        text += f"; {drifting} has a gradient of zeros, by which Adam with weight decay moves it"
    return f"{text}{'' if wrong or drifting else ', as meant'}."


def zeros_of(loss: Tensor) -> Callable[..., bool]:
    """Watch a loss's graph: after the backward pass, what is returned tells where nothing but zeros came.

    It takes an operation, or two for the link between them.
    """
    some: dict[tuple[Operation | None, ...], bool] = {}

    def note(gradients: Sequence[Tensor | None], places: Iterable[tuple[Operation | None, ...]]) -> None:
        for gradient, place in zip(gradients, places, strict=False):
            some[place] = some.get(place, False) or (gradient is not None and bool(gradient.any()))

    def made(node: Node | None) -> Operation | None:
        notes: dict[str, Any] = node.metadata if node is not None else {}  # type: ignore[assignment]
        return next((each for each in notes.values() if isinstance(each, Operation)), None)

    def watch(node: Node) -> None:
        here, onwards = made(node), [(made(node), made(child)) for child, _ in node.next_functions]
        node.register_prehook(lambda gradients: note(gradients, itertools.repeat((here,))))  # after the tensor's hooks
        node.register_hook(lambda gradients, _: note(gradients, onwards))

    nodes = [loss.grad_fn] if loss.grad_fn else []
    for node in nodes:
        watch(node)
        nodes += [child for child, _ in node.next_functions if child is not None and child not in nodes]
    return lambda *place: not some.get(place, True)


def graph(backward: Backward, zeros: Callable[..., bool]) -> dict[str, Any]:
    """Return boxes, arrows and modules of a loss's graph, for the page to draw; `zeros` as of `zeros_of`."""
    assert backward.diagram is not None
    diagram = copy.copy(backward.diagram)
    # A weight that was detached by itself gets no box: the operation that takes it shows that it has no gradient.
    detached = {each for each in diagram.operations if each.name == "detach" and each.parameters}
    diagram.operations = [each for each in diagram.operations if each not in detached]
    diagram.links = {link: kind for link, kind in diagram.links.items() if detached.isdisjoint(link)}
    places = positions(diagram)
    number = {each: place for place, each in enumerate(places)}
    fates = {Fate.NONE: "none", Fate.APPLIED: "applied", Fate.UNUSED: "unused"}

    def arrow(one: Operation, other: Operation, link: Link) -> list[Any]:
        nothing = link is Link.GRADIENT and (zeros(one, other) or zeros(other))
        return [number[one], number[other], "zeros" if nothing else link.name.lower()]

    def box(each: Operation, x: float, y: float) -> list[Any]:
        weights = fates[fate(backward, diagram, each)] if each.parameters else ""
        weights = "zeros" if weights == "applied" and zeros(each) else weights
        weights = "none" if detached.intersection(each.inputs) else weights
        tracked = diagram.gets_gradient(each)
        return [title(each), round(x, 2), round(-y, 2), each in diagram.behind, tracked, weights]

    return {
        "boxes": [box(each, *centre) for each, centre in places.items()],
        "arrows": [arrow(*pair, link) for pair, link in diagram.links.items()],
        "modules": [
            [call.name, [number[each] for each in operations]]
            for call, operations in diagram.calls().items()
            if call is not None
        ],
    }


def times(network: Network, ways: list[Way]) -> dict[str, Range]:
    """Return the time of a step of a larger network under each way, relative to the control's."""

    def step(way: Way) -> Callable[[], None]:
        names, (first, *rest) = network.names(128, 2), way.code(network)
        exec(first, names)
        code: CodeType = compile("\n".join(rest), "step", "exec")
        return functools.partial(exec, code, names)

    return relative_times({way.name: step(way) for way in ways}, WAYS[0].name)


def results(measured: bool = True) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what every network comes to under every way."""
    found = {}
    for name, network in fleeting(list(NETWORKS.items()), "running", " networks"):
        found[name] = {way.name: run(network, way) for way in WAYS}
        if measured:
            for way, time in times(network, [each for each in WAYS if "held" in found[name][each.name]]).items():
                found[name][way][MEASURED] = [round(each, 2) for each in time]
    return found


def page(found: Mapping[str, Any]) -> str:
    """Return the page."""
    networks = {name: {"title": each.title, "says": each.says} for name, each in NETWORKS.items()}
    data = json.dumps({"networks": networks, "runs": found}, separators=(",", ":"), ensure_ascii=False)
    template = (HERE / "explore.html").read_text(encoding="utf-8")
    return template.replace("/*DATA*/", data.replace("</", "<\\/"))


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return where two results differ, but for what is measured, and numbers by less than a hundredth."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in one | other if key != MEASURED]
        return [each for key in keys for each in differences(one.get(key), other.get(key), f"{where} {key}".strip())]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [each for pair in zip(one, other, strict=True) for each in differences(*pair, where)]
    near = isinstance(one, float | int) and isinstance(other, float | int) and abs(one - other) <= 0.01 * abs(one)
    if one == other or near:
        return []
    return [f"{where}: {one} and {other}" if len(f"{one}{other}") < 1000 else f"{where} differs"]


def read(text: str) -> dict[str, Any]:
    """Return what a page holds: its data, and under "page" what stands around them."""
    before, _, rest = text.partition('type="application/json">')
    data, _, after = rest.partition("</script>")
    return {**json.loads(data), "page": before + after}


def main() -> None:
    """Write the page, or compare it with what the runs come to today."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", default=PAGE, help="docs/explore.html by default")
    parser.add_argument("--check", action="store_true", help="compare the page with a new run, but for times")
    arguments = parser.parse_args()
    if not arguments.check:
        arguments.output.write_text(page(results()), encoding="utf-8")
        return
    committed = read(arguments.output.read_text(encoding="utf-8"))
    if found := differences(committed, read(page(results(measured=False)))):
        sys.exit("\n".join([*found, f"{arguments.output} is stale: python scripts/tour/explore.py"]))


if __name__ == "__main__":
    main()
