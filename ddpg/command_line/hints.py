"""What a command prints at its end: what came of it, and commands to go on with, which can be pasted."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import gymnasium

from ddpg.base.errors import shown
from ddpg.training.evaluation import Evaluation
from ddpg.training.resume import names, spelled
from ddpg.training.settings import Settings

_SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"  # of a checkout


def summary(env_id: str, step: int, evaluation: Evaluation) -> str:
    """Return what an evaluation says of the policy after so many environment steps."""
    returns = evaluation.returns
    return (
        f"{env_id} after {step:,} steps: mean return {returns.mean():.2f}, standard deviation {returns.std():.2f}, "
        f"worst {returns.min():.2f}, over {len(returns)} episode{'s' * (len(returns) > 1)} without exploration."
    )


def program() -> str:
    """Return the command that starts this program again."""
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return f"{_tool('python')} -m ddpg.command_line"
    return _script(path) if path.suffix == ".py" else _tool(path.name)


def companion(name: str) -> str:
    """Return the command of another program of the project: a script beside a checkout's script, else the installed."""
    beside = Path(sys.argv[0]).resolve().parent == _SCRIPTS
    return _script(_SCRIPTS / f"{name}.py") if beside else _tool(f"ddpg-{name}")


def curves(folder: Path) -> str:
    """Return the command that shows the curves: those of all in `runs`, where the run lies there."""
    path = shown(folder)
    return f"{_tool('tensorboard')} --logdir {shlex.quote('runs' if Path(path).parts[:1] == ('runs',) else path)}"


def typed_again(settings: Settings) -> str:
    """Return the names of the user's own code, beside the environment, that a command on the run needs again."""
    found = names(settings.model_dump())
    return "".join(f" {shlex.quote(f'{key}={spelled(value)}')}" for key, value in found.items() if key != "env.id")


def watch(folder: Path, env_id: str) -> str:
    """Return the command that shows the policy at work."""
    module, _, name = env_id.rpartition(":")
    module = module or _registered_by(name)
    named = f" --env {shlex.quote(f'{module}:{name}')}" if module else ""
    return f"{companion('evaluate')} {shlex.quote(shown(folder))} --render{named}"


def _registered_by(env_id: str) -> str:
    """The module that seems to register an environment beside gymnasium's own; nothing for one of gymnasium's."""
    spec = gymnasium.registry.get(env_id)
    entry = spec.entry_point if spec is not None else None
    module = entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", ""))
    if module == "__main__":
        return Path(sys.argv[0]).stem
    return "" if module.partition(".")[0] == "gymnasium" else module


def _script(path: Path) -> str:
    return f"{_tool('python')} {shlex.quote(os.path.relpath(path))}"


def _tool(name: str) -> str:
    """A program of this Python environment: its name alone only if the shell would find this one by it."""
    path = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return shlex.quote(os.path.relpath(path)) if path.exists() and found != str(path) else name
