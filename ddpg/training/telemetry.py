"""What a run shows: TensorBoard's curves, charts and table of runs, and a progress bar."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import yaml
from torch import Tensor
from torch.utils.tensorboard._utils import figure_to_image
from torch.utils.tensorboard.summary import custom_scalars, hparams, image, scalar, text
from tqdm import tqdm

from ddpg.agent import DDPG
from ddpg.base.progress import Bar
from ddpg.gradient_flow import GradientFlow
from ddpg.saving.events import EventFile
from ddpg.training.evaluation import Evaluation
from ddpg.training.settings import flat

# The target critic is in neither optimizer, and the target actor not in the actor's, under any option.
_SHOWN = {"critic_loss": ("actor", "target_actor", "critic"), "actor_loss": ("actor", "critic")}


# TensorBoard's custom scalars: the runs of all strategies in one chart each, by regular expressions over the tags.
_CHARTS = {
    "returns": {
        "evaluations": ["eval/mean_return"],
        "training episodes": ["rollout/episode_return"],
    },
    "leaks: the gradient that a step applied to the other network (empty: to none)": {
        "the critic's loss to the actors": ["leaks/critic_loss_to_(target_)?actor"],
        "the actor's loss to the critic": ["leaks/actor_loss_to_critic"],
    },
    "what a leak does to the values": {
        "mean Q": ["values/q_mean"],
        "Q at the start of an evaluation above what followed": ["eval/q_bias"],
        "from actor to target actor": ["values/target_actor_gap"],
    },
}

# What a step applies to another network than the loss's own.
_LEAKS = ("critic_loss_to_actor", "critic_loss_to_target_actor", "actor_loss_to_critic")

_LOSSES = {DDPG.update_critic.__name__: "critic_loss", DDPG.update_actor.__name__: "actor_loss"}


def applied_gradients(flow: GradientFlow) -> dict[str, float]:
    """The norm of the gradient that each loss's latest step applied to each module, after the stop or freeze.

    `flow` is an audit of an agent's `modules()` around one update or more.
    """
    return {
        f"gradient_flow/{loss}_to_{name}": step.applied.get(name, 0.0)
        for step in flow.steps
        for loss in [_LOSSES[step.place.function]]
        for name in _SHOWN[loss]
    }


def target_actor_gap(agent: DDPG, observations: Tensor) -> Tensor:
    """Return `mean |μ'(s) − μ(s)|` over observations `(B, obs)`, a 0-d tensor."""
    with torch.no_grad():
        gap: Tensor = (agent.target_actor(observations) - agent.actor(observations)).abs().mean()
    return gap


class Telemetry:
    """TensorBoard events under the project's tags, the x axis in environment steps, and a progress bar.

    Args:
        folder: of the run.
        title: what the bar begins with.
        total_steps: environment steps of the whole run.
        first_step: where this process takes the run up.
        events: size and SHA-256 of the event file then.
        shown: whether there is a bar.
    """

    def __init__(
        self,
        folder: Path,
        title: str,
        total_steps: int,
        first_step: int = 0,
        events: tuple[int, str] = (0, ""),
        shown: bool = True,
    ) -> None:
        self.events = EventFile(folder, *events)
        self._full = False
        parts = {"steps": "{n_fmt}/{total_fmt}", "left": "{remaining} left", "speed": "{rate_noinv_fmt}"}
        self._bar = Bar(
            title,
            parts | {"return": "", "critic": "", "actor": ""},
            shown,
            total=total_steps,
            initial=first_step,
            unit="",
        )
        self._clock = time.perf_counter()
        self._clock_step = first_step

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()
        self._written(self.events.flush)

    def describe(self, settings: Mapping[str, Any]) -> None:
        """The run's settings, as a text and as a row of TensorBoard's HParams; and which curves share a chart."""
        self._add(text("settings", f"```yaml\n{yaml.safe_dump(settings, sort_keys=False)}\n```"))
        values = {key: "null" if value is None else value for key, value in flat(settings).items()}
        # Without `hparams`' first summary, the experiment: from the runs themselves TensorBoard finds what differs.
        self._add(hparams(values, {})[1])
        charts = {
            title: {chart: ["Multiline", tags] for chart, tags in charts.items()} for title, charts in _CHARTS.items()
        }
        self._add(custom_scalars(charts))

    def advance(self, count: int) -> None:
        """`count` environment steps are done."""
        self._bar.update(count)

    def episode(self, step: int, episode_return: float, length: float) -> None:
        """A training episode has ended."""
        self._scalars(step, {"rollout/episode_return": episode_return, "rollout/episode_length": length})
        self._show("return", episode_return)

    def update(self, step: int, measurements: Mapping[str, Tensor | float]) -> dict[str, float]:
        """An update's measurements, as numbers, and the speed since the last call."""
        numbers = {tag: float(value) for tag, value in measurements.items()}
        seconds = time.perf_counter() - self._clock
        speed = {"time/steps_per_second": (step - self._clock_step) / seconds} if step > self._clock_step else {}
        # Curves of their own: among the zeros of sound runs TensorBoard takes a leak for outliers, and cuts it off.
        flows = {f"leaks/{leak}": numbers.get(f"gradient_flow/{leak}", 0.0) for leak in _LEAKS}
        leaks = {tag: norm for tag, norm in flows.items() if norm != 0}
        self._scalars(step, numbers | leaks | speed)
        self._show("critic", numbers["losses/critic"])
        self._show("actor", numbers["losses/actor"])
        self._clock, self._clock_step = time.perf_counter(), step
        return numbers

    def audit(self, step: int, flow: GradientFlow) -> None:
        """A traced audit of one update: its report on the terminal, report and pictures in TensorBoard."""
        started = time.perf_counter()
        tqdm.write(f"\nAudit of one update, step {step}\n\n{flow}\n")
        self._add(text("audit", f"```\n{flow}\n```"), step)
        for update in ("update_critic", "update_actor"):
            self._add(image(f"audit/{update}", figure_to_image(flow.figure(by=update)), dataformats="CHW"), step)
        self._clock += time.perf_counter() - started

    def evaluation(self, step: int, evaluation: Evaluation) -> None:
        """An evaluation between the steps."""
        self._scalars(step, {"eval/mean_return": float(evaluation.returns.mean()), "eval/q_bias": evaluation.q_bias})

    def final_evaluation(self, step: int, evaluation: Evaluation) -> None:
        """The last one, with which the run has succeeded."""
        self._scalars(step, {"eval/final_return": float(evaluation.returns.mean())})
        self._add(hparams({}, {})[2])

    def pause(self, seconds: float) -> None:
        """So much of the time since the last update was no training."""
        self._clock += seconds

    def close_bar(self) -> None:
        """The environment steps are all done."""
        self._bar.close()

    def take_bar(self, other: Self) -> None:
        """Go on with the progress bar of another run, which has ended."""
        self._bar, other._bar = other._bar, self._bar

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            self._add(scalar(tag, value), step)

    def _add(self, summary: Any, step: int = 0) -> None:
        self._written(lambda: self.events.add(summary, step))

    def _written(self, write: Callable[[], None]) -> None:
        """Write; if the disk takes nothing, say so the first time: the events wait in memory."""
        try:
            write()
        except OSError as error:
            if not self._full:
                tqdm.write(f"{error}: the curves cannot be written; they wait in memory.", file=sys.stderr)
            self._full = True
        else:
            self._full = False

    def _show(self, name: str, value: float) -> None:
        self._bar.parts[name] = f"{name} {value:.3g}"
