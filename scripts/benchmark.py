"""How fast, and against what: `python scripts/benchmark.py PART`, `--help` for the parts."""

from ddpg.benchmark.main import main

if __name__ == "__main__":
    main()
