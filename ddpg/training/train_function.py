"""`ddpg.train`: a whole training in one call, in Python what the command `ddpg-train` is in a shell."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import torch
from gymnasium.envs.registration import EnvSpec

from ddpg.base.devices import usable_device
from ddpg.base.errors import require
from ddpg.replay_buffer import Batch
from ddpg.saving import checkpoint
from ddpg.training.callbacks import Callback
from ddpg.training.loop import Training
from ddpg.training.resume import go_on
from ddpg.training.run import Run
from ddpg.training.run_folder import alone, default_folder
from ddpg.training.settings import Settings, flat


def train(
    environment: str | Callable[..., gymnasium.Env[Any, Any]] | gymnasium.Env[Any, Any],
    *,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    transitions: Sequence[Any] | None = None,
    **settings: Any,
) -> Run:
    """Train to the end, and return the `Run`: its `agent`, `evaluation`, `evaluate(episodes)`, `folder`, `settings`.

    It is the command's run, bit for bit. Ctrl-C and SIGTERM raise `ddpg.training.stopping.Stopped` after a checkpoint.

    Args:
        environment: a name, as for `env.id`; a class or a function that makes one; or one environment, in which the
            agent is evaluated too, and which stays open.
        folder: where the run goes; `runs/<strategies>/<env>/<seed>/<time>` by default.
        resume: whether to go on with the run in `folder`; `total_steps`, `threads` and `device` alone may change.
        callbacks: are told what happens, and may end the training.
        transitions: what the replay buffer holds at the start: a `Batch`, or arrays `(n, …)` in the order of one.
        **settings: of `ddpg.training.settings`, sections as mappings: `agent={"hidden_sizes": [64, 64]}`.

    Raises:
        InputError: for a mistake, before anything is done.
        DivergedError, FaultyEnvironmentError: if training fails.
    """
    valid = isinstance(callbacks, list | tuple) and all(isinstance(each, Callback) for each in callbacks)
    require(valid, f"callbacks={callbacks!r}: must be a list of instances of ddpg.Callback, such as [ddpg.CSVLog()].")
    valid = transitions is None or (isinstance(transitions, Sequence) and len(transitions) == len(Batch._fields))
    require(valid, f"transitions of type {type(transitions).__name__}: must be arrays of {', '.join(Batch._fields)}.")
    spec = None if isinstance(environment, str) else _spec(environment)
    Settings.check(settings)  # what is given as a section is one
    given = settings | {"env": {**settings.get("env", {}), "id": spec.id if spec else environment}}
    content: dict[str, Any] | None = None
    if resume:
        require(folder is not None, "resume=True: give the folder of the run, folder=…")
        require(transitions is None, "transitions: a run that goes on has those that it began with; leave this out.")
        chosen, content = go_on(Path(str(folder)), given, flat(given).keys())
    else:
        if isinstance(environment, gymnasium.Env):
            given["evaluation"] = {**settings.get("evaluation", {}), "shared": True}
        chosen = Settings.check(given)
    where = default_folder(chosen) if folder is None else Path(folder)
    require(
        resume or not checkpoint.steps(where),
        f"folder={where}: holds a run already; choose another, or add resume=True.",
    )
    usable_device(chosen.device)
    threads = torch.get_num_threads()
    training = Training(chosen, where, spec, callbacks)
    try:
        if transitions is not None:
            training.run.buffer.add(*transitions)
        with alone(where):
            if content is not None:
                training.load(content)
            training.train()
    finally:
        training.close()
        torch.set_num_threads(threads)
    return training.run


class _Lent(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The one environment of the caller's, who alone closes it."""

    def close(self) -> None:
        pass


def _spec(environment: Any) -> EnvSpec:
    """Return what gymnasium makes environments from, under the name of the class or function."""
    one = isinstance(environment, gymnasium.Env)
    require(
        one or callable(environment),
        f"environment={environment!r}: must be a name, a class or function that makes a gymnasium.Env, or one itself.",
    )
    named = type(environment.unwrapped) if one else environment
    name = getattr(named, "__name__", type(named).__name__).strip("<>")
    make: Any = (lambda: _Lent(environment)) if one else environment
    return EnvSpec(name, entry_point=make)
