"""What runs have left in their folders: what they go on from, and whether they are finished."""

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from ddpg.agent import DDPG
from ddpg.base import imports
from ddpg.base.errors import InputError, Note, require, whole
from ddpg.base.spaces import size
from ddpg.environments import find_environment
from ddpg.replay_buffer import ReplayBuffer
from ddpg.saving import checkpoint
from ddpg.saving.agent_state import check_shapes
from ddpg.saving.transition_log import TransitionLog
from ddpg.training.run import RESULT_NAME
from ddpg.training.settings import Settings

_CHANGEABLE = ("total_steps", "threads", "device")
_SAFE_WRAPPERS = [f"gymnasium.wrappers.{name}" for name in gymnasium.wrappers.__all__]  # installed anyway
NAMES = ("env.id", "env.wrappers", "agent.actor", "agent.critic")
"""settings that may name code of the user's own, which is imported only if they were typed"""


def go_on(folder: Path, composed: dict[str, Any], typed: Collection[str]) -> tuple[Settings, dict[str, Any]]:
    """Return the settings that a run goes on with, its own but for what may change, and its checkpoint's content.

    Args:
        folder: the run's folder.
        composed: the settings that the command line would give to a new run.
        typed: the keys, dotted, of those that were typed.

    Raises:
        InputError: if there is nothing to go on from, or something was typed that may not change.
    """
    fixed = sorted(set(typed) - {*_CHANGEABLE, *NAMES})
    require(
        not fixed,
        f"{', '.join(fixed)}: the run in {folder} keeps its settings, so that it stays the same run; leave this out, "
        f"only {' and '.join(_CHANGEABLE)} may change.",
    )
    named = {key: value for key, value in names(composed).items() if key in typed}
    found = content(folder, named)
    if ":" in (env_id := named.get("env.id", "")):
        find_environment(env_id)  # its module registers the name that the run knows it by
    saved = found["settings"]
    settings = Settings.check(saved | {key: composed[key] for key in _CHANGEABLE if key in typed})
    step = found["training"]["step"]
    require(
        settings.total_steps > step or not _result(folder),
        f"total_steps={settings.total_steps}: the run already stands at step {step}; give a larger one to go on.",
    )
    if settings.device != saved["device"]:
        warnings.warn(
            f"The run was on device {saved['device']} (now {settings.device}): it goes on, but not bit for bit as it "
            "would have.",
            Note,
            stacklevel=2,
        )
    return settings, found


def names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `NAMES` in settings, classes by their names; those that name something."""
    found = {key: settings.get(section, {}).get(name) for key in NAMES for section, name in [key.split(".")]}
    return {
        key: list(map(imports.dotted, value)) if isinstance(value, list) else imports.dotted(value)
        for key, value in found.items()
        if value
    }


def content(folder: Path, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a run's newest checkpoint that is whole, replay buffer included.

    `typed` are the names that the user typed, by the keys in `NAMES`.

    Raises:
        InputError: if there is none.
    """
    link = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    require(
        link is None,
        f"{link}: a link; a run's folder may hold none, so that nothing beside it is written to: put the file itself "
        "there.",
    )
    steps = checkpoint.steps(folder)
    require(bool(steps), f"{folder}: the folder holds no checkpoint; give the folder of a run.")
    return _newest(folder, steps, typed)


