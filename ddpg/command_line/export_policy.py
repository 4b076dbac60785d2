"""The command `ddpg-export`: a run's policy in a file that is used without this package."""

import argparse
from pathlib import Path

from ddpg.agent import DDPG
from ddpg.base.errors import InputError
from ddpg.command_line import mistakes
from ddpg.saving import agent_state, checkpoint
from ddpg.training.resume import observations
from ddpg.watching.exporting import export


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description="Write the policy of a run, without exploration, to a file that needs nothing of this package: "
        "observations (n, obs) to actions (n, act) in the environment's units, float32."
    )
    parser.add_argument("run", type=Path, help="a run's folder, or a checkpoint in it")
    parser.add_argument("file", type=Path, help="policy.onnx (ONNX) or policy.pt2 (torch.export)")
    arguments = parser.parse_args()
    folder = arguments.run if arguments.run.is_dir() else arguments.run.parent.parent
    with mistakes.in_sentences(folder):
        content = checkpoint.load(arguments.run)
        agent = agent_state.from_state_dict(content["agent"], DDPG)
        observed = observations(folder, content, agent)
        try:
            difference = export(agent, arguments.file, observed)
        except OSError as error:
            raise InputError(f"{arguments.file}: cannot be written ({error}).") from error
    print(
        f"{arguments.file}: over 1,000 random observations and {len(observed):,} of the replay buffer, its actions "
        f"are the agent's to {difference:.1e} of half the action range."
    )
