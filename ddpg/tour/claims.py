"""What a tutorial on stopping gradients says, each statement run: verdict and evidence come from the run itself.

The statements are those of a tutorial for PyTorch that compares detach, no_grad, inference_mode, the optimizer and
manual manipulation; `where` is its section. They are put in this project's own words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ddpg.gradient_stop import EditGradient, GradientStop
from ddpg.tour.actor_critic import STOPS, critic_update
from ddpg.tour.architectures import Network, made
from ddpg.tour.autograd import gradient_norm, message, nodes, tracks
from ddpg.tour.trial import Trial, trial
from ddpg.tour.turns import Spread, ratios, take_turns, timed
from ddpg.tour.ways import TUTORIAL

HOLDS = "holds"
CONDITION = "holds with a condition"
FAILS = "does not hold"
NOISE = "not separable from noise here"


class Answer(NamedTuple):
    """What a claim comes to when it is run."""

    verdict: str
    evidence: str
    instead: str = ""
    """what is true where the claim is not"""


@dataclass(frozen=True)
class Claim:
    """A statement of the tutorial and the experiment that answers it."""

    number: int
    where: str
    says: str
    ask: Callable[[], Answer]
    measured: bool = False
    """whether the answer depends on the machine and the moment"""


CLAIMS: list[Claim] = []


def _claim(
    number: int, where: str, says: str, measured: bool = False
) -> Callable[[Callable[[], Answer]], Callable[[], Answer]]:
    def register(ask: Callable[[], Answer]) -> Callable[[], Answer]:
        CLAIMS.append(Claim(number, where, says, ask, measured))
        return ask

    return register


def _verdict(holds: bool, condition: bool = False) -> str:
    """Of an experiment: whether the claim held, and whether something else had to be true for it."""
    return (CONDITION if condition else HOLDS) if holds else FAILS


def _trial(network: str, way: str) -> Trial:
    built, data = made(network)
    return trial(built, data, TUTORIAL[way](built.others))


def _loss(network: Network, data: torch.Tensor, way: str) -> torch.Tensor:
    (loss,) = network.losses(TUTORIAL[way](network.others), data).values()
    return loss


@_claim(1, "2.1", "detach hands out a copy of the tensor and leaves the original as it was")
def _detach_copies() -> Answer:
    original = torch.ones(3, requires_grad=True) * 2
    detached = original.detach()
    shared = detached.data_ptr() == original.data_ptr()
    detached[0] = 7.0
    seen = original[0].item()
    return Answer(
        _verdict(not shared and seen == 2.0),
        f"same storage: {shared}; after detached[0] = 7 the original's first number is {seen:g} (it was 2); the "
        f"original is still in the graph: {original.grad_fn is not None}.",
        "It is a view without a graph: only the way back is cut. clone() copies." if shared else "",
    )


@_claim(2, "2.1, 4.2", "whatever is created under no_grad does not require a gradient")
def _no_grad_everything() -> Answer:
    source = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        result = source * 2
        leaf = torch.ones(3, requires_grad=True)
        parameter = nn.Parameter(torch.ones(3))
    exceptions = leaf.requires_grad or parameter.requires_grad
    return Answer(
        _verdict(not result.requires_grad, condition=exceptions),
        f"requires_grad of a product: {result.requires_grad}; of torch.ones(…, requires_grad=True): "
        f"{leaf.requires_grad}; of an nn.Parameter: {parameter.requires_grad}.",
        "Results of operations do not require one; leaves that ask for it by name do." if exceptions else "",
    )


@_claim(3, "4.1.1", "after detach L1 has no gradient and is not in the graph; in the control it has and is")
def _detach_removes() -> Answer:
    network, data = made("chain")
    tracked = {way: tracks(_loss(network, data, way), network.modules["L1"]) for way in ("none", "detach")}
    gradients = {way: _trial("chain", way).gradients["L1"] for way in ("none", "detach")}
    holds = tracked == {"none": True, "detach": False} and gradients["detach"] is None and bool(gradients["none"])
    return Answer(
        _verdict(holds),
        f"L1 in the graph: {tracked['none']} in the control, {tracked['detach']} after detach; its gradient "
        f"{_number(gradients['none'])} and {_number(gradients['detach'])}.",
    )


@_claim(4, "4.2.2", "the graph under no_grad is the graph under detach")
def _same_graph() -> Answer:
    network, data = made("chain")
    one, other = (nodes(_loss(network, data, way)) for way in ("no_grad", "detach"))
    equal = one == other
    return Answer(_verdict(equal), f"{len(one)} and {len(other)} nodes: {', '.join(one)}; equal: {equal}.")


@_claim(5, "4.2.3", "no_grad is faster than detach, because detach copies the tensor", measured=True)
def _no_grad_faster() -> Answer:
    spreads = {width: _forward_ratio(width) for width in (16, 256)}
    copies = (tensor := torch.ones(3)).detach().data_ptr() != tensor.data_ptr()
    faster = [whole for whole, _ in spreads.values() if whole.least > 1]
    slower = [whole for whole, _ in spreads.values() if whole.most < 1]
    verdict = FAILS if slower else NOISE if not faster else HOLDS if copies else CONDITION
    shown = "; ".join(
        f"width {width}: {whole}, and without the call of detach {tracked}"
        for width, (whole, tracked) in spreads.items()
    )
    recorded = all(tracked.least > 1 for _, tracked in spreads.values())
    return Answer(
        verdict,
        f"forward through L1, time of detach over no_grad, median and range of 9 rounds: {shown}; detach copies: "
        f"{copies}.",
        "The time goes where the graph of L1 is recorded, before detach is called."
        if recorded
        else "Where the difference comes from is not to be told apart here.",
    )


def _forward_ratio(width: int) -> tuple[Spread, Spread]:
    """The time of L1 with detach, and of L1 tracked without it, over that of L1 under no_grad."""
    network, data = made("chain", width, depth=3)
    body = network.modules["L1"]
    threads = torch.get_num_threads()
    turns = {
        way: timed(TUTORIAL[way](network.others).actions, body, data, repetitions=100, threads=1)
        for way in ("detach", "none", "no_grad")
    }
    try:
        seconds = take_turns(turns, rounds=9)
    finally:
        torch.set_num_threads(threads)
    return ratios(seconds, "detach", "no_grad"), ratios(seconds, "none", "no_grad")


@_claim(6, "4.1.2", "detach saves memory, since the graph upstream is dropped")
def _detach_saves() -> Answer:
    runs = {depth: {way: _deep(way, depth) for way in ("none", "detach", "no_grad")} for depth in (1, 4, 16)}
    shares = ", ".join(f"{each['detach'].held / each['none'].held:.2f}" for each in runs.values())
    saved = {way: each.saved for way, each in runs[16].items()}
    on_the_way = saved["detach"] > saved["no_grad"]
    return Answer(
        _verdict(all(each["detach"].held < each["none"].held for each in runs.values()), condition=on_the_way),
        f"share of the control's bytes that the graph still holds, for L1 of {', '.join(map(str, runs))} layers: "
        f"{shares}. But while L1 of 16 layers runs, autograd is handed {saved['detach']:,} bytes with detach, "
        f"{saved['none']:,} in the control, {saved['no_grad']:,} under no_grad.",
        "It lets go of the graph once L1 has run; no_grad never builds it." if on_the_way else "",
    )


def _deep(way: str, depth: int) -> Trial:
    network, data = made("chain", depth=depth)
    return trial(network, data, TUTORIAL[way](network.others))


@_claim(7, "4.1.2", "a tensor that is tracked cannot be made a NumPy array directly")
def _tracked_numpy() -> Answer:
    tensor = torch.ones(2, requires_grad=True) * 2
    refusal = message(tensor.numpy)
    ways = {
        "detach().numpy()": tensor.detach().numpy(),
        "numpy(force=True)": tensor.numpy(force=True),
        "tolist()": np.array(tensor.tolist()),
    }
    out = [name for name, array in ways.items() if np.array_equal(array, [2.0, 2.0])]
    return Answer(_verdict(bool(refusal)), f"PyTorch: “{refusal}.” Ways out that give the numbers: {', '.join(out)}.")


@_claim(8, "4.3", "under inference_mode nothing is tracked, neither upstream nor downstream")
def _inference_tracks_nothing() -> Answer:
    network, data = made("chain")
    with torch.inference_mode():
        inside = nodes(_loss(network, data, "none"))
        tensor = data * 2
    downstream = tensor + torch.ones(data.shape[1], requires_grad=True)
    return Answer(
        _verdict(not inside, condition=downstream.requires_grad),
        f"nodes of a loss computed inside: {len(inside)}; outside, inference tensor + tracked tensor requires a "
        f"gradient: {downstream.requires_grad}.",
        "Downstream of the block operations are tracked, if they need not keep the inference tensor."
        if downstream.requires_grad
        else "",
    )


@_claim(9, "4.3.2", "an inference tensor cannot enter a tracked forward pass; a clone made outside can")
def _inference_clone() -> Answer:
    network, data = made("chain")
    refusal = message(lambda: _loss(network, data, "inference_mode"))
    graphs = [nodes(_loss(network, data, way)) for way in ("inference+clone", "detach", "no_grad")]
    equal = graphs[0] == graphs[1] == graphs[2]
    with torch.inference_mode():
        tensor = data * 2
    entered = (tensor + torch.ones(data.shape[1], requires_grad=True)).requires_grad
    return Answer(
        _verdict(bool(refusal) and equal, condition=entered),
        f"PyTorch: “{refusal}.” With a clone its graph is that of detach and no_grad: {equal}. An addition, which "
        f"keeps nothing for its backward pass, takes it as it is: {entered}.",
        "It cannot enter where it would have to be kept for the backward pass." if entered else "",
    )


@_claim(10, "4.3.3", "inference_mode also drops version counting and view tracking")
def _inference_drops() -> Answer:
    with torch.inference_mode():
        tensor = torch.ones(4)
        view = tensor.view(2, 2)
    refusal = message(lambda: tensor._version)
    with torch.no_grad():
        ordinary = torch.ones(4)
        ordinary_view = ordinary.view(2, 2)
        ordinary += 1
    holds = bool(refusal) and not view._is_view() and ordinary_view._is_view() and ordinary._version == 1
    return Answer(
        _verdict(holds),
        f"its version: “{refusal}.” Its view counts as a view: {view._is_view()}. Under no_grad: version "
        f"{ordinary._version} after one change in place, view: {ordinary_view._is_view()}.",
    )


@_claim(11, "5", "backward stores gradients and step applies them, so optimizer and manual come to the same")
def _optimizer_is_manual() -> Answer:
    one, other = _weights_after("optimizer"), _weights_after("manual")
    equal = all(map(torch.equal, one, other))
    moved = {
        "momentum": _zero_gradient_moves(lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9)),
        "weight decay": _zero_gradient_moves(lambda parameters: torch.optim.SGD(parameters, 0.1, weight_decay=0.1)),
        "plain SGD": _zero_gradient_moves(lambda parameters: torch.optim.SGD(parameters, 0.1)),
    }
    shown = ", ".join(f"{name}: {moves}" for name, moves in moved.items())
    return Answer(
        _verdict(equal, condition=any(moved.values())),
        f"equal weights after three steps, bit for bit: {equal}. A gradient set to zero instead of None still moves "
        f"the weights under {shown}.",
        "Dropping means None: a zero gradient is applied, and momentum and weight decay act on it."
        if any(moved.values())
        else "",
    )


def _weights_after(way: str) -> list[torch.Tensor]:
    network, data = made("chain")
    chosen, alone = TUTORIAL[way](network.others), network.modules[network.alone]
    optimizer = torch.optim.Adam(chosen.held_parameters(network.others, alone))
    for update in (1, 2, 3):
        network.others.zero_grad()
        alone.zero_grad()
        chosen.backward(_loss(network, data, way), alone, update)
        optimizer.step()
    return [parameter.detach() for module in network.modules.values() for parameter in module.parameters()]


def _zero_gradient_moves(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> bool:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = make([parameter])
    parameter.grad = torch.ones(3)
    optimizer.step()
    before = parameter.detach().clone()
    parameter.grad = torch.zeros(3)
    optimizer.step()
    return not torch.equal(before, parameter)


@_claim(12, "5", "in both low-level ways L1 is tracked all the same, though nothing comes of it")
def _low_level_tracks() -> Answer:
    network, data = made("chain")
    tracked = {way: tracks(_loss(network, data, way), network.modules["L1"]) for way in ("optimizer", "manual")}
    _loss(network, data, "optimizer").backward()
    filled = gradient_norm(network.modules["L1"])
    moved = {way: "L1" in _trial("chain", way).moved for way in tracked}
    return Answer(
        _verdict(all(tracked.values()) and bool(filled) and not any(moved.values())),
        f"L1 in the graph: {tracked['optimizer']} and {tracked['manual']}; backward leaves it a gradient of "
        f"{_number(filled)}; a step moves it: {moved['optimizer']} and {moved['manual']}.",
    )


@_claim(13, "5", "the high-level ways stop everything upstream; the low-level ways can skip one module")
def _skip_one() -> Answer:
    high = {way: _trial("middle", way) for way in ("detach", "no_grad", "inference+clone")}
    low = {way: _trial("middle", way) for way in ("optimizer", "manual")}
    stops = all(each.gradients["first"] is None for each in high.values())
    skips = all(each.as_meant for each in low.values())
    return Answer(
        _verdict(stops and skips),
        "first → middle → head, the middle to be skipped. Gradient of the first module: "
        + ", ".join(f"{way} {_number(each.gradients['first'])}" for way, each in (high | low).items())
        + f"; optimizer and manual leave the middle alone and train the rest: {skips}.",
    )


@_claim(14, "5.2.1", "the optimizer takes hyper-parameters for each module, but gives no finer control")
def _per_module() -> Answer:
    network, data = made("chain")
    rates = {"L1": 0.01, "L2": 0.1}
    optimizer = torch.optim.SGD(
        [{"params": list(network.modules[name].parameters()), "lr": rate} for name, rate in rates.items()]
    )
    before = {name: [each.detach().clone() for each in network.modules[name].parameters()] for name in rates}
    _loss(network, data, "none").backward()
    optimizer.step()
    share = {
        name: sum(
            float((one - other.detach()).norm()) for one, other in zip(before[name], module.parameters(), strict=True)
        )
        / sum(float(each.grad.norm()) for each in module.parameters() if each.grad is not None)
        for name, module in network.modules.items()
    }
    holds = all(abs(share[name] / rate - 1) < 1e-3 for name, rate in rates.items())
    shown = ", ".join(f"{name} moved {value:.3g} times its gradient" for name, value in share.items())
    alone, skipped = _one_tensor_and_every_other_step()
    return Answer(
        _verdict(holds, condition=alone and skipped),
        f"one optimizer, two groups with rates 0.01 and 0.1: {shown}. But a group may hold the bias alone: {alone}; "
        f"and a rate set to 0 between steps skips a step: {skipped}.",
        "Groups hold tensors, not modules, and may change between steps; what depends on the gradient itself needs "
        "the hand."
        if alone and skipped
        else "",
    )


def _one_tensor_and_every_other_step() -> tuple[bool, bool]:
    layer = nn.Linear(3, 1)
    optimizer = torch.optim.SGD([layer.bias], 0.1)

    def moves() -> tuple[bool, bool]:
        before = layer.weight.detach().clone(), layer.bias.detach().clone()
        layer(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        return not torch.equal(before[0], layer.weight), not torch.equal(before[1], layer.bias)

    first = moves()
    optimizer.param_groups[0]["lr"] = 0.0
    return first == (False, True), moves() == (False, False)


@_claim(15, "5.3.1", "by hand a gradient can be dropped every other step, or scaled on a condition")
def _by_hand() -> Answer:
    network, data = made("chain")
    alone = network.modules["L1"]

    def left(way: GradientStop, update: int) -> float | None:
        alone.zero_grad()
        (loss,) = network.losses(way, data).values()
        way.backward(loss, alone, update)
        return gradient_norm(alone)

    whole = left(GradientStop.make("none"), 1)
    dropped = [left(EditGradient(every=2), update) for update in (1, 2, 3, 4)]
    halved = left(EditGradient(scale=0.5), 1)
    holds = whole is not None and halved is not None and dropped == [whole, None, whole, None]
    holds = holds and abs((halved or 0.0) / (whole or 1.0) - 0.5) < 1e-6
    return Answer(
        _verdict(holds),
        f"L1's gradient in four updates, dropped in every other: {', '.join(map(_number, dropped))}; scaled by a half: "
        f"{_number(halved)}.",
    )


@_claim(16, "2.3", "eval() does not stop the graph; it changes dropout and batch normalisation only")
def _eval() -> Answer:
    data = torch.arange(-8.0, 8.0).reshape(4, 4)
    layer = nn.Linear(4, 1)
    layer.eval()
    tracked = tracks(layer(data), layer)
    kinds = {
        "Linear": nn.Linear(4, 4),
        "Dropout": nn.Dropout(0.5),
        "BatchNorm1d": nn.BatchNorm1d(4),
        "RReLU": nn.RReLU(),
    }
    changes = {name: _changes_in_eval(module, data) for name, module in kinds.items()}
    return Answer(
        _verdict(tracked and changes["Dropout"] and changes["BatchNorm1d"], condition=changes["RReLU"]),
        f"in eval() the parameters are in the graph: {tracked}. Another output in eval() than in train(): "
        + ", ".join(f"{name} {changed}" for name, changed in changes.items())
        + ".",
        "Not these two only: whatever reads self.training changes." if changes["RReLU"] else "",
    )


def _changes_in_eval(module: nn.Module, data: torch.Tensor) -> bool:
    module.train()
    trained = module(data)
    module.eval()
    return not torch.equal(trained, module(data))


@_claim(17, "6", "prefer no_grad, avoid inference_mode for this; detach leaves a tensor and a NumPy array around")
def _advice() -> Answer:
    detached = (torch.ones(3, requires_grad=True) * 2).detach()
    array = isinstance(detached, np.ndarray)
    runs = {way: _trial("chain", way) for way in ("detach", "no_grad", "inference+clone")}
    cheaper = runs["no_grad"].saved < runs["detach"].saved
    gains = runs["inference+clone"].held < runs["no_grad"].held
    return Answer(
        _verdict(cheaper and not gains, condition=not array),
        "bytes saved on the way and held: "
        + ", ".join(f"{way} {each.saved:,} and {each.held:,}" for way, each in runs.items())
        + f". What detach returns is a NumPy array: {array}.",
        f"The advice stands where L1 need not run for another loss too; but what detach leaves around is a second "
        f"{type(detached).__name__} on the same storage."
        if not array
        else "",
    )


@_claim(18, "1", "in DDPG, unless something stops it, the critic's update runs back through the actor")
def _ddpg() -> Answer:
    moved = {stop: "actor" in critic_update(stop).moved for stop in STOPS}
    papers = critic_update("none", "target").moved
    sound = {stop: moves for stop, moves in moved.items() if stop != "none"}
    return Answer(
        _verdict(moved["none"] and not any(sound.values()), condition="actor" not in papers),
        "one update of the critic moves the actor that it bootstraps from: "
        + ", ".join(f"{stop} {'yes' if moves else 'no'}" for stop, moves in moved.items())
        + f". With the paper's target actor, nothing stopped, it moves: {', '.join(papers)}.",
        "Whichever actor bootstraps is reached, and moved if the critic's optimizer holds it: in the paper's algorithm "
        "the target actor, and the acting one where it bootstraps itself."
        if "actor" not in papers
        else "",
    )


def _number(norm: float | None) -> str:
    return "None" if norm is None else f"{norm:.3g}"
