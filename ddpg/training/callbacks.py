"""Callbacks: what a caller of `ddpg.train` does while the training is under way."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from ddpg.base.errors import real
from ddpg.environments import Transitions
from ddpg.saving import files
from ddpg.training.evaluation import Evaluation
from ddpg.training.run import Run


class Callback:
    """Base of the callbacks: override what you want to hear of.

    True from any method ends the training after the step under way, in the ordinary way: checkpoint,
    final evaluation, result.
    """

    def hears(self, event: str) -> bool:
        """Return whether the method of this name is overridden."""
        method = getattr(self, event)
        return getattr(method, "__func__", method) is not getattr(Callback, event)

    def on_start(self, run: Run) -> bool | None:
        """Training begins, or goes on from the checkpoint of `run.step`."""

    def on_step(self, run: Run, transitions: Transitions) -> bool | None:
        """A step has been taken in every environment, and the transitions stored."""

    def on_episode(self, run: Run, returns: np.ndarray) -> bool | None:
        """Training episodes have ended with these returns, `(n,)`; with several environments there may be several."""

    def on_update(self, run: Run, measurements: Mapping[str, Tensor]) -> bool | None:
        """A gradient step has been taken; the measurements are those of `DDPG.update`, and hold until the next."""

    def on_evaluation(self, run: Run, evaluation: Evaluation) -> bool | None:
        """An evaluation between the steps, each `evaluation.interval`; the final one is `run.evaluation`."""


def stop_at(mean_return: float) -> Callback:
    """Return a callback that ends the training after the first evaluation with this mean return or a greater one."""
    least = real("mean_return", mean_return)

    class StopAt(Callback):
        def on_evaluation(self, run: Run, evaluation: Evaluation) -> bool:
            return bool(evaluation.returns.mean() >= least)

    return StopAt()


_COLUMNS = {"episodes.csv": "step,return", "evaluations.csv": "step,mean_return,std_return,q_bias"}


class CSVLog(Callback):
    """Writes `episodes.csv` and `evaluations.csv` to the run's folder; a resumed run's are those of an unbroken one."""

    def on_start(self, run: Run) -> None:
        for name, columns in _COLUMNS.items():
            path = run.folder / name
            lines = path.read_text().splitlines(keepends=True)[1:] if path.exists() else []
            # A process that broke off may have written rows beyond the checkpoint, and half a row.
            kept = [line for line in lines if line.endswith("\n") and int(line.partition(",")[0]) <= run.step]
            files.write(path, "".join([f"{columns}\n", *kept]).encode())

    def on_episode(self, run: Run, returns: np.ndarray) -> None:
        with (run.folder / "episodes.csv").open("a") as file:
            file.writelines(f"{run.step},{each}\n" for each in returns.tolist())

    def on_evaluation(self, run: Run, evaluation: Evaluation) -> None:
        returns = evaluation.returns
        with (run.folder / "evaluations.csv").open("a") as file:
            file.write(f"{run.step},{returns.mean()},{returns.std()},{evaluation.q_bias}\n")
