"""How much memory there is, and how much a process has needed."""

import os
import resource
import sys
from pathlib import Path


def physical_memory() -> int:
    """Of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_memory() -> float:
    """Of this process, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where rusage would count what the parent occupied when it started this process
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 2**10
    return mebibytes(resource.getrusage(resource.RUSAGE_SELF))


def mebibytes(usage: resource.struct_rusage) -> float:
    """The peak memory of a process, or on Linux of its parent when it started it, if that was more."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
