"""Compare finished runs: `scripts/compare.py`."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml
from rich.console import Console
from rich.markdown import Markdown

from ddpg.base.errors import InputError
from ddpg.base.progress import under_way
from ddpg.command_line.config import CONF
from ddpg.comparison.comparison import Comparison
from ddpg.comparison.reading import Value, read
from ddpg.comparison.report import draw, page


def main() -> None:
    """Compare the finished runs that the command line names."""
    parser = argparse.ArgumentParser(
        description="Compare finished runs: figures of each setting, differences paired by seed, and which end in the "
        "same weights. Prints a page, and writes it as comparison.md with its pictures."
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="folder", help="where runs lie, at any depth")
    parser.add_argument("--by", nargs="+", default=[], metavar="KEY", help="one or two settings to compare by")
    parser.add_argument("--baseline", metavar="VALUE", help="value of the first setting to compare the others with")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the page; <folder>/comparison by default")
    options = parser.parse_args()
    if len(options.by) > 2:
        parser.error("--by: give one or two settings; the others that differ make sections by themselves.")
    output = options.output or options.folders[0] / "comparison"
    program = Path(sys.argv[0])
    called = ["python", os.path.relpath(program)] if program.suffix == ".py" else [program.name]
    try:
        runs, left_out = read(options.folders)
        comparison = Comparison(runs, options.by, options.baseline, _defaults())
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    text = page(comparison, left_out, shlex.join([*called, *sys.argv[1:]]))
    Console().print(Markdown(text), "\n")
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "comparison.md").write_text(text)
        with under_way("drawing the pictures"):
            for name, figure in draw(comparison):
                figure.savefig(output / name, dpi=150)
    except OSError as error:
        print(f"--output {output}: cannot be written ({error}); choose another.", file=sys.stderr)
        sys.exit(2)
    print(f"wrote {os.path.relpath(output / 'comparison.md')} and its pictures")


def _defaults() -> Mapping[str, Value]:
    """Return the option of each config group that is taken where none is typed."""
    entries = yaml.safe_load((CONF / "train.yaml").read_text())["defaults"]
    return {group: option for entry in entries if isinstance(entry, dict) for group, option in entry.items()}
