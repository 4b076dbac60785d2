"""The command `gradient-flow`, which runs a script as `python` does and audits its training.

Nothing here imports PyTorch: that is left to the script, which may set environment variables before.
"""

import argparse
import builtins
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from ddpg.gradient_flow.kinds import KINDS

if TYPE_CHECKING:
    from ddpg.gradient_flow.conductor import Conductor

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
_WRAPPERS = ("_compile.py", "eval_frame.py", "external_utils.py")  # what PyTorch puts around what it must not compile
_DESCRIPTION = """\
Runs a script as python does, records where its gradients go, and says what is wrong. The script stays as it is, and
so do its numbers. It ends when every optimizer has made its steps; the report goes to stderr."""

_EPILOG = """\
The status is 1 if there is a fault, 2 if what --shared, --frozen or --modules name is not there, otherwise the
script's own.
Example: gradient-flow --html report.html train.py --lr 1e-3"""


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    number = _number(1)
    made = argparse.ArgumentParser(
        "gradient-flow",
        usage="gradient-flow [options] script.py [arguments]\n       gradient-flow [options] -m module [arguments]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--steps", type=number, default=20, metavar="N", help="how many steps of each optimizer to record (20)")
    add("--limit", type=number, default=1000, metavar="N", help="end after so many backward passes (1000)")
    add("--skip", type=_number(0), default=0, metavar="N", help="steps to let go by first: warm-up (0)")
    add("--go-on", action="store_true", help="let the script run on to its own end")
    add("--every", type=number, metavar="N", help="record again every so many steps, with the script running on")
    add("--fail-on", type=_kinds, metavar="KIND,…", help="kinds of finding that make the status 1 (all faults)")
    add_audit_options(made)
    add("--html", metavar="FILE", help="write the report as a page, with pictures of the graphs")
    add("--json", metavar="FILE", help="write it for machines")
    add("--github", action="store_true", help="also print it as annotations of GitHub Actions, to stdout")
    add("-m", dest="module", nargs=argparse.REMAINDER, metavar="module", help="a module to run, as python -m does")
    add("script", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return made


def add_audit_options(made: argparse.ArgumentParser) -> None:
    """Add the options that also the notebook magic has."""
    add = made.add_argument
    add("--shared", type=_names, default=(), metavar="NAME,…", help="modules that several losses are meant to train")
    add("--frozen", type=_names, default=(), metavar="NAME,…", help="modules that are not to change")
    add("--modules", type=_paths, metavar="NAME=PATH,…", help="look at these only, e.g. actor=agent.actor")
    add("--no-trace", action="store_true", help="do not follow the forward pass: faster, and says less")


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text}: a whole number of at least {least} is needed.")
        return int(text)

    return number


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in text.split(","))))


def _kinds(text: str) -> tuple[str, ...]:
    for each in _names(text):
        if each not in KINDS:
            raise argparse.ArgumentTypeError(f"{each} is no kind of finding; there are {', '.join(KINDS)}.")
    return _names(text)


def _paths(text: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in _names(text)]
    for name, _, path in pairs:
        if not name or not path:
            raise argparse.ArgumentTypeError(f"{text}: NAME=PATH is needed, such as actor=agent.actor.")
    return {name.strip(): path.strip() for name, _, path in pairs}


def main(arguments: Iterable[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    made = parser()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = made.parse_args(arguments)
    command = options.module if options.module is not None else options.script
    if not command:
        made.error("which script? For example: gradient-flow train.py")
    for name in ("html", "json"):
        file = getattr(options, name)
        if file is not None:  # the script may change the directory
            path = os.path.abspath(file)
            folder = os.path.dirname(path)
            if not os.path.isdir(folder):
                made.error(f"--{name} {file}: there is no folder {folder}; make it, or name another.")
            if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK):
                made.error(f"--{name} {file}: it cannot be written, or is a folder; name another file.")
            setattr(options, name, path)
    run, module = _module(command, made) if options.module is not None else _script(command, made)
    # The script may close or replace sys.stderr.
    out = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="replace")
    session = _Session(options, out)
    _before_other_ends(session, arguments[: len(arguments) - len(command)], command[0])
    before = sys.modules["__main__"]  # kept: its functions are running
    sys.modules["__main__"] = module
    sys.argv = [module.__file__ or command[0] if options.module is not None else command[0], *command[1:]]
    try:
        exec(run(), module.__dict__)
    except BaseException as error:
        status = session.end(failed=not isinstance(error, SystemExit))
        if session.stopped:
            sys.exit(status)
        if isinstance(error, SystemExit):
            sys.exit(status if status and isinstance(error.code, int | None) else error.code)
        hook = sys.excepthook  # perhaps the script's own
        sys.excepthook = lambda kind, error, _: hook(kind, error, _cleaned(error).__traceback__)
        raise
    del before
    sys.exit(session.end())


