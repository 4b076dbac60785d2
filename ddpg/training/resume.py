"""What runs have left in their folders: which can go on, and whether they are finished."""

import copy
import itertools
import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ddpg.base.errors import InputError, Note, require
from ddpg.environments import find_environment
from ddpg.saving import checkpoint
from ddpg.saving.agent_state import check_shapes
from ddpg.saving.transition_log import Part, TransitionLog
from ddpg.training.loop import folders
from ddpg.training.run import RESULT_NAME
from ddpg.training.settings import Settings, flat

_CHANGEABLE = ("total_steps", "threads", "device")


def kept(folder: Path) -> list[Path]:
    """The folders of the runs that have a checkpoint: the given one, or those of several seeds below it."""
    return [path for path in (folder, *_seeds(folder)) if checkpoint.steps(path)]


def _seeds(folder: Path) -> list[Path]:
    """The folders of several seeds below the given one."""
    below = [path for path in folder.glob("*") if path.name.isdecimal()]
    return sorted(below, key=lambda path: int(path.name))


def go_on(folder: Path, composed: dict[str, Any], typed: Collection[str]) -> tuple[Settings, list[dict[str, Any]]]:
    """The settings that a run goes on with, which are its own but for what may change, and what it goes on from.

    Args:
        folder: of the run.
        composed: the settings that the command line would give to a new run.
        typed: the keys of those that were typed, dotted; a group stands for all that is in it.

    Raises:
        InputError: if there is nothing to go on from, or something that was typed differs from the run's settings.
    """
    require("experiment" not in typed, "experiment: the run has its settings already; leave this out.")
    env_id = composed["env"]["id"] if {"env", "env.id"} & set(typed) else None
    found = contents(folder, env_id)
    saved = found[0]["settings"] | {"seeds": len(found)}
    before = Settings.check(saved)
    if env_id is not None:
        find_environment(env_id)  # its module registers the name that the run knows it by
        composed = composed | {"env": composed["env"] | {"id": before.env.id}}
    values = copy.deepcopy(saved)
    for key in sorted(typed):
        _take_over(composed, values, key.split("."))
    settings = Settings.check(values)
    own, changed = flat(before.model_dump()), flat(settings.model_dump())
    for key in sorted(own.keys() | changed.keys()):
        require(
            own.get(key) == changed.get(key) or key in _CHANGEABLE,
            f"{key}={_typed(changed, key)}: the run in {folder} has {_typed(own, key)}; a resumed run keeps its "
            f"settings, so that it stays the same run; only {' and '.join(_CHANGEABLE)} may change.",
        )
    step = found[0]["training"]["step"]
    require(
        settings.total_steps > step or not has_result(folder, settings),
        f"total_steps={settings.total_steps}: the run already stands at step {step}; give a larger one to go on.",
    )
    if settings.device != before.device:
        warnings.warn(
            f"The run was on device {before.device} (now {settings.device}): it goes on, but not bit for bit as it "
            "would have.",
            Note,
            stacklevel=2,
        )
    return settings, found


def _take_over(composed: Mapping[str, Any], values: dict[str, Any], place: Sequence[str]) -> None:
    """Put what stands at this place in the composed settings into the same place of others."""
    *sections, name = place
    for section in sections:
        composed = composed.get(section) or {}
        values[section] = values.get(section) or {}
        values = values[section]
    if name in composed:
        values[name] = composed[name]
    else:
        values.pop(name, None)


def _typed(settings: Mapping[str, Any], key: str) -> str:
    """A value as it would be typed."""
    return "null" if settings.get(key) is None else str(settings[key])


def contents(folder: Path, typed_env_id: str | None) -> list[dict[str, Any]]:
    """The contents of the checkpoints of a run, or of several seeds' runs that can go on together.

    They are the newest that are whole, of one step.

    Raises:
        InputError: if there are none.
    """
    link = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    require(
        link is None,
        f"{link}: a link; a run's folder may hold none, so that nothing beside it is written to: put the file itself "
        "there.",
    )
    paths = kept(folder)
    require(bool(paths), f"{folder}: the folder holds no checkpoint; give the folder of a run.")
    without = [path.name for path in _seeds(folder) if folder not in paths and path not in paths]
    if without:
        raise InputError(
            f"{folder}: seed {', '.join(without)} has no checkpoint, so the runs in it do not go on together; resume "
            f"the others one by one, resume={paths[0]} for instance."
        )
    found = _together(paths, typed_env_id)
    first = found[0]
    for path, seed, content in zip(paths, itertools.count(first["settings"].get("seed")), found, strict=False):
        require(
            content["settings"] == first["settings"] | {"seed": seed},
            f"{folder}: the runs in it do not go on together, {path.name} is not with the settings of {paths[0].name}; "
            f"resume them one by one, resume={path} for instance.",
        )
    return found


