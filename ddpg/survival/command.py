"""`scripts/survive.py`: puts runs through something, says what came of it, and writes it down."""

import argparse
import os
import platform
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from ddpg.base.progress import fleeting
from ddpg.survival import bad_environments, faults
from ddpg.survival.bad_environments import GALLERY, DoesNotRepeat, RemembersEpisodes, env_id
from ddpg.survival.kills import SUBJECTS, ordeals
from ddpg.survival.runs import start
from ddpg.survival.soak import OVERRIDES, Look, draw, judge, soak
from ddpg.tour.page import Picture, Prose, Section, Table, show, write

_FULL = 200_000  # the step from which on the soak's replay buffer is full


def main() -> None:
    """Do the part that the command line names."""
    parser = argparse.ArgumentParser(description="Put runs through something, and see whether they survive it.")
    parser.add_argument("part", choices=_PARTS, help="what they are put through")
    parser.add_argument("--kills", type=int, default=12, help="of each run; by default 12")
    parser.add_argument("--places", type=int, default=100, help="damaged in each file; by default 100")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the soak; by default 1,000,000")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the places")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where the page goes; none by default")
    options = parser.parse_args()
    for name in ("kills", "places", "steps"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: must be 1 or more.")
    with tempfile.TemporaryDirectory() as folder:
        try:
            section = _PARTS[options.part](Path(folder), options)
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            sys.exit(130)
    show(section)
    if options.output is not None:
        command = shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
        on = f"{os.cpu_count()} cores, Python {platform.python_version()}, PyTorch {torch.__version__}"
        made_by = Section("How this page was made", [Prose(f"`{command}`, on {on}")])
        try:
            paths = write(options.part, f"Survival: {options.part}", [section, made_by], options.output)
        except OSError as error:
            print(f"--output {options.output}: cannot be written ({error}); choose another.", file=sys.stderr)
            sys.exit(2)
        print(f"wrote {os.path.relpath(paths[0])}")


def _kills(folder: Path, options: argparse.Namespace) -> Section:
    rows, kills, saving = [], 0, 0
    for each in ordeals(folder, options.kills, options.seed, SUBJECTS):
        kills += each.kills
        saving += each.while_saving
        said = ", ".join(each.differing) or "nothing"
        at = " ".join(map(str, each.checkpoints))
        rows.append((each.subject, str(each.kills), str(each.while_saving), at, said))
    return Section(
        "Killed at random moments",
        [
            Prose(
                "Each run was killed with SIGKILL, resumed, and killed again; after the last time it was resumed until "
                "it was done. Weights, optimizers, replay buffer, random generators, unfinished episodes, final "
                "evaluation and every point of the curves but `time/*` are compared bit for bit with those of a run "
                f"that was left alone. {kills} kills, {saving} of them while a file of a checkpoint was half written."
            ),
            Table(("run", "kills", "while saving", "newest checkpoint at each, by its step", "differs in"), rows),
        ],
    )


def _writes(folder: Path, options: argparse.Namespace) -> Section:
    return _counted(
        "Writes that fail",
        "Every call that writes a checkpoint (of its transitions, its events, itself) failed once in each way; then "
        "the run was taken up from what lay there, and once more after the following checkpoint. Each time it was, bit "
        "for bit, the run of that step, and went on as an unbroken one. In all, {} cases.",
        faults.failing_writes(folder),
    )


def _damage(folder: Path, options: argparse.Namespace) -> Section:
    return _counted(
        "Damaged files",
        f"In every file that a run goes on from, one bit was flipped, or the rest cut off, at {options.places} random "
        "places; then the run was taken up. It never crashed, and where it went on, it was bit for bit the run of that "
        "step. In all, {} cases.",
        faults.damaged_files(folder, options.places, options.seed),
    )


def _counted(title: str, text: str, outcomes: Counter[str]) -> Section:
    rows = [(*what.split(": ", 1), str(count)) for what, count in sorted(outcomes.items())]
    return Section(
        title, [Prose(text.format(f"{outcomes.total():,}")), Table(("what", "what came of it", "cases"), rows)]
    )


def _environments(folder: Path, options: argparse.Namespace) -> Section:
    rows = []
    small = ["total_steps=100", "learning_starts=40", "batch_size=8", "agent.hidden_sizes=[8]", "hydra.run.dir=run"]
    for environment, overrides in fleeting(GALLERY.items(), "environments"):
        place = folder / environment.__name__
        process = start([f"env.id={env_id(environment)}", *overrides, *small, "checkpoint.interval=20"], place)
        process.join()
        if environment in (DoesNotRepeat, RemembersEpisodes):  # which shows when the run goes on
            (place / "train.log").unlink()
            process = start(["resume=run", f"env.id={env_id(environment)}", "total_steps=150"], place)
            process.join()
        said = [line for line in (place / "train.log").read_text().splitlines() if line and not _bar(line)]
        name = f"`{environment.__name__}`{' '.join(['', *map('`{}`'.format, overrides)])}"
        rows.append(
            (name, " ".join(dict.fromkeys(said)).replace(f"{bad_environments.__name__}:", "…:"), str(process.exitcode))
        )
    return Section(
        "Environments that misbehave",
        [
            Prose(f"{len(rows)} environments of `ddpg.survival.bad_environments`, and all that a person sees of each."),
            Table(("environment", "what is said", "exit status"), rows),
        ],
    )


def _bar(line: str) -> bool:
    return "\r" in line or "/100" in line


def _soak(folder: Path, options: argparse.Namespace) -> Section:
    return soak_section(soak(folder, options.steps))


def soak_section(looks: list[Look]) -> Section:
    """What the looks at a long run show."""
    full = min(_FULL, looks[-1].step // 5)
    found = judge(looks, full)
    rows = [
        ("resident memory, MiB, median of the first and the last fifth", *(f"{each:.1f}" for each in found.memory_mib)),
        ("open file handles, least and most", *map(str, found.handles)),
        ("steps a second, median of the first and the last fifth", *(f"{each:.0f}" for each in found.steps_per_second)),
    ]
    return Section(
        "A long run",
        [
            Prose(f"Pendulum for {looks[-1].step:,} steps with `{' '.join(OVERRIDES)}`, looked at every other second."),
            Table(("after the replay buffer was full", "", ""), rows),
            Picture(
                "soak.png",
                "Memory, file handles, threads and speed over the environment steps",
                lambda: draw(looks, full),
            ),
        ],
    )


_PARTS: dict[str, Callable[[Path, argparse.Namespace], Section]] = {
    "kills": _kills,
    "writes": _writes,
    "damage": _damage,
    "environments": _environments,
    "soak": _soak,
}