def _script(command: list[str], made: argparse.ArgumentParser) -> tuple[Callable[[], CodeType], ModuleType]:
    path = os.path.join(os.getcwd(), command[0])
    if os.path.isdir(path):
        made.error(f"{command[0]} is a folder: name the script in it, or run it as a module with -m.")
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        made.error(f"{command[0]} cannot be read: {error.strerror}.")
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    module = ModuleType("__main__")
    vars(module).update(
        __file__=path, __builtins__=builtins, __loader__=SourceFileLoader("__main__", path), __cached__=None
    )
    return lambda: compile(source, path, "exec", dont_inherit=True), module


def _module(command: list[str], made: argparse.ArgumentParser) -> tuple[Callable[[], CodeType], ModuleType]:
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd()
    try:
        spec = importlib.util.find_spec(command[0])
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{command[0]}.__main__")
    except (ImportError, ValueError, AttributeError):
        spec = None
    loader: Any = spec.loader if spec is not None else None
    if spec is None or loader is None or not hasattr(loader, "get_code"):
        made.error(f"-m {command[0]}: there is no such module that can be run here.")
    module = ModuleType("__main__")
    vars(module).update(
        __spec__=spec, __file__=spec.origin, __package__=spec.parent, __builtins__=builtins, __loader__=loader,
        __cached__=spec.cached,
    )  # fmt: skip
    return lambda: loader.get_code(spec.name), module


class _Session(MetaPathFinder):
    """Audit of one run of a script, which begins when the script has imported PyTorch."""

    def __init__(self, options: argparse.Namespace, out: TextIO) -> None:
        self._options = options
        self._out = out
        self._conductor: Conductor | None = None
        if "torch" in sys.modules:
            self._begin()
        else:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the usual spec of PyTorch, whose loader begins the audit when it is done."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def execute_and_begin(module: ModuleType) -> None:
                execute(module)
                self._begin()

            loader.exec_module = execute_and_begin
        return spec

    def _begin(self) -> None:
        from ddpg.gradient_flow.conductor import Conductor

        self._conductor = Conductor(self._options, self._out)
        self._conductor.begin()

    @property
    def stopped(self) -> bool:
        """Whether the audit has ended the script."""
        return self._conductor is not None and self._conductor.stopped

    def say(self, text: str) -> None:
        """Print a line for the user."""
        print(f"gradient-flow: {text}", file=self._out)

    def end(self, failed: bool = False) -> int:
        """Close the audit at the end of the script, and return its exit status."""
        if self._conductor is not None:
            return self._conductor.end(failed)
        if not failed:
            self.say("the script has not imported torch: there was nothing to look at.")
        return 0


def _before_other_ends(session: _Session, options: list[str], script: str) -> None:
    """Report also before `os._exit` and `os.exec…`; audit a script that starts itself anew."""
    system: Any = os
    process, exit_, execute, execute_in = os.getpid(), system._exit, system.execv, system.execve

    def leave(status: int) -> NoReturn:
        if os.getpid() == process:
            status = session.end() or status
        exit_(status)
        raise AssertionError

    def again(arguments: Sequence[str]) -> Sequence[str]:
        if os.getpid() != process:
            return arguments
        interpreter, *rest = arguments
        if os.path.basename(interpreter) == os.path.basename(sys.executable) and script in rest[:2]:
            return [interpreter, "-m", __package__, *options, *rest[rest.index(script) :]]
        session.end()
        session.say("the script puts another program in its place, which is not looked at.")
        return arguments

    system._exit = leave
    system.execv = lambda path, arguments: execute(path, again(arguments))
    system.execve = lambda path, arguments, environment: execute_in(path, again(arguments), environment)


def _cleaned(error: BaseException, seen: tuple[BaseException, ...] = ()) -> BaseException:
    """Remove the audit's frames from the tracebacks of an error and of those that led to it."""
    kept: list[TracebackType] = []
    each = error.__traceback__
    while each is not None:
        file = each.tb_frame.f_code.co_filename
        if file.startswith(_OWN):
            while kept and os.path.basename(kept[-1].tb_frame.f_code.co_filename) in _WRAPPERS:
                kept.pop()
        elif not file.startswith("<frozen runpy"):
            kept.append(each)
        each = each.tb_next
    after: TracebackType | None = None
    for each in reversed(kept):
        after = TracebackType(after, each.tb_frame, each.tb_lasti, each.tb_lineno)
    for other in (error.__cause__, error.__context__):
        if other is not None and other not in seen:
            _cleaned(other, (*seen, error))
    return error.with_traceback(after)
