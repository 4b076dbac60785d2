"""`ddpg.train`: a whole training in one call, in Python what the command `ddpg-train` is in a shell."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

from ddpg.base.devices import usable_device
from ddpg.base.errors import require
from ddpg.replay_buffer import Batch
from ddpg.training.callbacks import Callback
from ddpg.training.loop import Training
from ddpg.training.resume import go_on, kept
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
) -> Any:
    """Train to the end, and return the `Run`: its `agent`, `evaluate(episodes)`, `evaluation`, `folder`, `settings`.

    The settings, their defaults and the run, bit for bit, are those of the command. SIGINT (Ctrl-C) and SIGTERM end
    the training after a checkpoint, with `ddpg.training.stopping.Stopped`.

    Args:
        environment: a name that gymnasium knows, `module:Name-v0` included; a class, or another function that makes
            the environment; or one environment, in which the agent is then evaluated too, and which stays open.
        folder: where the run goes; `runs/<strategies>/<env>/<seed>/<time>` by default.
        resume: whether to go on with the run in `folder`; `total_steps`, `threads` and `device` alone may change then.
        callbacks: are told what happens, and may end the training.
        transitions: what the replay buffer holds at the start: observations, actions, rewards, next observations and
            terminations, `(n, …)` each, or a `Batch`.
        **settings: of `ddpg.training.settings.Settings`, sections as mappings: `agent={"hidden_sizes": [64, 64]}`.

    Returns:
        The run; with `seeds=2` or more a list of the seeds' runs, without those that had to be given up.

    Raises:
        InputError: for a mistake, before anything is done; the sentence names the mend.
        DivergedError: if numbers are no longer finite, and of several seeds none is left.
        FaultyEnvironmentError: if an environment does not do what it must, likewise.
    """
    valid = isinstance(callbacks, list | tuple) and all(isinstance(each, Callback) for each in callbacks)
    require(valid, f"callbacks={callbacks!r}: must be a list of instances of ddpg.Callback, such as [ddpg.CSVLog()].")
    spec = None if isinstance(environment, str) else _spec(environment)
    given = _put(settings, "env", id=spec.id if spec else environment)
    contents: list[dict[str, Any]] = []
    if resume:
        require(folder is not None, "resume=True: give the folder of the run, folder=…")
        require(transitions is None, "transitions: a run that goes on has those that it began with; leave this out.")
        chosen, contents = go_on(Path(str(folder)), given, flat(given).keys())
    else:
        shared = isinstance(environment, gymnasium.Env)
        chosen = Settings.check(_put(given, "evaluation", shared=True) if shared else given)
    where = default_folder(chosen) if folder is None else Path(folder)
    require(resume or not kept(where), f"folder={where}: holds a run already; choose another, or resume=True to go on.")
    usable_device(chosen.device)
    threads = torch.get_num_threads()
    training = Training(chosen, where, spec, callbacks)
    try:
        if transitions is not None:
            _begin_with(training, transitions)
        with alone(where):
            if contents:
                training.load(contents)
            training.run()
    finally:
        training.close()
        torch.set_num_threads(threads)
    return training.runs if chosen.seeds > 1 else training.runs[0]


class _Lent(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The one environment of the caller's, who alone closes it."""

    def close(self) -> None:
        pass


def _spec(environment: Any) -> EnvSpec:
    """Return what gymnasium makes environments from, under the name of the class, function or environment."""
    make = environment
    name = getattr(environment, "__name__", type(environment).__name__)
    if isinstance(environment, gymnasium.Env):
        name = environment.spec.id if environment.spec else type(environment.unwrapped).__name__
        make = lambda: _Lent(environment)  # noqa: E731 # copies of the specification share it
    require(
        callable(make),
        f"environment={environment!r}: must be a name, a class or function that makes a gymnasium.Env, or one itself.",
    )
    return EnvSpec(name.strip("<>"), entry_point=make)


def _put(settings: Mapping[str, Any], section: str, **values: Any) -> dict[str, Any]:
    """Return the settings with these in a section; what is given as a section and is none is refused later."""
    given = settings.get(section, {})
    return {**settings, section: {**given, **values} if isinstance(given, Mapping) else given}


def _begin_with(training: Training, transitions: Sequence[Any]) -> None:
    """Fill the replay buffers of all seeds."""
    valid = isinstance(transitions, Sequence) and len(transitions) == len(Batch._fields)
    require(
        valid,
        f"transitions of type {type(transitions).__name__}: must be {len(Batch._fields)} arrays, "
        f"{', '.join(Batch._fields)}.",
    )
    count, capacity = math.prod(np.shape(transitions[2])), training.settings.buffer_size
    require(count <= capacity, f"transitions: {count} do not fit into buffer_size={capacity}; {count} is valid.")
    for run in training.runs:
        run.buffer.add(*transitions)
