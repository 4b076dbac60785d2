"""Export a run's policy: `python scripts/export.py <run folder> policy.onnx`."""

from ddpg.command_line import export

if __name__ == "__main__":
    export()
