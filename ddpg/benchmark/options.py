"""What a person may ask of the benchmark, checked before anything is measured."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ddpg.base.errors import InputError, choices, require, whole

PARTS = {
    "training": "steps a second of whole training, against other libraries",
    "update": "one update, eager and compiled, beside the machine's matrix products",
    "step": "what a training step does beside its update",
    "strategies": "what each gradient stop and each critic freeze costs: time, kept bytes, gradients in vain",
    "buffer": "a million transitions: memory, filling, sampling",
    "seeds": "several seeds: in turn, in parallel, and at once in one process",
    "solve": "from the command line to a solved Pendulum, against stable-baselines3",
    "scaling": "curves over widths, batches, environments, seeds and buffer sizes",
    "audit": "one update inside GradientFlow",
}
ON_ANY_DEVICE = ("update", "step", "strategies", "buffer", "scaling")


@dataclass(frozen=True)
class Options:
    """One measurement.

    Attributes:
        part: one of `PARTS`.
        rounds: how often each contestant has its turn.
        env: the environment of training, step, seeds and scaling.
        hidden: the width of the two hidden layers.
        batch: transitions of one update.
        device: of the agent, in the parts that take one.
        seeds: how many, in the part of that name.
        output: the folder that figures, table and pictures go to; None keeps nothing.

    Raises:
        InputError: for a value out of its range.
    """

    part: str
    rounds: int = 7
    env: str = "Pendulum-v1"
    hidden: int = 256
    batch: int = 256
    device: str = "cpu"
    seeds: int = 8
    output: Path | None = None

    def __post_init__(self) -> None:
        require(self.part in PARTS, f"{self.part}: no such part; {choices(PARTS, self.part)}")
        for name in ("rounds", "hidden", "batch", "seeds"):
            whole(f"--{name}", getattr(self, name), least=1)
        if self.device != "cpu":
            self._check_device()
        from ddpg.environments import make_environment  # takes a second, which a mistyped part need not wait for

        try:
            make_environment(self.env, {}).close()
        except InputError as error:
            raise InputError(str(error).replace("env.id=", "--env ", 1)) from None

    def _check_device(self) -> None:
        from ddpg.base.devices import usable_device

        require(
            self.part in ON_ANY_DEVICE,
            f"--device {self.device}: the part {self.part} is measured on the cpu; {', '.join(ON_ANY_DEVICE)} take "
            "another.",
        )
        usable_device(self.device)


def parse(arguments: Sequence[str]) -> Options:
    """The options typed on the command line.

    Raises:
        InputError: for whatever is wrong with them.
    """
    parts = "\n".join(f"  {name:12}{what}" for name, what in PARTS.items())
    parser = _Parser(
        prog="benchmark.py",
        description="Measure one part, contestants in turn, and print ratios with their ranges.",
        epilog=f"parts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", metavar="PART", help="one of those below")
    parser.add_argument("--rounds", type=int, default=Options.rounds, help="of turns; %(default)s by default")
    parser.add_argument("--env", default=Options.env, help="of training, step, seeds, scaling; %(default)s by default")
    parser.add_argument(
        "--hidden", type=int, default=Options.hidden, help="width of the two hidden layers; %(default)s by default"
    )
    parser.add_argument("--batch", type=int, default=Options.batch, help="%(default)s by default")
    parser.add_argument("--device", default=Options.device, help=f"of {', '.join(ON_ANY_DEVICE)}; cpu by default")
    parser.add_argument("--seeds", type=int, default=Options.seeds, help="of the part seeds; %(default)s by default")
    parser.add_argument("--output", type=Path, help="a folder for the figures (JSON), the table (Markdown), pictures")
    return Options(**vars(parser.parse_args(arguments)))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help shows what there is.")
