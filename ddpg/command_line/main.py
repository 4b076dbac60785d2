"""The command `ddpg-train`: Hydra composes the settings, `Training` runs them."""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ddpg.base.devices import usable_device
from ddpg.base.errors import FaultyEnvironmentError, InputError, require, shown
from ddpg.command_line import hints, hydra_sentences, job, mistakes, sweep
from ddpg.command_line.config import CONF, register
from ddpg.critic_freeze import CriticFreeze
from ddpg.environments import find_environment
from ddpg.gradient_stop import GradientStop
from ddpg.saving import checkpoint
from ddpg.training.loop import Training, check_run
from ddpg.training.resume import go_on, left_off
from ddpg.training.run import DivergedError
from ddpg.training.run_folder import alone
from ddpg.training.settings import Settings
from ddpg.training.stopping import Stopped

register()


def train() -> None:
    """Run the command; in a process that a sweep has started, train the one run that it is for."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise the errors, instead of printing them in Hydra's own way
    mistakes.plain_notes()
    with mistakes.in_sentences(Path()):
        if job.VARIABLE in os.environ:
            _train_job()
            sys.exit()  # what the user's program does after this is the sweep's to do
        hydra_sentences.check(sys.argv[1:], CONF)
        program = job.program()
        sys.argv[1:] = _locate_resumed_run(sys.argv[1:])

        def task(config: DictConfig) -> float | None:  # which a launcher brings to its workers with what it holds
            return _train(config, program)

        with sweep.reported():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(task)()


class CheckFirst(Callback):
    """Checks a run before Hydra makes its folder, or all jobs of a sweep before it launches the first."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with mistakes.in_sentences(lambda: config.hydra.sweep.dir):
            sweep.begin(config)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        # Hydra would turn an exception from here into a warning.
        with mistakes.in_sentences(lambda: config.hydra.run.dir):
            folder = Path(config.hydra.run.dir)
            settings, content = _settings(config, config.hydra.overrides.task)
            require(
                content is not None or not checkpoint.steps(folder),
                f"hydra.run.dir={folder}: holds a run already; choose another, or resume={folder} to go on.",
            )
            usable_device(settings.device)
            # A run that goes on has its weights already.
            check_run(settings.model_copy(update={"warm_start": None}) if content else settings)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"hydra.run.dir={folder}: cannot be made ({error.strerror}); choose another."
                ) from error


def _train(config: DictConfig, program: list[str]) -> float | None:
    context = HydraConfig.get()
    folder = Path(context.runtime.output_dir)
    with mistakes.in_sentences(folder):  # before Hydra adds words of its own
        settings, content = _settings(config, context.overrides.task)
        if context.mode == RunMode.MULTIRUN:
            return job.train_apart(folder, settings, program, context.runtime.cwd)
        with alone(folder):
            _run(folder, settings, content)
    return None


def _train_job() -> None:
    folder, settings = job.receive()
    # The process of a sweep that was broken off may still be saving.
    with mistakes.in_sentences(folder), alone(folder, patience=job.TIME_TO_SAVE + 5):
        _run(folder, settings, left_off(folder, settings))


def _run(folder: Path, settings: Settings, content: dict[str, Any] | None) -> None:
    """Train to the end, from the content of a checkpoint if there is one, and say what came of it."""
    for note in _notes(settings):
        print(note, file=sys.stderr)
    training = Training(settings, folder)
    if content is not None:
        training.load(content)
    try:
        evaluation = training.train()
    except (Stopped, KeyboardInterrupt) as stop:
        status = stop.status if isinstance(stop, Stopped) else 130
        mistakes.end(f"Stopped at step {training.step}. {_way_on(training, folder)}", status)
    except (DivergedError, FaultyEnvironmentError) as error:
        mistakes.end(f"{mistakes.with_traceback(error, training.run.folder)} {_way_on(training, folder)}", status=1)
    finally:
        training.close()
    print(hints.summary(settings.env.id, training.step, evaluation))
    if training.run.saved_step != training.step:
        mistakes.end(f"The last checkpoint could not be written. {_way_on(training, folder)}", status=1)
    print(
        f"Curves: {hints.curves(folder)}    Watch the policy: {hints.watch(folder, settings.env.id)}"
        f"{hints.typed_again(settings)}"
    )


def _way_on(training: Training, folder: Path) -> str:
    """Say from which step the run can go on, and by which command."""
    if (step := training.run.saved_step) is None:
        return "There is no checkpoint yet to go on from."
    env_id = training.settings.env.id
    trusted = f" env.id={env_id}" if ":" in env_id else ""  # a checkpoint gets no module imported
    trusted += hints.typed_again(training.settings)
    return f"{hints.program()} resume={shlex.quote(shown(folder))}{trusted} goes on from step {step}."


def _notes(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each setting that is allowed but may not be meant."""
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


def _settings(config: DictConfig, overrides: list[str]) -> tuple[Settings, dict[str, Any] | None]:
    """Return the settings of the run, and the content of its checkpoint if it resumes one."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    values.pop("hydra", None)
    resume = values.pop("resume")
    if not resume:
        return Settings.check(values), None  # type: ignore[arg-type]
    typed = {override.split("=", 1)[0].lstrip("+~") for override in overrides} - {"resume"}
    return go_on(Path(resume), values, typed)  # type: ignore[arg-type]


def _locate_resumed_run(arguments: list[str]) -> list[str]:
    """Let a run go on in its own folder, where `.hydra` stays as the first start left it."""
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
