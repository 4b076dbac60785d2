"""Runs in processes that can be killed, and all that is compared of two of them."""

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from ddpg.saving import checkpoint
from ddpg.saving.transition_log import TransitionLog
from ddpg.training.run import RESULT_NAME

_QUIETLY = "ignore:resource_tracker"


def start(arguments: Sequence[str], folder: Path) -> BaseProcess:
    """`scripts/train.py` with these arguments, in a process of its own that works in the folder.

    What it prints goes to `train.log` there. The process is forked from one that has everything imported, since a run
    that is killed fifty times starts fifty times.
    """
    # Semaphores of a process that is killed are cleaned up at the end, which need not be said.
    if _QUIETLY not in sys.warnoptions:
        sys.warnoptions.append(_QUIETLY)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ddpg.command_line.main"])
    folder.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=_train, args=(list(arguments), str(folder)))
    process.start()
    return process


def _train(arguments: list[str], folder: str) -> None:
    from ddpg.command_line import main as command_line

    os.chdir(folder)
    with open("train.log", "ab") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    sys.argv = ["train.py", *arguments]
    command_line.train()


def finish(arguments: Sequence[str], folder: Path) -> None:
    """The same, to its end. Raises `RuntimeError` with what it printed if it does not end well."""
    process = start(arguments, folder)
    process.join()
    if process.exitcode != 0:
        said = (folder / "train.log").read_text(errors="replace")[-1000:]
        raise RuntimeError(f"{' '.join(arguments)}: exit status {process.exitcode}\n{said}")


def outcome(run: Path) -> dict[str, Any]:
    """Everything that a run came to, but for times: equal for equal runs, bit for bit."""
    result = json.loads((run / RESULT_NAME).read_text())
    content = checkpoint.load(run)
    training = content["training"]
    buffer = hashlib.sha256()
    oldest = max(0, training["buffer"]["added"] - content["settings"]["buffer_size"])
    for rows in TransitionLog(run, training["parts"]).read(oldest):
        buffer.update(rows.numpy().tobytes())
    generators = [training["buffer"]["generator"].tolist(), training["generator"], content["agent"]["generator"]]
    return {
        "weights": result["weights_digest"],
        "optimizers": digest([content["agent"]["critic_optimizer"], content["agent"]["actor_optimizer"]]),
        "buffer": buffer.hexdigest(),
        "generators": digest(generators),
        "environments": digest(training["collector"]),
        "final evaluation": (result["returns"], result["lengths"], result["q_bias"]),
        "curves": curves(run),
    }


def curves(run: Path) -> list[tuple[str, int, float]]:
    """Every point that TensorBoard shows, as tag, step and value; those of `time/` aside."""
    events = EventAccumulator(str(run), size_guidance={SCALARS: 0}).Reload()
    tags = [tag for tag in events.Tags()[SCALARS] if not tag.startswith("time/")]
    return [(tag, event.step, event.value) for tag in sorted(tags) for event in events.Scalars(tag)]


def digest(values: Any) -> str:
    """SHA-256 of plain data and tensors."""

    def plain(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    return hashlib.sha256(json.dumps(values, default=plain, sort_keys=True).encode()).hexdigest()
