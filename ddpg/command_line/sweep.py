"""A Hydra sweep, seen from where it was started: every job checked first, all of them shown in one progress bar."""

import os
import shlex
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ddpg.base.devices import usable_device
from ddpg.base.errors import InputError, require, shown
from ddpg.base.progress import Bar
from ddpg.command_line import foreign_config, hints
from ddpg.command_line.job import FAILURE_NAME, LOG_NAME, PROGRESS_NAME, SWEEP_PID, rehearse
from ddpg.environments.own_code import OwnCode, check_serializable, see_directory
from ddpg.training.loop import check_runs
from ddpg.training.resume import finished
from ddpg.training.settings import Settings


@dataclass(frozen=True, eq=False)
class Job:
    """One combination of a sweep's values.

    Attributes:
        overrides: what tells it from the others.
        folder: where its run goes.
        settings: of its run.
    """

    overrides: Sequence[str]
    folder: Path
    settings: Settings

    @property
    def steps(self) -> int:
        """Environment steps of all its seeds."""
        return self.settings.total_steps * self.settings.seeds

    def finished(self) -> bool:
        """Whether its results are there."""
        return finished(self.folder, self.settings)

    def failure(self) -> str | None:
        """Why it failed, if it did."""
        path = self.folder / FAILURE_NAME
        return path.read_text(encoding="utf-8").strip() if path.exists() else None

    def steps_done(self) -> int:
        """Environment steps of all its seeds so far, while it runs."""
        try:
            return int((self.folder / PROGRESS_NAME).read_text()) * self.settings.seeds
        except (OSError, ValueError):
            return 0


