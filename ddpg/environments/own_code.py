"""Code of the user's own that environments come from: where it is found, and how another process gets it.

Between a process and one that it starts it goes through a pipe; nothing of it is ever written to a file.
"""

import base64
import json
import os
import pickle
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, Self

import cloudpickle
import gymnasium
from gymnasium.envs.registration import EnvSpec

from ddpg.base.errors import InputError, blamed, traced

START = "import json, sys; sys.path[:] = dict.fromkeys([*json.loads(sys.stdin.readline()), *sys.path]); "
"""How a process begins that reads a parent's `OwnCode.path` as the first line of its input."""


def see_directory(env_id: str, directory: str | os.PathLike[str] = ".") -> None:
    """Let the module of `module:Name-v0` lie in the directory; it shadows nothing.

    Without a module in the name nothing is changed: that no file is imported merely for lying where a person works.
    """
    path = os.path.abspath(directory)
    if ":" in env_id and path not in sys.path:
        sys.path.append(path)


class OwnCode(NamedTuple):
    """What a process needs to make the environments that this one can make."""

    path: list[str]
    """where modules are searched"""
    environments: Mapping[str, str]
    """what was registered beside gymnasium's own, serialized, by its name"""

    @classmethod
    def here(cls) -> Self:
        """Of this process."""
        environments = {}
        for name, spec in gymnasium.registry.items():
            with suppress(InputError):  # which comes once more if this one is needed
                if is_own(spec):
                    environments[name] = _serialized(spec)
        return cls([os.path.abspath(each) for each in sys.path], environments)

    def register(self, env_id: str) -> None:
        """Here, what was registered there.

        Raises:
            InputError: if the environment of this name cannot be.
        """
        for name, data in self.environments.items():
            try:
                gymnasium.registry.setdefault(name, pickle.loads(base64.b64decode(data)))
            except Exception as error:  # whatever a stranger's module may raise
                if name == env_id:
                    raise _not_carried(name, error) from error


def is_own(spec: EnvSpec) -> bool:
    """Whether it comes from elsewhere than gymnasium."""
    return module_of(spec).partition(".")[0] != "gymnasium"


def module_of(spec: EnvSpec) -> str:
    """The module of the environment's class or function."""
    entry = spec.entry_point
    return entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", "") or "")


def check_serializable(env_id: str) -> None:
    """Raise `InputError` if a process of its own could not get the environment."""
    if (spec := gymnasium.registry.get(env_id)) is not None and is_own(spec):
        _serialized(spec)


def rehearse() -> None:
    """The part of a process that only shows whether it finds an environment: of a sweep, before it starts."""
    from ddpg.environments import make_environment

    environments, env_id, kwargs = json.loads(sys.stdin.readline())
    try:
        OwnCode([], environments).register(env_id)
        make_environment(env_id, kwargs).close()
    except InputError as error:
        sys.exit(str(error))


def _serialized(spec: EnvSpec) -> str:
    try:
        return base64.b64encode(cloudpickle.dumps(spec)).decode()
    except Exception as error:  # whatever an object of a stranger's may raise
        raise _not_carried(spec.id, error) from error


def _not_carried(name: str, error: Exception) -> InputError:
    mistake = InputError(
        f"env.id={name}: the processes of a sweep cannot get it: {blamed(error)}. Put it into a module that registers "
        f"it: env.id=module:{name}."
    )
    mistake.details = traced(error)
    return mistake
