"""What runs have left in their folders: which can go on, and whether they are finished."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

from ddpg import checkpoint
from ddpg.errors import InputError, require
from ddpg.run import RESULT_NAME
from ddpg.settings import Settings
from ddpg.training import folders


def kept(folder: Path) -> list[Path]:
    """The folders of the runs that have a checkpoint: the given one, or those of several seeds below it."""
    if (folder / checkpoint.FILE_NAME).exists():
        return [folder]
    return [path for path in _seeds(folder) if (path / checkpoint.FILE_NAME).exists()]


def _seeds(folder: Path) -> list[Path]:
    """The folders of several seeds below the given one."""
    below = [path for path in folder.glob("*") if path.name.isdecimal()]
    return sorted(below, key=lambda path: int(path.name))


def contents(folder: Path, typed_env_id: str) -> list[dict[str, Any]]:
    """The contents of the checkpoints of a run, or of several seeds' runs that can go on together."""
    paths = kept(folder)
    without = [path.name for path in _seeds(folder) if paths and folder not in paths and path not in paths]
    if without:
        raise InputError(
            f"{folder}: seed {', '.join(without)} has no checkpoint, so the runs in it do not go on together; resume "
            f"the others one by one, resume={paths[0]} for instance."
        )
    found = [run_content(path, typed_env_id, "env.id=") for path in paths or [folder]]
    if len(found) > 1:
        first = found[0]
        for path, seed, content in zip(paths, itertools.count(first["settings"].get("seed")), found, strict=False):
            require(
                content["settings"] == first["settings"] | {"seed": seed}
                and content["training"]["step"] == first["training"]["step"],
                f"{folder}: the runs in it do not go on together, {path.name} is not at the step or not with the "
                f"settings of {paths[0].name}; resume them one by one, resume={path} for instance.",
            )
    return found


def run_content(path: Path, typed_env_id: str | None, option: str) -> dict[str, Any]:
    """The content of a run's checkpoint.

    It is data: a module that its environment would have to be imported from is so only if the person typed its name
    too, `typed_env_id`; `option` says where.
    """
    content = checkpoint.load(path)
    settings, training = content.get("settings"), content.get("training")
    require(
        isinstance(settings, dict) and isinstance(training, dict),
        f"{path}: a checkpoint of an agent alone, without its run; give the folder of a run.",
    )
    assert settings is not None and training is not None
    env = settings.get("env")
    env_id = env.get("id") if isinstance(env, dict) else None
    require(
        isinstance(env_id, str) and isinstance(training.get("step"), int),
        f"{path}: the checkpoint of a run without environment or step; it is damaged, train anew.",
    )
    require(
        ":" not in str(env_id) or typed_env_id == env_id,
        f"the checkpoint's environment {env_id} is of a module that would have to be imported; if you trust it, "
        f"add {option}{'' if option.endswith('=') else ' '}{env_id}.",
    )
    return content


def left_off(folder: Path, settings: Settings) -> list[dict[str, Any]]:
    """What an earlier sweep got done of this job; in a sweep a job finds its own folder again.

    Several seeds that were broken off between one's checkpoint and another's do not go on together: they start anew.
    """
    found = [run_content(path, settings.env.id, "env.id=") for path in kept(folder)]
    wanted = {seed: settings.of_seed(seed).model_dump() for seed in folders(folder, settings)}
    for content in found:
        require(
            content["settings"] == wanted.get(content["settings"].get("seed")),
            f"hydra.sweep.dir: {folder} holds a run with other settings; move it away, or choose another.",
        )
    together = len(found) == settings.seeds and len({content["training"]["step"] for content in found}) == 1
    return found if together else []


def has_result(folder: Path, settings: Settings) -> bool:
    """Whether the run, or each of several seeds' runs, has a result, of these settings or others."""
    return all((path / RESULT_NAME).exists() for path in folders(folder, settings).values())


def finished(folder: Path, settings: Settings) -> bool:
    """Whether the run, or each of several seeds' runs, has its result already.

    Raises:
        InputError: if that is the result of other settings, or damaged.
    """
    return all(_result(path, settings.of_seed(seed)) for seed, path in folders(folder, settings).items())


def _result(folder: Path, settings: Settings) -> bool:
    path = folder / RESULT_NAME
    if not path.exists():
        return False
    try:
        digest = json.loads(path.read_text())["config_digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: damaged ({error}); move {folder} away, or choose another hydra.sweep.dir."
        ) from error
    require(
        digest == settings.digest(),
        f"hydra.sweep.dir: {folder} holds a run with other settings; move it away, or choose another.",
    )
    return True


def shown(folder: Path) -> str:
    """A folder as a person in the working directory would type it."""
    return os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)