class Sweep:
    """The jobs of a sweep, and a progress bar over all of them while they run, wherever that is.

    Args:
        jobs: all of them, finished ones too.
        folder: of the sweep.
    """

    def __init__(self, jobs: Sequence[Job], folder: Path) -> None:
        self.jobs = jobs
        self.folder = folder
        self._open = [job for job in jobs if not job.finished()]
        for job in self._open:
            for name in (FAILURE_NAME, PROGRESS_NAME):
                (job.folder / name).unlink(missing_ok=True)
        self._done = threading.Event()
        parts = {"steps": "{n_fmt}/{total_fmt} steps", "failed": "", "done": "", "running": ""}
        self._bar = Bar(
            f"{len(jobs)} run{'s' * (len(jobs) > 1)}",
            parts | {"left": "{remaining} left", "elapsed": "{elapsed} so far"},
            total=sum(job.steps for job in self._open),
            unit="",
            unit_scale=True,
        )
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Show the last state, and end the bar."""
        if not self._done.is_set():
            self._done.set()
            self._watcher.join()
            self._bar.close()

    def missing(self) -> dict[Path, str | None]:
        """For each run without a result its folder, and why it failed, if it did."""
        return {job.folder: job.failure() for job in self.jobs if not job.finished()}

    def _watch(self) -> None:
        while not self._done.wait(1):
            self._look()
        self._look()

    def _look(self) -> None:
        ended = {job for job in self._open if job.finished()}
        failed = sum(job.failure() is not None for job in self._open)
        steps = [job.steps_done() for job in self._open if job not in ended]
        self._bar.n = sum(job.steps for job in ended) + sum(steps)
        self._bar.parts |= {
            "failed": f"{failed} failed" if failed else "",
            "done": f"{len(self.jobs) - len(self._open) + len(ended)} done",
            "running": f"{sum(done > 0 for done in steps)} running",
        }
        self._bar.update(0)


_CORES: int = joblib.cpu_count()  # of which this process may use so many

_current: Sweep | None = None


def begin(config: DictConfig, own: OwnCode) -> None:
    """Check all jobs of the sweep before the first of them starts, and show from now on how far they are.

    Args:
        config: of the sweep.
        own: what its jobs get of the user's own.

    Raises:
        InputError: if one of them cannot be trained, or two would share a folder.
    """
    global _current
    on_this_machine = config.hydra.launcher._target_.endswith((".BasicLauncher", ".JoblibLauncher", ".LocalLauncher"))
    if on_this_machine:
        os.environ[SWEEP_PID] = str(os.getpid())
    else:
        os.environ.pop(SWEEP_PID, None)
    if not config.hydra.sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return  # one that chooses its jobs as it goes
    jobs = plan(config)
    at_once = _at_once(config.hydra.launcher, len(jobs)) if on_this_machine else 1
    for settings in {str((each.settings.env, each.settings.buffer_size)): each.settings for each in jobs}.values():
        foreign_config.check_module(settings.env.id, sys.argv[1:])
        see_directory(settings.env.id)
        check_runs(settings, at_once)
        check_serializable(settings.env.id)
        rehearse(settings, own)
    if on_this_machine:
        os.environ.setdefault("OMP_NUM_THREADS", str(_threads_each(config.hydra.launcher, len(jobs))))
        for device in {job.settings.device for job in jobs}:
            usable_device(device)
    else:
        require(
            Path(config.hydra.sweep.dir).is_absolute(),
            f"hydra.sweep.dir={config.hydra.sweep.dir}: jobs elsewhere work in other directories; give an absolute "
            "path, on storage that all of them see.",
        )
    if all(job.finished() for job in jobs):
        print(f"All {len(jobs)} runs are finished already, in {config.hydra.sweep.dir}.")
        sys.exit(0)
    _current = Sweep(jobs, Path(config.hydra.sweep.dir))


def _at_once(launcher: DictConfig, jobs: int) -> int:
    """How many of the jobs the launcher runs at a time on this machine."""
    at_once = int(launcher.get("n_jobs") or launcher.get("array_parallelism") or 1)
    return min(at_once if at_once > 0 else max(1, _CORES + 1 + at_once), jobs)


def _threads_each(launcher: DictConfig, jobs: int) -> int:
    """A job's share of the cores of this machine, at least one."""
    return max(1, _CORES // _at_once(launcher, jobs))


@contextmanager
def reported() -> Iterator[None]:
    """Around a sweep: at its end, however that comes, say how it went, and end the program with status 1 if not well.

    What is no sweep passes unseen.
    """
    global _current
    reason, status = "", 0
    try:
        yield
    except (InputError, HydraException, OmegaConfBaseException):
        raise  # a mistake of the person's, before anything ran
    except KeyboardInterrupt:
        if _current is None:
            raise
        reason, status = "Interrupted.", 130
        if SWEEP_PID not in os.environ:
            reason += " Runs on other machines may go on: end them there before you start the sweep again."
    except Exception as error:  # whatever a launcher may raise
        if _current is None:
            raise
        log = _current.folder / "launcher.log"
        log.write_text(traceback.format_exc())
        reason, status = f"The launcher has failed ({_first_line(error)}); {log} has more.", 1
    sweep, _current = _current, None
    if sweep is not None:
        sweep.close()
        missing = sweep.missing()
        report = [f"{len(sweep.jobs) - len(missing)} of {len(sweep.jobs)} runs are done."]
        report += [f"{shown(folder)}: {why}" for folder, why in missing.items() if why]
        if unreached := sum(why is None for why in missing.values()):
            report.append(f"{unreached} did not get so far.")
        if missing:
            report.append(f"The same command again does what is missing; {LOG_NAME} in each folder says more.")
        else:
            report.append(f"What they show: {hints.companion('compare')} {shlex.quote(shown(sweep.folder))}")
        print("\n".join([reason] * bool(reason) + report), file=sys.stderr if missing else sys.stdout)
        if missing:
            sys.exit(status or 1)


def plan(config: DictConfig) -> list[Job]:
    """The jobs of Hydra's basic sweeper. Raises `InputError` if one of them is no run, or two share a folder."""
    loader = GlobalHydra.instance().config_loader()
    swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*swept, *config.hydra.overrides.task])
    jobs: dict[Path, Job] = {}
    for number, overrides in enumerate(BasicSweeper.split_arguments(parsed, None)[0]):
        composed = loader.load_sweep_config(config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        values = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(values, dict)
        sweep = values.pop("hydra")["sweep"]
        require(values.pop("resume") is None, "resume: one run at a time; leave out -m (--multirun).")
        try:
            settings = Settings.check(values)  # type: ignore[arg-type]
        except InputError as error:
            raise InputError(f"{' '.join(overrides)}: {error}") from None
        job = Job(overrides, Path(sweep["dir"], sweep["subdir"]), settings)
        require(
            job.folder not in jobs,
            f"hydra.sweep.subdir: {' '.join(overrides)} and {' '.join(jobs.get(job.folder, job).overrides)} would "
            f"share the folder {job.folder}; leave hydra.sweep.subdir as it is.",
        )
        jobs[job.folder] = job
    return list(jobs.values())


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0].rstrip('.')}"
