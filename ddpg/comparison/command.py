"""`scripts/compare.py`: reads runs, says what they show, and writes the page."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ddpg.base.errors import InputError
from ddpg.command_line.config import CONF
from ddpg.comparison.comparison import Comparison, Value
from ddpg.comparison.layout import PAGE, sections
from ddpg.comparison.page import Prose, Section, show, write
from ddpg.comparison.reading import read
from ddpg.training.settings import flat


def main() -> None:
    """Compare the finished runs that the command line names."""
    parser = argparse.ArgumentParser(
        description="Compare finished runs: what differs in their settings, and what came of it. Writes a page, as "
        "Markdown and as HTML, with its pictures.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="folder", help="where runs lie, at any depth")
    parser.add_argument("--by", nargs="+", default=[], metavar="KEY", help="one or two settings to compare by")
    parser.add_argument(
        "--baseline", metavar="VALUE", help="of the first setting: what the others are measured against"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where the page goes; <folder>/comparison by default"
    )
    options = parser.parse_args()
    if len(options.by) > 2:
        parser.error("--by: give one or two settings; the others that differ make sections by themselves.")
    output = options.output or options.folders[0] / PAGE
    try:
        runs, left_out = read(options.folders)
        comparison = Comparison(runs, options.by, options.baseline, _defaults())
        first, *others = sections(comparison, left_out)
        show(first)
        if left_out:
            print(f"{len(left_out)} runs are left out; the page says which and why.", file=sys.stderr)
        program = Path(sys.argv[0])
        called = ["python", os.path.relpath(program)] if program.suffix == ".py" else [program.name]
        command = shlex.join([*called, *sys.argv[1:]])
        made_by = Section("How this page was made", [Prose(f"`{command}`")])
        paths = write(PAGE, f"{len(runs)} runs by {comparison.line_key}", [first, *others, made_by], output)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"--output {output}: cannot be written ({error}); choose another.", file=sys.stderr)
        sys.exit(2)
    for path in paths[:2]:
        print(f"wrote {os.path.relpath(path)}")
    print(f"and {len(paths) - 2} picture{'s' * (len(paths) > 3)} beside them")


def _defaults() -> Mapping[str, Value]:
    """The settings that hold if nothing is typed."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = OmegaConf.to_container(compose("train"), resolve=True)
    assert isinstance(values, dict)
    return flat(values)  # type: ignore[arg-type]
