"""TensorBoard's curves, charts and table of runs, and a progress bar."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
import yaml
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from tqdm import tqdm

from ddpg.agent import DDPG
from ddpg.base.progress import Bar
from ddpg.gradient_flow import GradientFlow
from ddpg.training.evaluation import Evaluation
from ddpg.training.settings import flat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

_FINAL = ".final"  # ending of the event file that holds what follows the last checkpoint


def applied_gradients(agent: DDPG, loss: str) -> dict[str, float]:
    """Return the norm of the gradient that the loss's latest step applied to each module, after the stop or freeze.

    Args:
        agent: has just updated the network of this loss; its gradients are still there.
        loss: `critic_loss` or `actor_loss`.
    """
    optimizer = agent.critic_optimizer if loss == "critic_loss" else agent.actor_optimizer
    held = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    applied = {
        name: [each.grad for each in module.parameters() if each in held and each.grad is not None]
        for name, module in agent.modules().items()
    }
    return {f"gradient_flow/{loss}_to_{name}": float(get_total_norm(applied[name])) for name in _SHOWN[loss]}


def target_actor_gap(agent: DDPG, observations: Tensor) -> Tensor:
    """Return `mean |μ'(s) − μ(s)|` over observations `(B, obs)`, a 0-d tensor."""
    with torch.no_grad():
        gap: Tensor = (agent.target_actor(observations) - agent.actor(observations)).abs().mean()
    return gap


class Telemetry:
    """TensorBoard events under the project's tags, the x axis in environment steps, and a progress bar.

    Where the disk takes no events, training goes on: the curves have a gap until the next `flush`.

    Args:
        folder: the run's folder.
        title: first word of the bar.
        total_steps: environment steps of the whole run.
        first_step: step of the checkpoint that this process goes on from. Points beyond it, of a process that broke
            off, no longer show in TensorBoard.
    """

    def __init__(self, folder: Path, title: str, total_steps: int, first_step: int = 0) -> None:
        self._folder = folder
        self._suffix = ""
        self._purge_step: int | None = first_step + 1 if first_step else 0
        for path in folder.glob(f"events.*{_FINAL}"):
            path.unlink()
        self._writer: SummaryWriter | None = None
        self._open()
        parts = {"steps": "{n_fmt}/{total_fmt}", "left": "{remaining} left", "speed": "{rate_noinv_fmt}"}
        self._bar = Bar(
            title,
            parts | {"return": "", "critic": "", "actor": ""},
            total=total_steps,
            initial=first_step,
            unit="",
        )
        self._clock = time.perf_counter()
        self._clock_step = first_step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        self._write(SummaryWriter.close)

    def _open(self) -> None:
        try:
            self._writer = SummaryWriter(str(self._folder), purge_step=self._purge_step, filename_suffix=self._suffix)
            self._purge_step = None
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._writer = None
        tqdm.write(f"{error}: the curves cannot be written; the next checkpoint tries again.", file=sys.stderr)

    def _write(self, write: Callable[[SummaryWriter], object]) -> None:
        if self._writer is None:
            return
        try:
            write(self._writer)
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Wait until all events are in the file; after a gap, begin another."""
        if self._writer is None:
            self._open()
        self._write(SummaryWriter.flush)

    def steps_done(self) -> None:
        """Put what follows the last checkpoint into a file of its own, which a run that is extended deletes."""
        self._bar.close()
        self._write(SummaryWriter.close)
        self._suffix = _FINAL
        self._open()

    def describe(self, settings: Mapping[str, Any]) -> None:
        """Write the settings, as a text and as a row of TensorBoard's HParams, and which curves share a chart."""
        values = {key: "null" if value is None else value for key, value in flat(settings).items()}
        # Without `hparams`' first summary, the experiment: from the runs themselves TensorBoard finds what differs.
        start = hparams(values, {})[1]
        charts = {
            title: {chart: ["Multiline", tags] for chart, tags in charts.items()} for title, charts in _CHARTS.items()
        }
        self._write(lambda to: to.add_text("settings", f"```yaml\n{yaml.safe_dump(settings, sort_keys=False)}\n```"))
        self._write(lambda to: to.file_writer.add_summary(start, 0))  # type: ignore[attr-defined]
        self._write(lambda to: to.add_custom_scalars(charts))

    def advance(self, count: int) -> None:
        """Move the bar by `count` environment steps."""
        self._bar.update(count)

    def episode(self, step: int, episode_return: float, length: float) -> None:
        """Write the return and length of a training episode that has ended."""
        self._scalars(step, {"rollout/episode_return": episode_return, "rollout/episode_length": length})
        self._show("return", episode_return)

    def update(self, step: int, measurements: Mapping[str, Tensor | float]) -> None:
        """Write an update's measurements, and the speed since the last call."""
        numbers = {tag: float(value) for tag, value in measurements.items()}
        seconds = time.perf_counter() - self._clock
        speed = {"time/steps_per_second": (step - self._clock_step) / seconds} if step > self._clock_step else {}
        # Curves of their own: among the zeros of sound runs TensorBoard takes a leak for outliers, and cuts it off.
        flows = {f"leaks/{leak}": numbers.get(f"gradient_flow/{leak}", 0.0) for leak in _LEAKS}
        leaks = {tag: norm for tag, norm in flows.items() if norm != 0}
        self._scalars(step, numbers | leaks | speed)
        self._show("critic", numbers["losses/critic"])
        self._show("actor", numbers.get("losses/actor", float("nan")))
        self._clock, self._clock_step = time.perf_counter(), step

    def audit(self, step: int, flow: GradientFlow) -> None:
        """Print the report of a traced audit of one update; write report and pictures to TensorBoard."""
        started = time.perf_counter()
        tqdm.write(f"\nAudit of one update, step {step}\n\n{flow}\n")
        self._write(lambda to: to.add_text("audit", f"```\n{flow}\n```", step))
        self._write(lambda to: to.add_figure("audit/update_critic", flow.figure(by="update_critic"), step))
        self._write(lambda to: to.add_figure("audit/update_actor", flow.figure(by="update_actor"), step))
        self._clock += time.perf_counter() - started

    def evaluation(self, step: int, evaluation: Evaluation) -> None:
        """Write an evaluation between the steps."""
        self._scalars(step, {"eval/mean_return": float(evaluation.returns.mean()), "eval/q_bias": evaluation.q_bias})

    def final_evaluation(self, step: int, evaluation: Evaluation) -> None:
        """Write the final evaluation, with which the run has succeeded."""
        self._scalars(step, {"eval/final_return": float(evaluation.returns.mean())})
        self._write(lambda to: to.file_writer.add_summary(hparams({}, {})[2], step))  # type: ignore[attr-defined]

    def video(self, step: int, gif: bytes, width: int, height: int) -> None:
        """Write an animated GIF, which TensorBoard plays among the images."""
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=gif)
        summary = Summary(value=[Summary.Value(tag="policy/video", image=image)])
        self._write(lambda to: to.file_writer.add_summary(summary, step))  # type: ignore[attr-defined]

    def picture(self, step: int, figure: "Figure") -> None:
        """Write the picture of values and actions over the state space."""
        self._write(lambda to: to.add_figure("policy/value_and_policy", figure, step))

    def pause(self, seconds: float) -> None:
        """Leave these seconds out of the speed."""
        self._clock += seconds

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        def write(to: SummaryWriter) -> None:
            for tag, value in values.items():
                to.add_scalar(tag, value, step)

        self._write(write)

    def _show(self, name: str, value: float) -> None:
        self._bar.parts[name] = f"{name} {value:.3g}"
