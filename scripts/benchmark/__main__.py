"""Measure speed and memory: `python scripts/benchmark PART`, `--help` for the parts.

Machines are noisy, and only ratios within a round mean something: contestants take turns, A B A B.
"""

import argparse
import shlex
import sys
from importlib import import_module
from typing import Any

from ddpg.base.errors import InputError
from ddpg.command_line import plainly

PARTS = {
    "training": ("steps a second of whole training, against other libraries", ("env", "hidden", "batch")),
    "update": ("one update, eager and compiled, and its matrix products alone", ("hidden", "batch", "device")),
    "strategies": ("what each gradient stop and critic freeze costs", ("hidden", "batch", "device")),
    "audit": ("updates inside and outside GradientFlow", ("hidden", "batch")),
    "buffer": ("a million transitions: memory, filling, sampling", ("batch", "device")),
}


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, 1 or more")
    return int(text)


OPTIONS: dict[str, dict[str, Any]] = {
    "rounds": {"type": _count, "default": 7, "help": "rounds of turns"},
    "env": {"default": "Pendulum-v1", "help": "environment"},
    "hidden": {"type": _count, "default": 256, "help": "width of the two hidden layers"},
    "batch": {"type": _count, "default": 256, "help": "transitions in a batch"},
    "device": {"default": "cpu", "help": "PyTorch device"},
}


def _parse() -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="python scripts/benchmark", description="Measure a part, contestants in turn; print medians and ranges."
    )
    parts = parser.add_subparsers(dest="part", metavar="PART [options]", required=True)
    for part, (what, options) in PARTS.items():
        subparser = parts.add_parser(part, help=what, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        for name in ("rounds", *options):
            subparser.add_argument(f"--{name}", **OPTIONS[name])
    return vars(parser.parse_args())


def main() -> None:
    """Measure the part that the command line names."""
    options = _parse()
    try:
        with plainly():
            from ddpg.base.devices import usable_device
            from ddpg.environments import make_environment

            part = import_module(options.pop("part"))
        if "device" in options:
            usable_device(options["device"])
        if "env" in options:
            make_environment(options["env"], {}).close()
        part.measure(**options).show(f"python scripts/benchmark {shlex.join(sys.argv[1:])}")
    except InputError as error:
        print(str(error).replace("env.id=", "--env ").replace("device=", "--device "), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
