"""The sections of the tour: each runs its experiments and says what came out."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ddpg.gradient_flow.records import Backward
from ddpg.tour.actor_critic import FREEZES, STOPS, Update, actor_update, critic_update
from ddpg.tour.architectures import NETWORKS, Network, made
from ddpg.tour.claims import CLAIMS
from ddpg.tour.compare import ALL, choice, comparisons, trials_of
from ddpg.tour.cost import relative_times
from ddpg.tour.mistakes import MISTAKES
from ddpg.tour.page import MEASURED, Block, Code, Picture, Prose, Section, Table
from ddpg.tour.pictures import curves, heat_maps, side_by_side
from ddpg.tour.traps import TRAPS
from ddpg.tour.trial import Trial, trial
from ddpg.tour.turns import Spread
from ddpg.tour.ways import TUTORIAL, Way, idiom

VERSION = ".".join(torch.__version__.split(".")[:2])
WIDTHS, DEPTHS = (32, 64, 128, 256), (1, 2, 4, 8)

_LEGEND = Prose(
    "In the tables, under each module the norm of what the backward pass left in `.grad`; → where the step then moved "
    "it. Bytes: saved by the forward pass, held by the loss's graph, and of the parameters' gradients computed. Time: "
    "of a step, relative to the control. ok: every module moved as meant, and no other way, also under Adam with "
    "weight decay."
)


def network() -> Section:
    """The tutorial's network under each of its conditions."""
    trials = _trials("chain", tuple(TUTORIAL))
    return Section(
        "The tutorial's network",
        [
            Prose(
                "While a module computes, PyTorch writes down each operation in a graph, and keeps the numbers that it "
                "needs on the way back. `loss.backward()` goes through that graph from the loss to the weights, and "
                "adds to each weight's `.grad`; `optimizer.step()` moves every weight that it holds and whose `.grad` "
                "is not None. So there are three places to stop a gradient: in the graph, at `.grad`, and at the "
                f"optimizer. All that follows is run with PyTorch {VERSION} on a CPU, in single precision; ≈ stands "
                "before what depends on the machine and the moment."
            ),
            Prose(
                "Two modules: L1, then the head L2; the loss is the mean square of L2's output. Only L2 is to be "
                "trained. These are the ways to go about it, in the words of this project's code: `policy` stands for "
                "L1, `next_observations` for the data, `critic` for L2."
            ),
            *(_shown(name) for name in TUTORIAL),
            _pictured("graphs.svg", "the graph of the loss under each way that PyTorch takes", _passes(trials)),
            _LEGEND,
            *_table("chain", trials),
            Prose(f"What PyTorch says to `inference_mode`: “{trials['inference_mode'].error}”"),
        ],
    )


def architectures() -> Section:
    """The series' other networks, under every way."""
    blocks: list[Block] = [_LEGEND]
    for name in ("middle", "heads", "shared"):
        trials = _trials(name, tuple(ALL))
        some = {way: trials[way] for way in ("none", "detach", "manual", "requires_grad_")}
        blocks += [
            Prose(f"**{name.capitalize()}.** {_doc(NETWORKS[name])}"),
            _pictured(f"{name}.svg", f"{name}: the graph of the losses under four of the ways", _passes(some)),
            *_table(name, trials),
        ]
    return Section("Other architectures", blocks)


