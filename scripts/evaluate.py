"""Evaluate a run's policy, or watch it: `python scripts/evaluate.py <run folder> [--render]`."""

from ddpg.command_line import evaluate

if __name__ == "__main__":
    evaluate()
