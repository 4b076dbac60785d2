"""Commands to go on with, printed so that they can be pasted."""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

import gymnasium

from ddpg.base.errors import shown
from ddpg.environments.own_code import is_own, module_of


def program() -> str:
    """How to call this program again."""
    path = Path(sys.argv[0])
    if module := _run_as_module():
        return f"{_tool('python')} -m {module}"
    return f"{_tool('python')} {shlex.quote(os.path.relpath(path))}" if path.suffix == ".py" else _tool(path.name)


def companion(name: str) -> str:
    """How to call another program of the project: the script beside this one in a checkout, else as it is installed."""
    script = Path(sys.argv[0]).with_name(f"{name}.py")
    beside = not _run_as_module() and sys.argv[0].endswith(".py") and script.is_file()
    if beside and "from ddpg." in script.read_text(encoding="utf-8"):
        return f"{_tool('python')} {shlex.quote(os.path.relpath(script))}"
    return _tool(f"ddpg-{name}")


def curves(folder: Path) -> str:
    """How to see the curves: of all in `runs` where the run lies in it, for they belong side by side."""
    path = shown(folder)
    return f"{_tool('tensorboard')} --logdir {shlex.quote('runs' if Path(path).parts[:1] == ('runs',) else path)}"


def watch(folder: Path, env_id: str) -> str:
    """How to see the policy at work."""
    command = f"{companion('evaluate')} {shlex.quote(shown(folder))} --render"
    module = _module(env_id)
    if not module:
        return command
    named = shlex.quote(f"{module}:{env_id.rpartition(':')[2]}")
    return f"{_path_prefix(module)}{command} --env {named}"


def _module(env_id: str) -> str:
    """The module to import for an environment of the user's own; none if it needs none."""
    module, _, name = env_id.rpartition(":")
    spec = gymnasium.registry.get(name)
    if module or spec is None or not is_own(spec):
        return module
    program = Path(sys.argv[0])
    script = _run_as_module() or (program.stem if program.suffix == ".py" else "")  # it may be in no file
    module = module_of(spec)
    # An entry point may be named in one place and registered in another.
    return module if module != "__main__" and (_mentions(module, name) or not _mentions("__main__", name)) else script


def _mentions(module: str, name: str) -> bool:
    """Whether the module, or a package that it brings with it, has the environment's name in its source."""
    parts = module.split(".")
    files = [getattr(sys.modules.get(".".join(parts[:end])), "__file__", None) for end in range(1, len(parts) + 1)]
    return any(name in Path(file).read_text(encoding="utf-8", errors="replace") for file in files if file)


def _path_prefix(module: str) -> str:
    """What lets a new process find the module, if it does not by itself."""
    file = getattr(sys.modules.get(module, sys.modules["__main__"]), "__file__", None)
    if file is None:
        return ""
    folder = Path(file).absolute().parents[module.count(".") + (Path(file).stem == "__init__")]
    given = os.environ.get("PYTHONPATH", "")
    known = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *filter(None, given.split(os.pathsep))]
    if folder in {Path.cwd(), *(Path(each).absolute() for each in known)}:
        return ""
    return f"PYTHONPATH={shlex.quote(str(folder))}{f'{os.pathsep}$PYTHONPATH' * bool(given)} "


def _run_as_module() -> str:
    """Its name, if the program was started by `python -m`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec is not None and spec.origin == sys.argv[0] else ""


def _tool(name: str) -> str:
    """How to call a program of this Python environment: by its name alone only if the shell would find this one."""
    path = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return shlex.quote(os.path.relpath(path)) if path.exists() and found != str(path) else name
