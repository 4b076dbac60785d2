"""The benchmark's command: options in, a table out."""

import shlex
import sys
from importlib import import_module

from ddpg.base.errors import InputError
from ddpg.benchmark.options import parse
from ddpg.benchmark.report import Report
from ddpg.command_line import plainly


def main() -> None:
    """Measure one part, print it, and keep it where `--output` says."""
    try:
        _measure(sys.argv[1:])
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def _measure(arguments: list[str]) -> None:
    options = parse(arguments)
    if options.output is not None:
        try:
            options.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--output {options.output}: cannot be made ({error.strerror}).") from error
    # Each part by itself, since some of them must not have loaded what another one needs.
    with plainly():
        part = import_module(f"ddpg.benchmark.{options.part}")
    report: Report = part.measure(options)
    print(report.text())
    if options.output is not None:
        report.save(options, f"python scripts/benchmark.py {shlex.join(arguments)}")