def _newest(folder: Path, steps: Sequence[int], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of the newest checkpoint, among those of these steps, that is whole."""
    step, found = checkpoint.newest(steps, lambda step: (step, _whole_content(folder, step)))
    _check(folder, found, typed)
    require(found["training"]["step"] == step, f"{folder}: its checkpoint of step {step} is of another step.")
    return found


def _whole_content(folder: Path, step: int) -> dict[str, Any]:
    """Return the content of a checkpoint; raise `InputError` if it or its part of the replay buffer is damaged."""
    path = folder / checkpoint.FOLDER / checkpoint.name(step)
    found = _load(path)
    with checkpoint.refusing(f"{path}: its transitions cannot be read", "it is damaged."):
        for _ in TransitionLog(folder, found.get("training", {}).get("parts", [])).read():
            pass
    return found


def run_content(path: Path, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a run's checkpoint, whose sizes are those of its settings.

    It is data: a module is imported only if the user typed its name too; `typed` is as in `contents`.

    Raises:
        InputError: if it is no checkpoint of a run, or something was typed that is not of the run.
    """
    content = _load(path)
    _check(path, content, typed)
    return content


def _load(path: Path) -> dict[str, Any]:
    content = checkpoint.load(path)
    if isinstance(settings := content.get("settings"), dict):
        settings.pop("seeds", None)  # of a run from when one process could train several
    return content


def observations(folder: Path, content: Mapping[str, Any], agent: DDPG) -> np.ndarray:
    """Return the newest 10,000 observations `(n, obs)` of a checkpoint's replay buffer; none if it is not there."""
    buffer = ReplayBuffer(10_000, agent.observation_space, agent.action_space)
    with suppress(InputError), checkpoint.refusing(str(folder), "the transitions are damaged."):
        state = content["training"]
        oldest = max(0, whole("added", state["buffer"]["added"], least=0) - buffer.capacity)
        buffer.load_state_dict(state["buffer"], TransitionLog(folder, state["parts"]).read(oldest))
        return buffer.transitions().observations.numpy()
    return np.empty((0, size(agent.observation_space)))


def _check(path: Path, content: Mapping[str, Any], typed: Mapping[str, Any]) -> None:
    require(
        bool(content.get("settings") and content.get("training")),
        f"{path}: a checkpoint of an agent alone, without its run; give the folder of a run.",
    )
    with checkpoint.refusing(f"{path}: not a whole checkpoint of a run", "it is damaged, train anew."):
        env, collector = content["settings"]["env"], content["training"]["collector"]
        # Before memory is taken for them, the settings' sizes have to be those of what is in the file.
        same = len(collector["progress"]) == env["num_envs"]
        require(same, f"{path}: not as many environments as its settings say; it is damaged, train anew.")
        check_shapes(content["agent"], content["settings"]["agent"])
        check_names(content["settings"], typed)


def check_names(settings: Mapping[str, Any], typed: Mapping[str, Any], keys: Collection[str] = NAMES) -> None:
    """Raise `InputError` unless what a checkpoint's settings name was typed, and what was typed is what they name."""
    found = names(settings)
    for key in keys:
        name: Any = found.get(key)
        given = typed.get(key)
        same = given is None or given == name
        code = name is not None
        if key == "env.id":  # a registered name may be typed with or without its module
            code = ":" in name
            same = given is None or given.rpartition(":")[2] == name.rpartition(":")[2]
        elif key == "env.wrappers" and code:
            code = not all(each in _SAFE_WRAPPERS for each in name)
        mend = f"give {key}={spelled(name)}" if code or key == "env.id" else "leave this out"
        require(same, f"{key}={spelled(given)}: the run's is {spelled(name)}; {mend}.")
        require(
            not code or given == name,
            f"the checkpoint's {key} is of a module that would have to be imported; if you trust it, add "
            f"{key}={spelled(name)}.",
        )


def spelled(value: Any) -> str:
    """Write a name, or a list of names, as it is typed."""
    return f"[{','.join(value)}]" if isinstance(value, list) else str(value)


def left_off(folder: Path, settings: Settings) -> dict[str, Any] | None:
    """Return what an earlier sweep got done of this job; in a sweep a job finds its own folder again.

    None if it has no checkpoint: it then starts anew.
    """
    steps = checkpoint.steps(folder)
    if not steps:
        return None
    found = _newest(folder, steps, names(settings.model_dump()))
    _require_settings(folder, found["settings"] == settings.model_dump())
    return found


def finished(folder: Path, settings: Settings) -> bool:
    """Return whether the run has its result already.

    Raises:
        InputError: if that is the result of other settings, or damaged.
    """
    result = _result(folder)
    if result is not None:
        _require_settings(folder, result.get("config_digest") == settings.digest())
    return result is not None


def _result(folder: Path) -> dict[str, Any] | None:
    path = folder / RESULT_NAME
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: damaged ({error}); move {folder} away, or choose another hydra.sweep.dir."
        ) from error


def _require_settings(folder: Path, same: bool) -> None:
    require(same, f"hydra.sweep.dir: {folder} holds a run with other settings; move it away, or choose another.")
