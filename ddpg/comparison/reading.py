"""Runs as data: what a training has left in its folder, read without trusting it."""

import json
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from ddpg.base.errors import InputError, require
from ddpg.base.progress import fleeting
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop
from ddpg.training.run import RESULT_NAME
from ddpg.training.settings import flat

# They change nothing that is compared.
NEUTRAL = ("checkpoint.interval", "checkpoint.keep", "env.timeout", "audit")
EVENTS_PREFIX = "events.out.tfevents"
# What a result has to say to be compared, and of what type.
_NEEDED = {
    "mean_return": float,
    "q_bias": float,
    "training_seconds": float,
    "peak_memory_mib": float,
    "environment_steps": int,
    "weights_digest": str,
    "settings": dict,
}


@dataclass(frozen=True)
class Curve:
    """A TensorBoard scalar: steps `(n,)` and values `(n,)`."""

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run.

    Attributes:
        folder: where it lies.
        settings: under the keys of the command line, but for `seed`.
        seed: of the run.
        result: what `result.json` says.
        curves: by their tags.
    """

    folder: Path
    settings: Mapping[str, str | bool | float | None]
    seed: int
    result: Mapping[str, Any]
    curves: Mapping[str, Curve] = field(repr=False)


class BrokenRunError(Exception):
    """A folder holds no run that could be compared; the message says why."""


def read(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """All finished runs below the folders; and a sentence for each that is left out.

    Raises:
        InputError: if a folder is not there, or there is no finished run.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        require(folder.is_dir(), f"{folder}: there is no such folder; give one that runs lie in, runs/ for instance.")
        found |= dict.fromkeys(_run_folders(folder))
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


def _run_folders(folder: Path) -> Iterable[Path]:
    for path, below, files in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        if any(name == RESULT_NAME or name.startswith(EVENTS_PREFIX) for name in files):
            yield Path(path)


def read_run(folder: Path) -> Run:
    """The run in a folder. Raises `BrokenRunError` if it is not finished or not whole."""
    path = folder / RESULT_NAME
    if not path.exists():
        raise BrokenRunError(f"has no {RESULT_NAME}, so it is not finished; train.py resume={folder} goes on with it")
    try:
        result = json.loads(path.read_text())
        for key, kind in _NEEDED.items():
            if not isinstance(result[key], kind | int if kind is float else kind):
                raise TypeError(f"{key} is of the wrong type")
            if kind is float:
                result[key] = float(result[key])
        settings = {harmless(key): harmless(value) for key, value in flat(result["settings"]).items()}
        seed = settings.pop("seed")
        if not isinstance(seed, int):
            raise TypeError("seed is no whole number")
        for family in (GradientStop, CriticFreeze):
            if family.kind in result["settings"]:
                family.make(result["settings"][family.kind])
        if not (result["environment_steps"] >= 1 and 0 < result["training_seconds"] < math.inf):
            raise ValueError("environment_steps and training_seconds must be positive")
    except KeyError as error:
        raise BrokenRunError(f"its {RESULT_NAME} has no {error.args[0]}: of another version, or damaged") from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise BrokenRunError(f"its {RESULT_NAME} cannot be read ({error})") from error
    for key in ("mean_return", "q_bias"):
        if not math.isfinite(result[key]):
            raise BrokenRunError(f"its {RESULT_NAME} has {key}={result[key]}")
    return Run(folder, settings, seed, result, _curves(folder, result["environment_steps"]))


def harmless(value: Any) -> Any:
    """A value that a page can show: without what Markdown, HTML or a picture's text would take for more than text."""
    if isinstance(value, str):
        return re.sub(r"[<>&`$|\\\r\n]", "?", value)
    float(0 if value is None else value)  # or it is none that can be compared
    return value


def _curves(folder: Path, last_step: int) -> dict[str, Curve]:
    if not any(folder.glob(f"{EVENTS_PREFIX}*")):
        raise BrokenRunError("has no event file")
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # it speaks of a resumed run's purged events, for one
    try:
        events = EventAccumulator(str(folder), size_guidance={SCALARS: 0}).Reload()
        points = {tag: events.Scalars(tag) for tag in events.Tags()[SCALARS]}
    except Exception as error:  # a file from elsewhere may be wrong in any way
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
