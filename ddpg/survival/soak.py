"""A long run, watched: does it hold on to memory or file handles, or slow down?"""

import os
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ddpg.survival.runs import run_settings
from ddpg.training.loop import Training

OVERRIDES = (
    "agent.hidden_sizes=[32,32]",
    "batch_size=32",
    "buffer_size=200000",  # full after a fifth
    "evaluation.interval=50000",
    "evaluation.episodes=5",
    "checkpoint.interval=10000",
    "log_interval=1000",
    "threads=1",
)
INTERVAL = 2.0  # seconds between two looks


class Look(NamedTuple):
    """At a process, at one moment."""

    seconds: float
    step: int
    memory_mib: float
    """resident"""
    handles: int
    """open files, sockets and the like"""
    threads: int


def soak(folder: Path, total_steps: int) -> list[Look]:
    """Train for so many environment steps in this process, and look at it every other second."""
    training = Training(run_settings(*OVERRIDES, f"total_steps={total_steps}"), folder)
    looks: list[Look] = []
    done = threading.Event()
    started = time.monotonic()

    def watch() -> None:
        page = os.sysconf("SC_PAGE_SIZE") / 2**20
        while not done.wait(INTERVAL):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            handles = len(os.listdir("/proc/self/fd")) - 1  # without that of the listing
            looks.append(
                Look(time.monotonic() - started, training.step, resident, handles, threading.active_count() - 1)
            )

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        training.run()
    finally:
        done.set()
        watcher.join()
        training.close()
    return looks


class Verdict(NamedTuple):
    """The run after its buffer is full, in fifths of it: the first against the last."""

    memory_mib: tuple[float, float]
    handles: tuple[int, int]
    """least and most"""
    steps_per_second: tuple[float, float]
    """medians"""


def judge(looks: list[Look], full: int) -> Verdict:
    """What the looks since step `full` show."""
    after = [look for look in looks if look.step >= full]
    steps, seconds = (np.array([getattr(look, name) for look in after]) for name in ("step", "seconds"))
    speeds = np.diff(steps) / np.diff(seconds)
    fifth = max(1, len(speeds) // 5)
    memory = [look.memory_mib for look in after]
    return Verdict(
        (float(np.median(memory[:fifth])), float(np.median(memory[-fifth:]))),
        (min(look.handles for look in after), max(look.handles for look in after)),
        (float(np.median(speeds[:fifth])), float(np.median(speeds[-fifth:]))),
    )


def draw(looks: list[Look], full: int) -> Figure:
    """Memory, handles and speed over the environment steps; `full` is where the buffer is."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    axes: Any = figure.subplots(4, 1, sharex=True)
    steps = [look.step for look in looks]
    panels: list[tuple[str, list[float]]] = [
        ("resident memory, MiB", [look.memory_mib for look in looks]),
        ("open file handles", [look.handles for look in looks]),
        ("threads", [look.threads for look in looks]),
    ]
    for axis, (title, values) in zip(axes, panels, strict=False):
        axis.plot(steps, values)
        axis.set_ylabel(title)
        axis.set_ylim(0, 1.15 * max(values))
    speed = np.diff(steps) / np.diff([look.seconds for look in looks])
    axes[3].plot(steps[1:], speed, ".", markersize=2)
    axes[3].set_ylabel("steps a second")
    axes[3].set_ylim(0, 1.15 * max(speed))
    axes[3].set_xlabel("environment step")
    for axis in axes:
        axis.axvline(full, color="grey", linestyle=":", linewidth=1)
    axes[0].text(full, 0, " replay buffer full", va="bottom", color="grey")
    return figure