def agent() -> Section:
    """The agent's two updates under every stop and every freeze."""
    critic = {stop: critic_update(stop) for stop in STOPS}
    actor = {freeze: actor_update(freeze) for freeze in FREEZES}
    return Section(
        "Actor and critic",
        [
            Prose(
                "The agent itself, with one actor whose action enters the critic (`agent.bootstrap_actor=online`). The "
                "critic's loss must not reach the actor: the link is to be closed. Under each network the norm of what "
                "the backward pass brought to it; → where the step then moved it."
            ),
            _updates("gradient_stop=", critic, wrong="actor"),
            _verdict_of_updates(critic, "actor"),
            _pictured("critic.svg", "the graph of the critic's loss under each stop", _passes(critic)),
            Prose("The actor's loss has to pass through the critic and leave it where it is: the link must stay open."),
            _updates("critic_freeze=", actor, wrong="critic"),
            _verdict_of_updates(actor, "critic"),
            _pictured("actor.svg", "the graph of the actor's loss under each freeze", _passes(actor)),
            Picture(
                "reached.svg",
                "heat maps: what each loss's gradient reached, without and with a stop and a freeze",
                lambda: heat_maps(
                    {
                        "no stop, no freeze": _map(critic["none"], actor["none"]),
                        "no_grad, requires_grad": _map(critic["no_grad"], actor["requires_grad"]),
                        "optimizer, optimizer": _map(critic["optimizer"], actor["optimizer"]),
                    }
                ),
            ),
        ],
    )


def claims() -> Section:
    """The tutorial's claims, each run."""
    blocks: list[Block] = []
    for claim in CLAIMS:
        answer = claim.ask()
        mark = MEASURED if claim.measured else ""
        blocks += [
            Prose(f"**{claim.number}.** “{claim.says}” (section {claim.where}): {mark}**{answer.verdict}**."),
            Prose(f"{mark}{answer.evidence[0].upper()}{answer.evidence[1:]} {answer.instead}".strip()),
        ]
    return Section("The claims", blocks)


def beyond() -> Section:
    """Every way side by side, those that the tutorial does not know included."""
    found = comparisons()
    unknown = [way for way in ALL if way not in TUTORIAL]
    times = relative_times("chain", [way for way, each in found.items() if each.trials["chain"].error is None])
    rows = [
        [
            f"`{way}`",
            each.upstream,
            ("yes" if each.trials["middle"].as_meant else "no") if each.upstream != "refused" else "",
            ("yes" if each.scales else "no") if each.upstream != "refused" else "",
            f"{each.saves:,}" if each.upstream != "refused" else "",
            f"{MEASURED}{times[way].median:.2f}" if way in times else "",
            each.compiles if each.upstream != "refused" else "",
            ("yes" if each.undone else "no") if each.upstream != "refused" else "",
        ]
        for way, each in found.items()
    ]
    return Section(
        "Every way",
        [
            Prose("Ways that the tutorial does not know:"),
            *(_shown(way) for way in unknown),
            Prose(
                "With a module in the middle: what becomes of the gradient upstream, for what lies before it, and "
                "whether the way skips the module alone. On the tutorial's network: whether it can halve the gradient "
                "(scales), bytes of the control's graph that it need not hold (saves), the time of a step relative to "
                "the control, whether torch.compile takes the loss as one graph that still stops the gradient, and "
                "whether the next step can train the module again with the optimizer as it is (undone)."
            ),
            Table(["", "upstream", "skips", "scales", "saves", "time", "one graph", "undone"], rows),
            Table(
                ["", "the usual mistake", "what comes of it"],
                [[f"`{way}`", mistake, shown()] for way, (mistake, shown) in MISTAKES.items()],
            ),
        ],
    )


def traps() -> Section:
    """Mistakes that look right, each run and then mended."""
    blocks: list[Block] = []
    for trap in TRAPS:
        outcome, (wrong, mended) = trap.run(), trap.code()
        found = ", ".join(dict.fromkeys(outcome.findings)) or "nothing"
        blocks += [
            Code(f"**{trap.title}.** Wrong", wrong),
            Code("Mended", mended),
            Prose(trap.because),
            Prose(
                f"{trap.asks[0].upper()}{trap.asks[1:]}: {outcome.wrong}; mended: {outcome.mended}. The audit's "
                f"findings in the wrong one: {found}."
            ),
        ]
    return Section("Traps", blocks)