def _together(paths: list[Path], typed_env_id: str | None) -> list[dict[str, Any]]:
    """The contents of the runs' newest checkpoints of one step that are whole, replay buffers included."""
    steps = set.intersection(*(set(checkpoint.steps(path)) for path in paths))
    require(
        bool(steps),
        f"{paths[0].parent}: the runs in it do not go on together, they have no checkpoints of one step; resume them "
        f"one by one, resume={paths[0]} for instance.",
    )

    def read(step: int) -> list[dict[str, Any]]:
        found = []
        for path in paths:
            content = run_content(path / checkpoint.FOLDER / checkpoint.name(step), typed_env_id, "env.id=")
            require(content["training"]["step"] == step, f"{path}: its checkpoint of step {step} is of another step.")
            for _ in TransitionLog(path, [Part.parse(each) for each in content["training"]["parts"]]).read():
                pass
            found.append(content)
        return found

    return checkpoint.newest_sound(sorted(steps, reverse=True), read)


def run_content(path: Path, typed_env_id: str | None, option: str) -> dict[str, Any]:
    """The content of a run's checkpoint, whose sizes are those of its settings.

    It is data: a module that its environment would have to be imported from is so only if the person typed its name
    too, `typed_env_id`; `option` says where.
    """
    content = checkpoint.load(path)
    settings, training = content.get("settings", {}), content.get("training", {})
    require(
        bool(settings and training),
        f"{path}: a checkpoint of an agent alone, without its run; give the folder of a run.",
    )
    try:
        env_id, num_envs = settings["env"]["id"], settings["env"]["num_envs"]
        options, sizes = content["agent"]["options"], settings["agent"]
        differing = {key: value for key, value in options.items() if key in sizes and sizes[key] != value}
        whole = isinstance(env_id, str) and isinstance(training["step"], int) and isinstance(training["parts"], list)
        acting = len(training["collector"]["progress"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: a checkpoint without all of its run ({error}); it is damaged, train anew.") from None
    require(whole, f"{path}: a checkpoint without environment or step; it is damaged, train anew.")
    require(
        not differing and acting == num_envs,
        f"{path}: the checkpoint does not fit its own settings, which say otherwise than "
        f"{differing or f'{acting} environments'}; it is damaged, train anew.",
    )
    name = env_id.rpartition(":")[2]
    require(
        typed_env_id is None or typed_env_id.rpartition(":")[2] == name,
        f"{option}{typed_env_id}: the run's environment is {env_id}; leave this out.",
    )
    require(
        ":" not in env_id or typed_env_id == env_id,
        f"the checkpoint's environment {env_id} is of a module that would have to be imported; if you trust it, "
        f"add {option}{env_id}.",
    )
    try:
        check_shapes(content["agent"], {})
    except InputError:
        raise
    except Exception as error:  # a file from elsewhere may be wrong in any way
        raise InputError(f"{path}: the checkpoint does not fit the agent: {error}; train anew.") from error
    return content


def left_off(folder: Path, settings: Settings) -> list[dict[str, Any]]:
    """What an earlier sweep got done of this job; in a sweep a job finds its own folder again.

    Nothing if it has no whole checkpoint, or several seeds have none of one step: it then starts anew.
    """
    paths = list(folders(folder, settings).values())
    if not set.intersection(*(set(checkpoint.steps(path)) for path in paths)):
        return []
    found = _together(paths, settings.env.id)
    for path, seed, content in zip(paths, folders(folder, settings), found, strict=True):
        require(
            content["settings"] == settings.of_seed(seed).model_dump(),
            f"hydra.sweep.dir: {path} holds a run with other settings; move it away, or choose another.",
        )
    return found


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
