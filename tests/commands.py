"""The commands, called as a person types them."""

import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from ddpg.command_line import evaluate_run, export_policy
from ddpg.command_line import main as command_line

SMALL = [
    "total_steps=120",
    "learning_starts=50",
    "batch_size=16",
    "agent.hidden_sizes=[8]",
    "log_interval=20",
    "evaluation.interval=60",
    "evaluation.episodes=1",
    "evaluation.final_episodes=5",
    "env.kwargs={max_episode_steps: 20}",
]
SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder; gives status, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def call(program, *arguments):
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        GlobalHydra.instance().clear()
        status = 0
        try:
            programs = {
                "train.py": command_line.train,
                "evaluate.py": evaluate_run.main,
                "export.py": export_policy.main,
            }
            programs[program]()
        except SystemExit as ended:
            status = ended.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return call


def runs(folder):
    return sorted(path.parent for path in folder.glob("runs/**/result.json"))