def cost() -> Section:
    """What the ways cost over sizes."""
    shown = [way for way in ALL if way != "inference_mode"]
    by_width = {x: relative_times("chain", shown, width=x, depth=2, rounds=5) for x in WIDTHS}
    by_depth = {x: relative_times("chain", shown, width=64, depth=x, rounds=5) for x in DEPTHS}
    trials = {way: {x: trial(*_with(way, depth=x)) for x in DEPTHS} for way in shown}
    wide, deep = by_width[WIDTHS[-1]], by_depth[DEPTHS[-1]]
    lost = [
        way for way in shown if way != "none" and all(each[way].least <= 1 <= each[way].most for each in (wide, deep))
    ]
    return Section(
        "What it costs",
        [
            Prose(
                "A step of the tutorial's network under every way, relative to the control in the same round: median "
                "and range of five rounds."
            ),
            Picture(
                "cost.svg",
                "curves: the time of a step relative to the control over width and over depth",
                lambda: curves(
                    {
                        "2 layers, over width": {way: {x: each[way] for x, each in by_width.items()} for way in shown},
                        "width 64, over depth": {way: {x: each[way] for x, each in by_depth.items()} for way in shown},
                    },
                    "time of a step / the control's",
                ),
            ),
            Table(
                ["", f"time, width {WIDTHS[-1]}", f"time, {DEPTHS[-1]} layers"],
                [[f"`{way}`", f"{MEASURED}{wide[way]}", f"{MEASURED}{deep[way]}"] for way in shown],
            ),
            Prose(
                f"{MEASURED}Drowned in the noise here, as both ranges include 1: "
                f"{', '.join(f'`{way}`' for way in lost) or 'none'}."
            ),
            Picture(
                "memory.svg",
                "curves: bytes saved by the forward pass and bytes held by the graph over depth",
                lambda: curves(
                    {
                        "saved on the way, over depth": _memory(trials, "saved"),
                        "held by the graph, over depth": _memory(trials, "held"),
                    },
                    "bytes",
                ),
            ),
            Table(
                ["bytes held", *(f"{x} layer{'s' if x > 1 else ''}" for x in DEPTHS)],
                [[f"`{way}`", *(f"{trials[way][x].held:,}" for x in DEPTHS)] for way in shown],
            ),
        ],
    )


def choose() -> Section:
    """Which way to take, from what the others measured."""
    by_network = {name: trials_of(name) for name in NETWORKS}
    freezes = {freeze: actor_update(freeze) for freeze in FREEZES}
    sound = [freeze for freeze, each in freezes.items() if each.moved == ("actor",)]
    cost_of = {freeze: (freezes[freeze].bytes, len(freezes[freeze].reached)) for freeze in sound}
    questions = {
        "The module next to the data is to be left alone": choice(by_network["chain"]),
        "A module is to be left alone, what lies before it trained": choice(by_network["middle"]),
        "One of several losses must not reach a trunk that runs for each": choice(by_network["heads"]),
        "One of several losses must not reach a trunk that runs once": choice(by_network["shared"]),
        "An actor's loss passes through a critic that stays": [
            [freeze for freeze in sound if cost_of[freeze] == each] for each in sorted(set(cost_of.values()))
        ],
    }
    return Section(
        "Which one do I use?",
        [
            Prose(
                "The ways that did as meant in this run, also under Adam with weight decay, with one backward pass "
                "over the sum of the losses. The cheapest first: by the memory that the graph holds, the gradients "
                "that are computed, and what the forward pass saves on the way; = where all three are equal. In the "
                "last row they go by the names of `critic_freeze`, and by the first two."
            ),
            Table(
                ["what is wanted", "first choice", "also sound"],
                [[question, *_first_and_others(fit)] for question, fit in questions.items()],
            ),
        ],
    )


SECTIONS: Mapping[str, Callable[[], Section]] = {
    "network": network,
    "architectures": architectures,
    "agent": agent,
    "claims": claims,
    "beyond": beyond,
    "traps": traps,
    "cost": cost,
    "choose": choose,
}


def _trials(name: str, ways: Sequence[str]) -> dict[str, Trial]:
    return {way: trials_of(name)[way] for way in ways}


def _with(way: str, name: str = "chain", depth: int = 1) -> tuple[Network, Tensor, Way]:
    network, data = made(name, depth=depth, width=64 if depth > 1 else 16)
    return network, data, ALL[way](network.others)


