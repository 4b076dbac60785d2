"""The commands: what a person typed in, a run or an evaluation out, every mistake answered in a sentence."""

import argparse
import hashlib
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpg.agent import DDPG
from ddpg.base.devices import usable_device
from ddpg.base.errors import FaultyEnvironmentError, InputError, Note, require, shown
from ddpg.base.progress import fleeting
from ddpg.command_line import foreign_config, hints, hydra_sentences, job, sweep
from ddpg.critic_freeze import CriticFreeze
from ddpg.environments import find_environment, make_environment
from ddpg.environments.own_code import OwnCode, see_directory
from ddpg.gradient_stop import GradientStop
from ddpg.saving import agent_state, files
from ddpg.training.evaluation import FINAL_EPISODES, Evaluation, evaluate
from ddpg.training.loop import Training, check_runs, folders
from ddpg.training.resume import go_on, kept, left_off, run_content
from ddpg.training.run import DivergedError
from ddpg.training.settings import Settings
from ddpg.training.stopping import Stopped

# Beside the package where it is installed, beside its folder in a checkout.
CONF = next(path for path in (Path(__file__).parents[1] / "conf", Path(__file__).parents[2] / "conf") if path.is_dir())

TRACEBACK_NAME = "traceback.txt"

OmegaConf.register_new_resolver(
    "short",  # a folder's name may have 255 bytes, a sweep's overrides more
    lambda name: name if len(name) <= 150 else f"{name[:130]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}",
    replace=True,
)


def _seeds_name(first: object, count: object) -> str:
    """Of a run or several at once, as a folder's name; what is no number gets its sentence later."""
    if isinstance(first, int) and isinstance(count, int) and count > 1:
        return f"{first}-{first + count - 1}"
    return str(first)


def _strategy_name(stop: object, freeze: object, bootstrap_actor: object) -> str:
    """A folder's name, which TensorBoard shows the beginning of: the usual freeze goes without saying."""
    return "-".join(map(str, [stop, *([freeze] if freeze != "requires_grad" else []), bootstrap_actor]))


OmegaConf.register_new_resolver("strategy", _strategy_name, replace=True)
OmegaConf.register_new_resolver("seeds", _seeds_name, replace=True)
OmegaConf.register_new_resolver("program", hints.program, replace=True)


def train() -> None:
    """`scripts/train.py`: Hydra composes the settings, `Training` runs them."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand the errors over, instead of printing them in Hydra's own way
    with _interruptible(), _mistakes_in_sentences():
        hydra_sentences.check(sys.argv[1:], CONF)
        sys.argv[1:] = _locate_resumed_run(sys.argv[1:])
        foreign_config.check(sys.argv[1:], CONF)
        own = OwnCode.here()

        def task(config: DictConfig) -> float | None:  # which a launcher brings to its workers with what it holds
            return _train(config, own)

        with sweep.reported():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(task)()


def train_job() -> None:
    """One run of a sweep, in the process that `job.train_apart` starts for it."""
    folder, values, directory, environments = job.receive()
    with _mistakes_in_sentences(folder):
        settings = Settings.check(values)
        see_directory(settings.env.id, directory)
        OwnCode([], environments).register(settings.env.id)
        # The process of a sweep that was broken off may still be saving.
        with _alone(folder, patience=job.TIME_TO_SAVE + 5):
            training = _start(folder, settings, left_off(folder, settings))
            with job.progress(folder, lambda: training.step):
                _finish(training)
        _admit(training)


def evaluate_run() -> None:
    """`scripts/evaluate.py`: repeat a run's final evaluation, or watch its policy."""
    parser = argparse.ArgumentParser(
        description="Evaluate the policy of a run without exploration. Episode i starts from reset(seed=10000 + i).",
    )
    parser.add_argument("run", type=Path, help="a run's folder, or a checkpoint in it")
    parser.add_argument("--episodes", type=int, help=f"how many; {FINAL_EPISODES} by default, 3 with --render")
    parser.add_argument("--render", action="store_true", help="watch the policy in a window")
    parser.add_argument("--device", default="cpu", help="where the policy is computed; cpu by default")
    parser.add_argument("--env", help="the environment, if it is of a module of yours: module:Name-v0")
    arguments = parser.parse_args()
    folder = arguments.run if arguments.run.is_dir() else arguments.run.parent.parent
    with _interruptible(), _mistakes_in_sentences(folder):
        episodes = arguments.episodes if arguments.episodes is not None else 3 if arguments.render else FINAL_EPISODES
        require(episodes >= 1, f"--episodes {episodes}: must be 1 or more.")
        require(
            not arguments.render or sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()),
            "--render: there is no display to open a window on (DISPLAY is not set); leave it out, or log in with one.",
        )
        usable_device(arguments.device)
        content = run_content(arguments.run, arguments.env, "--env ")
        settings = Settings.check(content["settings"])
        env = settings.env
        env_id = arguments.env or env.id
        see_directory(env_id)
        agent = agent_state.from_state_dict(content["agent"], DDPG, device=arguments.device)
        try:
            spec = find_environment(env_id)
        except InputError as error:
            error.args = (str(error).replace("env.id=", "--env "),)
            raise
        environment = make_environment(spec, env.kwargs, "human" if arguments.render else None)
        try:
            environment.freeze(content["training"]["statistics"])
            bar = fleeting(range(episodes), "evaluation", " episodes")
            evaluation = evaluate(agent, environment, bar, settings.evaluation.max_episode_steps)
        except FaultyEnvironmentError as error:
            hint = " A window needs a display." if arguments.render else ""
            sys.exit(_complain(f"{_with_traceback(error, folder)}{hint}", status=1))
        finally:
            environment.close()
        print(_summary(env_id, content["training"]["step"], evaluation))


