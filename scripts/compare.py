"""Compare finished runs: `python scripts/compare.py runs/<…>`, `--help` for more."""

from ddpg.command_line import compare

if __name__ == "__main__":
    compare()
