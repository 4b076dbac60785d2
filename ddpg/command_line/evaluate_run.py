"""The command `ddpg-evaluate`: repeat a run's final evaluation, or watch its policy."""

import argparse
import os
import sys
from pathlib import Path

from ddpg.agent import DDPG
from ddpg.base.devices import usable_device
from ddpg.base.errors import FaultyEnvironmentError, InputError, require
from ddpg.base.progress import fleeting
from ddpg.command_line import hints, mistakes
from ddpg.environments import find_environment, make_environment
from ddpg.saving import agent_state
from ddpg.training.evaluation import evaluate
from ddpg.training.resume import run_content
from ddpg.training.settings import Settings


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description="Evaluate the policy of a run without exploration. Episode i starts from reset(seed=10000 + i).",
    )
    parser.add_argument("run", type=Path, help="a run's folder, or a checkpoint in it")
    parser.add_argument("--episodes", type=int, help="how many; as many as the run's final evaluation, 3 with --render")
    parser.add_argument("--render", action="store_true", help="watch the policy in a window")
    parser.add_argument("--device", default="cpu", help="where the policy is computed; cpu by default")
    parser.add_argument("--env", help="the environment, if it is of a module of yours: module:Name-v0")
    arguments = parser.parse_args()
    folder = arguments.run if arguments.run.is_dir() else arguments.run.parent.parent
    mistakes.plain_notes()
    with mistakes.in_sentences(folder):
        _evaluate(arguments, folder)


def _evaluate(arguments: argparse.Namespace, folder: Path) -> None:
    episodes = arguments.episodes if arguments.episodes is not None else 3 if arguments.render else FINAL_EPISODES
    require(episodes >= 1, f"--episodes {episodes}: must be 1 or more.")
    require(
        not arguments.render or sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()),
        "--render: there is no display to open a window on (DISPLAY is not set); leave it out, or log in with one.",
    )
    usable_device(arguments.device)
    content = run_content(arguments.run, arguments.env, "--env ")
    settings = Settings.check(content["settings"])
    env = settings.env
    env_id = arguments.env or env.id
    agent = agent_state.from_state_dict(content["agent"], DDPG, device=arguments.device)
    try:
        spec = find_environment(env_id)
    except InputError as error:
        error.args = (str(error).replace("env.id=", "--env "),)
        raise
    environment = make_environment(spec, env.kwargs, "human" if arguments.render else None)
    try:
        environment.freeze(content["training"]["statistics"])
        bar = fleeting(range(episodes), "evaluation", " episodes")
        evaluation = evaluate(agent, environment, bar, settings.evaluation.max_episode_steps)
    except FaultyEnvironmentError as error:
        hint = " A window needs a display." if arguments.render else ""
        mistakes.end(f"{mistakes.with_traceback(error, folder)}{hint}", status=1)
    finally:
        environment.close()
    print(hints.summary(env_id, content["training"]["step"], evaluation))
