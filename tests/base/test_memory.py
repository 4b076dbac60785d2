import subprocess
import sys

import numpy as np
import psutil
import pytest
from conftest import ACTIONS
from gymnasium.spaces import Box

from ddpg import InputError
from ddpg.base import memory
from ddpg.base.memory import check_memory, peak_memory, physical_memory

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


@pytest.mark.parametrize(("dtype", "needed"), [(np.uint8, 2 * 36), (np.int16, 2 * 4 * 35), (np.float64, 2 * 4 * 35)])
def test_an_image_takes_a_byte_for_each_of_its_numbers(dtype, needed, monkeypatch):
    space = Box(0, 255, (5, 7), dtype)  # rounded up to whole float32 numbers
    monkeypatch.setattr(memory, "physical_memory", lambda: 1000 * (needed + 4 * (2 + 2)))
    check_memory(999, space, ACTIONS)
    with pytest.raises(InputError, match="buffer capacity 1000"):
        check_memory(1000, space, ACTIONS)


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
