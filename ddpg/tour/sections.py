"""The sections of the tour: each runs its experiments and says what came out."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from ddpg.benchmark.turns import Spread
from ddpg.gradient_flow.records import Backward
from ddpg.tour.agent import FREEZES, STOPS, Update, actor_update, critic_update
from ddpg.tour.claims import CLAIMS
from ddpg.tour.compare import ALL, MISTAKES, choice, comparisons, trials_of
from ddpg.tour.cost import relative_times
from ddpg.tour.networks import NETWORKS, Network, made
from ddpg.tour.page import MEASURED, Block, Code, Picture, Prose, Section, Table
from ddpg.tour.pictures import curves, heat_maps, side_by_side
from ddpg.tour.traps import TRAPS
from ddpg.tour.trial import Trial, trial
from ddpg.tour.ways import TUTORIAL, Way, idiom

WIDTHS, DEPTHS = (32, 64, 128, 256), (1, 2, 4, 8)


def network() -> Section:
    """The tutorial's network under each of its conditions."""
    trials = _trials("chain", tuple(TUTORIAL))
    return Section(
        "The tutorial's network",
        [
            Prose(
                "Two modules: L1, then the head L2, whose output is the loss. Only L2 is to be trained. These are the "
                "ways to go about it, in the words of this project's code: `policy` stands for L1, `critic` for L2, "
                "and what a way returns goes into L2."
            ),
            *(Code(f"`{name}`", idiom(TUTORIAL[name](made("chain")[0].others))) for name in TUTORIAL),
            _pictured("graphs.svg", "the graph of the loss under each way that PyTorch takes", _passes(trials)),
            *_table("chain", trials),
        ],
    )


def architectures() -> Section:
    """The series' other networks, under every way."""
    blocks: list[Block] = []
    for name in ("middle", "heads"):
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
            "yes" if each.trials["middle"].as_meant else "no",
            "yes" if each.scales else "no",
            f"{each.saves:,}" if each.upstream != "refused" else "",
            f"{MEASURED}{times[way].median:.2f}" if way in times else "",
            "yes" if each.compiles else "no",
            "yes" if each.undone else "no",
        ]
        for way, each in found.items()
    ]
    return Section(
        "Every way",
        [
            Prose("Ways that the tutorial does not know:"),
            *(Code(f"`{way}`", idiom(ALL[way](made("chain")[0].others))) for way in unknown),
            Prose(
                "Upstream: what becomes of the gradient for what lies before the module. Skips: whether the module "
                "alone can be left out, with what lies before it trained. Scales: whether its gradient can be halved. "
                "Saves: bytes of the control's graph that are "
                "not held. Time: of a step, relative to the control. One graph: whether torch.compile traces the loss "
                "without a break. Undone: whether the next step can train the module again with the same optimizer."
            ),
            Table(["", "upstream", "skips", "scales", "saves", "time", "one graph", "undone"], rows),
            Table(["", "the usual mistake"], [[f"`{way}`", mistake] for way, mistake in MISTAKES.items()]),
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
            Prose(
                f"{trap.asks}: {outcome.wrong}; mended: {outcome.mended}. The audit finds in the wrong one: {found}."
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
    questions = {
        "Nothing before a point is to be trained": choice(by_network["chain"]),
        "One of several losses must not reach a shared trunk": choice(by_network["heads"]),
        "A module is to be left alone, what lies before it trained": choice(by_network["middle"]),
        "An actor's loss passes through a critic that stays": sorted(
            sound, key=lambda freeze: (freezes[freeze].bytes, len(freezes[freeze].reached))
        ),
    }
    return Section(
        "Which one do I use?",
        [
            Prose(
                "The ways that did as meant in this run, in the order of the memory that their graph holds, the "
                "gradients that they compute, and what the forward pass saves on the way. In the last row they go by "
                "the names of `critic_freeze`."
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
    return {way: trial(*_with(way, name)) for way in ways}


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
    fail = [f"`{way}` ({', '.join(each.wrong) or 'refused'})" for way, each in trials.items() if not each.as_meant]
    return [
        Prose(
            "Under each module the norm of what the backward pass left in `.grad`; → where the step then moved it. "
            "Bytes: saved by the forward pass, held by the loss's graph, of the parameters' gradients computed. Time: "
            "of a step, relative to the control. ok: every module moved as meant, and no other way."
        ),
        Table(header, rows),
        *(Prose(f"PyTorch refuses: “{error}”") for error in {each.error for each in trials.values() if each.error}),
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
    return {
        way: {x: Spread(*[getattr(each, name)] * 3) for x, each in points.items()} for way, points in trials.items()
    }


def _first_and_others(ways: Sequence[str]) -> tuple[str, str]:
    first, *others = [f"`{way}`" for way in ways]
    return first, ", ".join(others)


def _map(critic: Update, actor: Update) -> tuple[list[str], list[str], list[list[float]]]:
    modules = ["actor", "critic"]
    norms = [[each.reached.get(module, 0.0) for module in modules] for each in (critic, actor)]
    return ["critic's loss", "actor's loss"], modules, norms


def _doc(function: Callable[..., object]) -> str:
    return " ".join((function.__doc__ or "").split())