def _table(name: str, trials: Mapping[str, Trial]) -> list[Block]:
    modules = list(made(name)[0].modules)
    times = relative_times(name, [way for way, each in trials.items() if each.error is None])
    rows = [
        [
            f"`{way}`",
            *(_cell(each.gradients[module], module in each.moved) for module in modules),
            *(f"{each_bytes:,}" for each_bytes in (each.saved, each.held, each.computed)),
            f"{MEASURED}{times[way].median:.2f}",
            "yes" if each.as_meant else "no",
        ]
        if each.error is None
        else [f"`{way}`", *("" for _ in modules), "", "", "", "", "error"]
        for way, each in trials.items()
    ]
    header = ["", *modules, "saved", "held", "grads", "time", "ok"]
    work = [f"`{way}`" for way, each in trials.items() if each.as_meant]
    fail = [f"`{way}` ({_reason(each)})" for way, each in trials.items() if not each.as_meant]
    return [
        Table(header, rows),
        Prose(f"As meant: {', '.join(work)}. Not as meant, with what moved otherwise: {', '.join(fail)}."),
    ]


def _passes(runs: Mapping[str, Trial | Update]) -> dict[str, Backward]:
    return {way: each.flow.backwards[0] for way, each in runs.items() if each.flow is not None}


def _pictured(name: str, shows: str, passes: Mapping[str, Backward]) -> Picture:
    return Picture(name, shows, lambda: side_by_side(passes, columns=3 if len(passes) > 4 else 2))


def _updates(option: str, updates: Mapping[str, Update], wrong: str) -> Table:
    names = ("actor", "critic")
    rows = [
        [
            f"`{option}{way}`",
            *(_cell(each.reached.get(name), name in each.moved) for name in names),
            f"{each.bytes:,}",
            "no" if wrong in each.moved else "yes",
        ]
        for way, each in updates.items()
    ]
    return Table(["", *names, "bytes", "as meant"], rows)


def _verdict_of_updates(updates: Mapping[str, Update], wrong: str) -> Prose:
    sound = [f"`{way}`" for way, each in updates.items() if wrong not in each.moved]
    others = [f"`{way}`" for way, each in updates.items() if wrong in each.moved]
    return Prose(f"The {wrong} stays where it is under: {', '.join(sound)}. It is moved under: {', '.join(others)}.")


def _cell(gradient: float | None, moved: bool) -> str:
    return ("None" if gradient is None else f"{gradient:.2f}") + (" →" if moved else "")


def _memory(trials: Mapping[str, Mapping[int, Trial]], name: str) -> dict[str, dict[int, Spread]]:
    """Bytes over x, one line for all the ways that agree."""
    together: dict[tuple[int, ...], list[str]] = {}
    for way, points in trials.items():
        together.setdefault(tuple(getattr(each, name) for each in points.values()), []).append(way)
    xs = list(next(iter(trials.values())))
    return {
        "\n".join(ways): {x: Spread(value, value, value) for x, value in zip(xs, values, strict=True)}
        for values, ways in together.items()
    }


def _first_and_others(groups: Sequence[Sequence[str]]) -> tuple[str, str]:
    first, *others = [" = ".join(f"`{way}`" for way in group) for group in groups]
    return first, ", ".join(others)


def _shown(name: str) -> Code:
    place, lines = idiom(ALL[name](made("chain")[0].others))
    return Code(f"`{name}`, {place}", lines)


def _reason(result: Trial) -> str:
    return "refused" if result.error else ", ".join(result.wrong) or "moved by zeros, under Adam with weight decay"


def _map(critic: Update, actor: Update) -> tuple[list[str], list[str], list[list[float]]]:
    modules = ["actor", "critic"]
    norms = [[each.reached.get(module, 0.0) for module in modules] for each in (critic, actor)]
    return ["critic's loss", "actor's loss"], modules, norms


def _doc(function: Callable[..., object]) -> str:
    return " ".join((function.__doc__ or "").split())