class CheckFirst(Callback):
    """Checks a run before Hydra makes its folder, or all jobs of a sweep before it launches the first."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _mistakes_in_sentences(lambda: config.hydra.sweep.dir):
            sweep.begin(config, OwnCode.here())

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        # Hydra would turn an exception from here into a warning.
        with _mistakes_in_sentences(lambda: config.hydra.run.dir):
            folder = Path(config.hydra.run.dir)
            foreign_config.check_module(config.env.id, sys.argv[1:])
            settings, contents = _settings(config, config.hydra.overrides.task)
            require(
                bool(contents) or not kept(folder),
                f"hydra.run.dir={folder}: holds a run already; choose another, or resume={folder} to go on.",
            )
            usable_device(settings.device)
            check_runs(settings)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"hydra.run.dir={folder}: cannot be made ({error.strerror}); choose another."
                ) from error


def _train(config: DictConfig, own: OwnCode) -> float | None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    with _mistakes_in_sentences(folder):  # before Hydra adds words of its own
        settings, contents = _settings(config, HydraConfig.get().overrides.task)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return job.train_apart(folder, settings, HydraConfig.get().runtime.cwd, own)
        with _alone(folder):
            training = _start(folder, settings, contents)
            _finish(training)
        _hint(training)
        _admit(training)
    return None


@contextmanager
def _alone(folder: Path, patience: float = 0) -> Iterator[None]:
    """Refuse a run that another process is training; its lock ends with it, however that ends."""
    try:
        with FileLock(folder / ".lock", timeout=patience):
            yield
    except Timeout:
        raise InputError(f"{folder}: another process is training this run; wait for it, or stop it.") from None


def _start(folder: Path, settings: Settings, contents: list[dict[str, Any]]) -> Training:
    """The run in this folder, which goes on from the contents of its checkpoints, if there are any."""
    for note in _notes(settings):
        print(note, file=sys.stderr)
    training = Training(settings, folder)
    if contents:
        training.load(contents)
    return training


def _finish(training: Training) -> None:
    """Train to the end, and say what came of it."""
    settings = training.settings
    try:
        evaluations = training.run()
    except (Stopped, KeyboardInterrupt) as stop:
        status = stop.status if isinstance(stop, Stopped) else 130
        sys.exit(_complain(f"Stopped at step {training.step}. {_way_on(training)}", status))
    except (DivergedError, FaultyEnvironmentError) as error:
        sys.exit(_complain(f"{_with_traceback(error, training.runs[0].folder)} {_way_on(training)}", status=1))
    finally:
        training.close()
    for seed, evaluation in evaluations.items():
        print(f"{f'Seed {seed}: ' if settings.seeds > 1 else ''}{_summary(settings.env.id, training.step, evaluation)}")
    if any(run.saved_step != run.step for run in training.runs):
        sys.exit(_complain(f"The last checkpoint could not be written. {_way_on(training)}", status=1))


def _way_on(training: Training) -> str:
    """From where the run can go on, and how."""
    run = training.runs[0]
    if run.saved_step is None:
        return "There is no checkpoint yet to go on from."
    folder = run.folder if training.settings.seeds == 1 else run.folder.parent
    env_id = training.settings.env.id
    trusted = f" env.id={env_id}" if ":" in env_id else ""  # a checkpoint gets no module imported
    return f"{hints.program()} resume={shlex.quote(shown(folder))}{trusted} goes on from step {run.saved_step}."


def _hint(training: Training) -> None:
    """What to look at next."""
    folder = training.runs[0].folder
    print(f"Curves: {hints.curves(folder)}    Watch the policy: {hints.watch(folder, training.settings.env.id)}")


def _admit(training: Training) -> None:
    """End with status 1 if seeds had to be given up."""
    if training.failures:
        places = folders(training.runs[0].folder.parent, training.settings)
        sentences = [
            f"Seed {seed}: {_with_traceback(error, places[seed])}" for seed, error in training.failures.items()
        ]
        sys.exit(_complain("\n".join(sentences), status=1))


def _notes(settings: Settings) -> Iterator[str]:
    """What is allowed but may not be meant."""
    for choice in (GradientStop.make(settings.gradient_stop), CriticFreeze.make(settings.critic_freeze)):
        if not choice.sound:
            yield f"{choice.kind}: {choice} is not sound: it lets one network's loss move the other."
    if settings.learning_starts >= settings.total_steps:
        yield (
            f"learning_starts={settings.learning_starts}: the run of {settings.total_steps} steps ends before it "
            "learns anything."
        )
    limit = find_environment(settings.env.id).max_episode_steps
    if limit is None and "max_episode_steps" not in settings.env.kwargs:
        yield (
            f"env.id={settings.env.id}: registered without a time limit; an evaluation's episode that does not end by "
            f"itself is cut off after evaluation.max_episode_steps={settings.evaluation.max_episode_steps} steps. "
            "+env.kwargs.max_episode_steps=1000 sets a limit for the training too."
        )


def _settings(config: DictConfig, overrides: list[str]) -> tuple[Settings, list[dict[str, Any]]]:
    """The settings of the run, and the content of its seeds' checkpoints if it resumes one."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    values.pop("hydra", None)
    resume = values.pop("resume")
    see_directory(config.env.id)
    if not resume:
        return Settings.check(values), []  # type: ignore[arg-type]
    typed = {override.split("=", 1)[0].lstrip("+~") for override in overrides} - {"resume"}
    return go_on(Path(resume), values, typed)  # type: ignore[arg-type]


