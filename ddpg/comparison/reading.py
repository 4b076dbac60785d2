"""Read finished runs from their folders; whatever lies there is data and is never executed."""

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from ddpg.base.errors import InputError, require
from ddpg.base.progress import fleeting
from ddpg.training.run import RESULT_NAME
from ddpg.training.settings import flat

Value = str | bool | float | None

NEUTRAL = ("checkpoint.interval", "checkpoint.keep", "env.timeout", "audit")  # they change nothing that is compared
EVENTS = "events.out.tfevents.*"
_NEEDED = {
    "mean_return": (int, float),
    "training_seconds": (int, float),
    "environment_steps": (int,),
    "weights_digest": (str,),
    "settings": (dict,),
}


@dataclass(frozen=True)
class Curve:
    """A TensorBoard scalar: steps `(n,)` and values `(n,)`."""

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        folder: path of the run's folder.
        settings: settings by their keys on the command line, without the seed.
        seed: the run's seed.
        result: content of `result.json`.
        curves: curves by TensorBoard tag.
    """

    folder: Path
    settings: Mapping[str, Value]
    seed: int
    result: Mapping[str, Any]
    curves: Mapping[str, Curve] = field(repr=False)


class BrokenRunError(Exception):
    """Raised when a folder holds no run that can be compared; the message says why."""


def read(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """Return all finished runs at any depth below the folders, and a sentence for each that is left out.

    Raises:
        InputError: if a folder does not exist, or there is no finished run.
    """
    found: set[Path] = set()
    for folder in folders:
        require(folder.is_dir(), f"{folder}: there is no such folder; give one that runs lie in, runs/ for instance.")
        found |= {path.parent for name in (RESULT_NAME, EVENTS) for path in folder.rglob(name)}
    runs: dict[str, Run] = {}
    left_out = []
    for folder in fleeting(sorted(found), "reading", " runs"):
        try:
            run = read_run(folder)
        except BrokenRunError as error:
            left_out.append(f"`{folder}`: {error}.")
            continue
        settings = {key: value for key, value in run.settings.items() if key not in NEUTRAL and value is not None}
        same = runs.setdefault(json.dumps([run.seed, settings], sort_keys=True), run)
        if same is not run:
            left_out.append(f"`{folder}`: has the settings and the seed of `{same.folder}`, which is taken instead.")
    if not runs:
        given = ", ".join(map(str, folders))
        reasons = "\n".join(left_out) or "there is no run in it at all; give the folder of runs, or train some first."
        raise InputError(f"{given}: no finished run to compare. {reasons}")
    return list(runs.values()), left_out


def read_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        BrokenRunError: if the run is not finished, damaged, or of another version.
    """
    path = folder / RESULT_NAME
    if not path.exists():
        raise BrokenRunError(f"has no {RESULT_NAME}, so it is not finished; train.py resume={folder} goes on with it")
    try:
        result = json.loads(path.read_text())
        for key, kinds in _NEEDED.items():
            if not isinstance(result[key], kinds):
                raise TypeError(f"{key} is of the wrong type")
        settings = {harmless(key): harmless(value) for key, value in flat(result["settings"]).items()}
        seed = settings.pop("seed")
        if not isinstance(seed, int):
            raise TypeError("seed is no whole number")
        if not (result["environment_steps"] >= 1 and 0 < result["training_seconds"] < math.inf):
            raise ValueError("environment_steps and training_seconds must be positive")
        if not math.isfinite(result["mean_return"]):
            raise ValueError(f"mean_return={result['mean_return']}")
    except KeyError as error:
        raise BrokenRunError(f"its {RESULT_NAME} has no {error.args[0]}: of another version, or damaged") from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise BrokenRunError(f"its {RESULT_NAME} cannot be read ({error})") from error
    return Run(folder, settings, seed, result, _curves(folder, result["environment_steps"]))


def harmless(value: Any) -> Any:
    """Return a value without the characters that Markdown, HTML or matplotlib would take for more than text."""
    if isinstance(value, str):
        return re.sub(r"[<>&`$|\\\r\n]", "?", value)
    float(0 if value is None else value)  # raises if it cannot be compared
    return value


def _curves(folder: Path, last_step: int) -> dict[str, Curve]:
    if not any(folder.glob(EVENTS)):
        raise BrokenRunError("has no event file")
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # it warns of a resumed run's purged events
    try:
        events = EventAccumulator(str(folder), size_guidance={SCALARS: 0}).Reload()
        points = {tag: events.Scalars(tag) for tag in events.Tags()[SCALARS]}
    except Exception as error:  # a damaged file may raise anything
        raise BrokenRunError(f"its event file cannot be read ({error})") from error
    curves = {
        tag: Curve(np.array([point.step for point in each]), np.array([point.value for point in each]))
        for tag, each in points.items()
    }
    reached = int(curves["eval/mean_return"].steps[-1]) if "eval/mean_return" in curves else 0
    if reached < last_step:
        raise BrokenRunError(f"its event file ends at step {reached} of {last_step}: cut off, or damaged")
    for tag in ("eval/mean_return", "eval/q_bias"):
        if tag in curves and not np.isfinite(curves[tag].values).all():
            raise BrokenRunError(f"its curve {tag} has values that are no numbers")
    return curves
