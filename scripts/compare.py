"""Compare finished runs: `python scripts/compare.py runs/<…>`, `--help` for more."""

from ddpg.comparison.command import main

if __name__ == "__main__":
    main()
