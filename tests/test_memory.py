import subprocess
import sys

from ddpg.memory import peak_memory

PROGRAM = """
import numpy, ddpg.memory
before = ddpg.memory.peak_memory()
taken = numpy.ones(25 * 2**20)
print(before, ddpg.memory.peak_memory())
"""


def test_the_peak_rises_by_what_is_taken():
    before, after = map(
        float, subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout.split()
    )
    assert 190 < after - before < 230
    assert peak_memory() > before / 2
