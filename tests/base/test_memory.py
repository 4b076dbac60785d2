import subprocess
import sys

import psutil
import pytest

from ddpg.base import memory
from ddpg.base.memory import peak_memory, physical_memory

PROGRAM = """
import numpy, ddpg.base.memory
before = ddpg.base.memory.peak_memory()
taken = numpy.ones(25 * 2**20)
print(before, ddpg.base.memory.peak_memory())
"""


def test_the_peak_rises_by_what_is_taken():
    before, after = map(
        float, subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout.split()
    )
    assert 190 < after - before < 230
    assert peak_memory() > before / 2


@pytest.mark.parametrize(("limit", "expected"), [("1048576", 2**20), ("max", None), (str(2**63), None), (None, None)])
def test_a_container_may_have_less_memory_than_the_machine(limit, expected, tmp_path, monkeypatch):
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(f"{limit}\n")
    monkeypatch.setattr(memory, "_LIMITS", (tmp_path / "none", path))
    assert physical_memory() == (expected or psutil.virtual_memory().total)


MODULES = """
import importlib, pkgutil, psutil, sys  # psutil is for all systems, and needs `resource` on those that have it
for name in ("resource", "fcntl", "termios", "pwd", "grp"):
    sys.modules[name] = None
import ddpg
for module in pkgutil.walk_packages(ddpg.__path__, "ddpg."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import ddpg.base.memory
print(ddpg.base.memory.physical_memory())
"""


def test_no_module_needs_what_only_some_systems_have():
    """Windows has none of these modules."""
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2**20
