"""How fast, and against what: `python scripts/benchmark.py PART`, `--help` for the parts."""

from ddpg.command_line import benchmark

if __name__ == "__main__":
    benchmark()
