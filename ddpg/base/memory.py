"""How much memory there is, whether replay buffers fit into it, and how much a process has needed."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gymnasium.spaces import Box

from ddpg.base.errors import require
from ddpg.base.spaces import size, stored_size

if TYPE_CHECKING:
    from resource import struct_rusage  # which Windows does not have

# Of a container: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files, and its first version's.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def physical_memory() -> int:
    """Return the memory of this machine, or of the container if that may use less, in bytes."""
    if sys.platform == "win32":
        import psutil  # which elsewhere needs `resource` in its turn

        return int(psutil.virtual_memory().total)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            memory = min(memory, int(limit.read_text()))
    return memory


def check_memory(capacity: int, observation_space: Box, action_space: Box, count: int = 1, others: int = 0) -> None:
    """Raise `InputError` if replay buffers do not fit into the memory.

    Args:
        capacity: transitions that each holds, as float32; observations of a uint8 space a byte an element.
        observation_space, action_space: of the transitions.
        count: number of buffers.
        others: bytes that other buffers take.
    """
    needed = count * capacity * 4 * (2 * stored_size(observation_space) + size(action_space) + 2)
    together = f"{f'{count} buffers together need' if count > 1 else 'needs'} {needed / 1e9:,.1f} GB"
    beside = f" beside the {others / 1e9:,.1f} GB of others" if others else ""
    memory = physical_memory()
    require(
        needed + others < memory,
        f"buffer capacity {capacity} (buffer_size): {together}{beside}, more than the {memory / 1e9:,.1f} GB "
        f"there are; lower it{', or delete the others first' if others else ''}.",
    )


def peak_memory() -> float:
    """Return the most memory that this process has occupied, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where rusage would count what the parent occupied when it started this process
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 2**10
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / 2**20)
    from resource import RUSAGE_SELF, getrusage

    return mebibytes(getrusage(RUSAGE_SELF))


def mebibytes(usage: "struct_rusage") -> float:
    """Return the peak memory of a process in MiB; on Linux that of its parent when it started it, if that was more."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
