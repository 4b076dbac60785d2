"""A Hydra sweep, seen from where it was started: every job is checked first, and one progress bar shows them all."""

import shlex
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from ddpg.command_line import hints, mistakes
from ddpg.command_line.job import FAILURE_NAME, LOG_NAME
from ddpg.saving import checkpoint
from ddpg.training.loop import check_run
from ddpg.training.resume import finished
from ddpg.training.settings import Settings


@dataclass(frozen=True)
class Job:
    """One combination of a sweep's values: where its run goes, and what it trains."""

    folder: Path
    settings: Settings

    def finished(self) -> bool:
        """Return whether its results are there."""
        return finished(self.folder, self.settings)

    def failure(self) -> str:
        """Return why it failed; nothing if it did not."""
        path = self.folder / FAILURE_NAME
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    def steps_done(self) -> int:
        """Return the environment steps so far, as its checkpoints say."""
        if self.finished():
            return self.settings.total_steps
        return max(checkpoint.steps(self.folder), default=0)


class Sweep:
    """The jobs of a sweep, and a progress bar over all of them while they run, wherever that is."""

    def __init__(self, jobs: Sequence[Job], folder: Path) -> None:
        self.jobs = jobs
        self.folder = folder
        for job in jobs:
            (job.folder / FAILURE_NAME).unlink(missing_ok=True)
        parts = {"steps": "{n_fmt}/{total_fmt} steps", "failed": "", "done": ""}
        self._bar = Bar(
            f"{len(jobs)} run{'s' * (len(jobs) > 1)}",
            parts | {"left": "{remaining} left", "elapsed": "{elapsed} so far"},
            initial=sum(job.steps_done() for job in jobs),
            total=sum(job.settings.total_steps for job in jobs),
            unit="",
            unit_scale=True,
        )
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        over = False
        while not over:
            over = self._over.wait(1)
            failed = sum(bool(job.failure()) for job in self.jobs)
            self._bar.n = sum(job.steps_done() for job in self.jobs)
            self._bar.parts["failed"] = f"{failed} failed" if failed else ""
            self._bar.parts["done"] = f"{sum(job.finished() for job in self.jobs)} done"
            self._bar.update(0)

    def end(self, reason: str, status: int) -> None:
        """Close the bar and print how it went; if a run is missing, exit with the status, or with 1 instead of 0."""
        self._over.set()
        self._watcher.join()
        self._bar.close()
        missing = [job for job in self.jobs if not job.finished()]
        lines = [reason] * bool(reason) + [f"{len(self.jobs) - len(missing)} of {len(self.jobs)} runs are done."]
        if not missing:
            print(*lines, f"What they show: {hints.companion('compare')} {shlex.quote(shown(self.folder))}", sep="\n")
            return
        lines += [f"{shown(job.folder)}: {job.failure()}" for job in missing if job.failure()]
        if unreached := sum(not job.failure() for job in missing):
            lines.append(f"{unreached} did not get so far.")
        lines.append(f"The same command again does what is missing; {LOG_NAME} in each folder says more.")
        mistakes.end("\n".join(lines), status or 1)


_current: Sweep | None = None


def begin(config: DictConfig) -> None:
    """Check all jobs of the sweep before the first of them starts, and show from now on how far they are.

    Raises:
        InputError: if one of them cannot be trained, or two would share a folder.
    """
    global _current
    if not config.hydra.sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return  # one that chooses its jobs as it goes
    launcher, jobs = config.hydra.launcher, list(plan(config))
    first: dict[Path, Job] = {}
    for job in jobs:
        require(
            first.setdefault(job.folder, job) is job,
            f"hydra.sweep.subdir: two of the runs would share the folder {job.folder}; leave it as it is.",
        )
    at_once = min(joblib.effective_n_jobs(launcher.get("n_jobs", 1)), len(jobs))
    of_each = (job.settings for job in jobs)
    unlike = {
        str((each.env, each.buffer_size, each.agent.actor, each.agent.critic, each.warm_start)): each
        for each in of_each
    }
    for settings in unlike.values():
        check_run(settings, at_once)
    if launcher._target_.endswith((".BasicLauncher", ".JoblibLauncher", ".LocalLauncher")):
        for device in {job.settings.device for job in jobs}:
            usable_device(device)
    folder = Path(config.hydra.sweep.dir)
    if all(job.finished() for job in jobs):
        print(f"All {len(jobs)} runs are finished already, in {folder}.")
        sys.exit(0)
    _current = Sweep(jobs, folder)


def plan(config: DictConfig) -> Iterator[Job]:
    """Compose the jobs of Hydra's basic sweeper. Raises `InputError` if one of them is no run."""
    loader = GlobalHydra.instance().config_loader()
    swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*swept, *config.hydra.overrides.task])
    for number, overrides in enumerate(BasicSweeper.split_arguments(parsed, None)[0]):
        composed = loader.load_sweep_config(config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        values: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
        sweep = values.pop("hydra")["sweep"]
        require(values.pop("resume") is None, "resume: one run at a time; leave out -m (--multirun).")
        try:
            settings = Settings.check(values)
        except InputError as error:
            raise InputError(f"{' '.join(overrides)}: {error}") from None
        yield Job(Path(sweep["dir"], sweep["subdir"]), settings)


@contextmanager
def reported() -> Iterator[None]:
    """Say how a sweep within went, however it ended; exit with status 1 if a run is missing."""
    global _current
    reason, status = "", 0
    try:
        yield
    except KeyboardInterrupt:
        if _current is None:
            raise
        reason, status = "Interrupted; what a cluster has started may go on, end it there.", 130
    except Exception as error:  # whatever a launcher may raise
        if _current is None or isinstance(error, InputError | HydraException | OmegaConfBaseException):
            raise  # a mistake of the user's, before anything ran
        log = _current.folder / "launcher.log"
        log.write_text(traceback.format_exc())
        reason, status = f"The launcher has failed ({type(error).__name__}); {log} says why.", 1
    sweep, _current = _current, None
    if sweep is not None:
        sweep.end(reason, status)