def _locate_resumed_run(arguments: list[str]) -> list[str]:
    """With `resume=<folder>` the run goes on in its own folder, whose record of the first start stays as it is."""
    folder = next((each.removeprefix("resume=") for each in arguments if each.startswith("resume=")), "null")
    if folder in ("", "null"):
        return arguments
    require(
        not {"-m", "--multirun"} & set(arguments), f"resume={folder}: one run at a time; leave out -m (--multirun)."
    )
    path = Path(folder.strip("'\""))
    require(path.is_dir(), f"resume={path}: there is no such folder; give the folder of a run.")
    quoted = "'" + str(path).replace("'", r"\'") + "'"
    others = [each for each in arguments if not each.startswith("resume=")]
    return [*others, f"resume={quoted}", f"hydra.run.dir={quoted}", "hydra.output_subdir=null"]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ends the program with a word at a Ctrl-C that nobody else has answered."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(_complain("Interrupted.", status=130))


@contextmanager
def _mistakes_in_sentences(folder: Path | Callable[[], str] | None = None) -> Iterator[None]:
    """Ends the program with a sentence for each mistake of the person's or the environment's.

    A traceback, if the person's own code has raised one, goes into a file in the folder.
    """
    try:
        with _notes_in_sentences():
            yield
    except (FaultyEnvironmentError, InputError) as error:
        status = 1 if isinstance(error, FaultyEnvironmentError) else 2
        sys.exit(_complain(_with_traceback(error, folder() if callable(folder) else folder), status))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_complain(hydra_sentences.sentence(error, CONF), status=2))


def _with_traceback(error: Exception, folder: str | Path | None) -> str:
    """The error's sentence, which names the file that its traceback, if it has one, is put into."""
    if folder is not None and (details := getattr(error, "details", "")):
        path = Path(folder, TRACEBACK_NAME)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, details.encode())
            return f"{error} The traceback is in {shown(path)}."
    return str(error)


_noted: set[str] = set()  # a run is looked at twice, before Hydra makes its folder and after


@contextmanager
def _notes_in_sentences() -> Iterator[None]:
    """Shows a `Note` without the line of code that it came from."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def plainly(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, Note):
                show(message, category, *place, **more)
            elif str(message) not in _noted:
                print(message, file=sys.stderr)
                _noted.add(str(message))

        warnings.simplefilter("always", Note)
        warnings.showwarning = plainly
        yield


def _complain(sentences: str, status: int) -> int:
    print(sentences, file=sys.stderr)
    return status


def _summary(env_id: str, step: int, evaluation: Evaluation) -> str:
    returns = evaluation.returns
    return (
        f"{env_id} after {step:,} steps: mean return {returns.mean():.2f}, standard deviation {returns.std():.2f}, "
        f"worst {returns.min():.2f}, over {len(returns)} episodes without exploration."
    )


if __name__ == "__main__":
    sys.exit("python -m ddpg trains, ddpg-evaluate evaluates, ddpg-compare compares; --help of each says more.")
