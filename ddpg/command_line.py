"""The commands: what a person typed in, a run or an evaluation out, every mistake answered in a sentence."""

import argparse
import hashlib
import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import hydra
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpg import foreign_config, job, sweep
from ddpg.agent import DDPG, usable_device
from ddpg.critic_freeze import CriticFreeze
from ddpg.environments import make_environment
from ddpg.errors import FaultyEnvironmentError, InputError, Note, choices, require, shown
from ddpg.evaluation import FINAL_EPISODES, Evaluation, evaluate
from ddpg.gradient_stop import GradientStop
from ddpg.progress import fleeting
from ddpg.resume import contents, has_result, kept, left_off, run_content
from ddpg.run import DivergedError
from ddpg.settings import Settings, option_settings, valid_keys
from ddpg.stopping import Stopped
from ddpg.training import Training

# Beside the package where it is installed, beside its folder in a checkout.
CONF = next(path for path in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf") if path.is_dir())

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


def train() -> None:
    """`scripts/train.py`: Hydra composes the settings, `Training` runs them."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand the errors over, instead of printing them in Hydra's own way
    with _mistakes_in_sentences():
        sys.argv[1:] = _locate_resumed_run(sys.argv[1:])
        _refuse_empty_choices(sys.argv[1:])
        foreign_config.check(sys.argv[1:], CONF)
        with sweep.reported():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(_train)()


def train_job() -> None:
    """One run of a sweep, in the process that `job.train_apart` starts for it."""
    with _mistakes_in_sentences():
        folder, values = job.receive()
        settings = Settings.check(values)
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
    with _mistakes_in_sentences():
        episodes = arguments.episodes if arguments.episodes is not None else 3 if arguments.render else FINAL_EPISODES
        require(episodes >= 1, f"--episodes {episodes}: must be 1 or more.")
        require(
            not arguments.render or sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()),
            "--render: there is no display to open a window on (DISPLAY is not set); leave it out, or log in with one.",
        )
        usable_device(arguments.device)
        content = run_content(arguments.run, arguments.env, "--env")
        settings = Settings.check(content["settings"])
        env = settings.env
        agent = DDPG.from_state_dict(content["agent"], device=arguments.device)
        environment = make_environment(env.id, env.kwargs, "human" if arguments.render else None, env.timeout)
        try:
            environment.freeze(content["training"]["statistics"])
            bar = fleeting(range(episodes), "evaluation", " episodes")
            evaluation = evaluate(agent, environment, bar, settings.evaluation.max_episode_steps)
        except FaultyEnvironmentError as error:
            hint = " A window needs a display." if arguments.render else ""
            sys.exit(_complain(f"{error}{hint}", status=1))
        finally:
            environment.close()
        print(_summary(env.id, content["training"]["step"], evaluation))


class CheckFirst(Callback):
    """Checks a run before Hydra makes its folder, or all jobs of a sweep before it launches the first."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _mistakes_in_sentences():
            sweep.begin(config)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _mistakes_in_sentences():  # Hydra would turn an exception from here into a warning
            folder = Path(config.hydra.run.dir)
            settings, contents = _settings(config, config.hydra.overrides.task)
            require(
                bool(contents) or not kept(folder),
                f"hydra.run.dir={folder}: holds a run already; choose another, or resume={folder} to go on.",
            )
            make_environment(settings.env.id, settings.env.kwargs).close()
            usable_device(settings.device)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"hydra.run.dir={folder}: cannot be made ({error.strerror}); choose another."
                ) from error


def _train(config: DictConfig) -> float | None:
    with _mistakes_in_sentences():  # before Hydra adds words of its own
        folder = Path(HydraConfig.get().runtime.output_dir)
        settings, contents = _settings(config, HydraConfig.get().overrides.task)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return job.train_apart(folder, settings)
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
        sys.exit(_complain(f"{error} {_way_on(training)}", status=1))
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
    return f"{_program()} resume={shlex.quote(shown(folder))}{trusted} goes on from step {run.saved_step}."


