"""The command `ddpg-export`: a run's policy in a file that is used without this package."""

import argparse
from pathlib import Path

from ddpg.base.errors import InputError
from ddpg.command_line import mistakes
from ddpg.saving import checkpoint
from ddpg.training.resume import check_names, observations
from ddpg.training.run import load_agent
from ddpg.training.settings import AgentSettings, Settings
from ddpg.watching.exporting import export


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description="Write the policy of a run, without exploration, to a file that needs nothing of this package: "
        "observations (n, obs) to actions (n, act) in the environment's units, float32."
    )
    parser.add_argument("run", type=Path, help="a run's folder, or a checkpoint in it")
    parser.add_argument("file", type=Path, help="policy.onnx (ONNX) or policy.pt2 (torch.export)")
    mistakes.add_names(parser)
    arguments = parser.parse_intermixed_args()
    folder = arguments.run if arguments.run.is_dir() else arguments.run.parent.parent
    with mistakes.in_sentences(folder):
        content = checkpoint.load(arguments.run)
        settings = AgentSettings.check({})
        if "settings" in content:  # not so in what `agent.save` writes
            check_names(content["settings"], mistakes.names(arguments.names), ("agent.actor", "agent.critic"))
            settings = Settings.check(content["settings"]).agent
        agent = load_agent(content["agent"], settings)
        observed = observations(folder, content, agent)
        try:
            difference = export(agent, arguments.file, observed)
        except OSError as error:
            raise InputError(f"{arguments.file}: cannot be written ({error}).") from error
    print(
        f"{arguments.file}: over 1,000 random observations and {len(observed):,} of the replay buffer, its actions "
        f"are the agent's to {difference:.1e} of half the action range."
    )
