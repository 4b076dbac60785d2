"""How much memory there is, and how much a process has needed."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resource import struct_rusage  # which Windows does not have

# Of a container: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files, and its first version's.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def physical_memory() -> int:
    """Of this machine, or of the container if that may use less; in bytes."""
    if sys.platform == "win32":
        import psutil  # which elsewhere needs `resource` in its turn

        return int(psutil.virtual_memory().total)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            memory = min(memory, int(limit.read_text()))
    return memory


def peak_memory() -> float:
    """Of this process, in MiB."""
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
    """The peak memory of a process, or on Linux of its parent when it started it, if that was more."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