def _hint(training: Training) -> None:
    """What to look at next."""
    folder = shown(training.runs[0].folder)
    watch = f"{_program().replace('train', 'evaluate')} {shlex.quote(folder)} --render"
    print(f"Curves: {_tool('tensorboard')} --logdir {shlex.quote(_root(folder))}    Watch the policy: {watch}")


def _admit(training: Training) -> None:
    """End with status 1 if seeds had to be given up."""
    if training.failures:
        sys.exit(_complain("\n".join(f"Seed {seed}: {error}" for seed, error in training.failures.items()), status=1))


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
    limit = gymnasium.spec(settings.env.id.rpartition(":")[2]).max_episode_steps
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
    if not resume:
        return Settings.check(values), []  # type: ignore[arg-type]
    found = contents(Path(resume), config.env.id)
    saved = found[0]["settings"] | {"seeds": len(found)}
    keys = {override.split("=", 1)[0].lstrip("+~") for override in overrides} - {"resume", "env.id"}
    for key in sorted(keys):
        require(
            key == "total_steps",
            f"{key}: a resumed run keeps its settings, so that it stays the same run; only total_steps may change.",
        )
        saved[key] = config.total_steps
    settings = Settings.check(saved)
    step = found[0]["training"]["step"]
    require(
        settings.total_steps > step or not has_result(Path(resume), settings),
        f"total_steps={settings.total_steps}: the run already stands at step {step}; give a larger one to go on.",
    )
    return settings, found


def _refuse_empty_choices(arguments: list[str]) -> None:
    """Hydra takes a group away by null; every one of these is needed."""
    for group in ("gradient_stop", "critic_freeze", "agent", "exploration", "env"):
        for empty in ("null", "", "[]"):
            valid = choices([path.stem for path in (CONF / group).glob("*.yaml")], given="")
            require(f"{group}={empty}" not in arguments, f"{group}={empty}: has to be one of its options. {valid}")


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
def _mistakes_in_sentences() -> Iterator[None]:
    """Ends the program with a sentence for each mistake of the person's or the environment's, without a traceback."""
    try:
        with _notes_in_sentences():
            yield
    except FaultyEnvironmentError as error:
        sys.exit(_complain(str(error), status=1))
    except InputError as error:
        sys.exit(_complain(str(error), status=2))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_complain(_hydra_sentence(error), status=2))


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


def _hydra_sentence(error: Exception) -> str:
    """What Hydra could not compose, with the nearest valid choice."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.removesuffix(".yaml").rpartition("/")
        if not group:
            return f"--config-name {name}: there is no such file in {CONF}; leave it out."
        hint = " Any registered environment goes by env.id=<its id>." if group == "env" else ""
        return f"{group}={name}: no such option; {choices(error.options or [], name)}{hint}"
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1]
        group, _, setting = key.partition(".")
        if key.startswith(("env.kwargs", "agent.optimizer_options")):
            return f"{key}: no entry of this name yet; +{key}=… adds one."
        owners = option_settings().get((group, setting))
        if owners:
            return f"{key}: the chosen {group} has no such setting; {group}={' or '.join(owners)} has it: add that."
        return f"{key}: there is no such setting; {choices(valid_keys(), key)}"
    return f"{text.splitlines()[0].rstrip('.')}; settings are typed key=value, --help shows them."


def _summary(env_id: str, step: int, evaluation: Evaluation) -> str:
    returns = evaluation.returns
    return (
        f"{env_id} after {step:,} steps: mean return {returns.mean():.2f}, standard deviation {returns.std():.2f}, "
        f"worst {returns.min():.2f}, over {len(returns)} episodes without exploration."
    )


def _program() -> str:
    """How to call this program again."""
    program = Path(sys.argv[0])
    return f"{_tool('python')} {os.path.relpath(program)}" if program.suffix == ".py" else _tool(program.name)


def _tool(name: str) -> str:
    """How to call a program of this Python environment: by its name alone only if the shell would find this one."""
    path = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return os.path.relpath(path) if path.exists() and found != str(path) else name


def _root(folder: str) -> str:
    """The folder whose curves belong side by side: `runs` where the run lies in it."""
    return "runs" if Path(folder).parts[:1] == ("runs",) else folder
