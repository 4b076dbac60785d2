"""The command `ddpg-evaluate`: repeat a run's final evaluation, or watch its policy."""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ddpg.base.devices import usable_device
from ddpg.base.errors import FaultyEnvironmentError, require
from ddpg.base.progress import fleeting
from ddpg.command_line import hints, mistakes
from ddpg.environments import find_environment, make_environment, with_others
from ddpg.training.evaluation import ROWS, evaluate
from ddpg.training.resume import observations, run_content
from ddpg.training.run import load_agent
from ddpg.training.settings import Settings
from ddpg.watching.landscape import drawable, landscape
from ddpg.watching.video import has_display, mp4, renderable


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description="Evaluate the policy of a run without exploration. Episode i starts from reset(seed=10000 + i).",
    )
    parser.add_argument("run", type=Path, help="a run's folder, or a checkpoint in it")
    parser.add_argument("--episodes", type=int, help="how many; as many as the run's final evaluation, 3 to watch")
    watching = parser.add_mutually_exclusive_group()
    watching.add_argument("--render", action="store_true", help="watch the policy in a window")
    watching.add_argument("--video", type=Path, metavar="MP4", help="film the episodes; needs no display")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw values and actions, and the last episode")
    parser.add_argument("--device", default="cpu", help="where the policy is computed; cpu by default")
    parser.add_argument("--env", help="the environment, if it is of a module of yours: module:Name-v0")
    mistakes.add_names(parser)
    arguments = parser.parse_intermixed_args()
    folder = arguments.run if arguments.run.is_dir() else arguments.run.parent.parent
    mistakes.plain_notes()
    with mistakes.in_sentences(folder):
        _evaluate(arguments, folder)


def _evaluate(arguments: argparse.Namespace, folder: Path) -> None:
    episodes = arguments.episodes
    require(episodes is None or episodes >= 1, f"--episodes {episodes}: must be 1 or more.")
    require(
        not arguments.render or has_display(),
        "--render: there is no display to open a window on (DISPLAY is not set); leave it out, or log in with one.",
    )
    for option, path, suffix in (("--video", arguments.video, ".mp4"), ("--picture", arguments.picture, ".png")):
        there = path is None or (path.suffix == suffix and path.parent.is_dir())
        require(there, f"{option} {path}: must end in {suffix}, in a folder that is there.")
    usable_device(arguments.device)
    typed = mistakes.names(arguments.names) | ({"env.id": arguments.env} if arguments.env else {})
    content = run_content(arguments.run, typed)
    settings = Settings.check(content["settings"])
    env = settings.env
    episodes = episodes or (3 if arguments.render or arguments.video else settings.evaluation.final_episodes)
    env_id = typed.get("env.id", env.id)
    agent = load_agent(content["agent"], settings.agent, arguments.device)
    space = agent.observation_space
    drawn = arguments.picture is None or drawable(space)
    require(drawn, f"--picture: needs observations of two or three dimensions; these are of shape {space.shape}.")
    spec = find_environment(env_id)
    mode = "human" if arguments.render else None
    environment = (
        renderable(spec, env.kwargs, env.wrappers)
        if arguments.video
        else make_environment(spec, env.kwargs, mode, env.wrappers)
    )
    several = [environment]
    if not (arguments.render or arguments.video or arguments.picture or settings.evaluation.shared):
        make = partial(make_environment, spec, env.kwargs, wrappers=env.wrappers)
        several = with_others(environment, make, min(ROWS, episodes))
    video = mp4(environment, arguments.video) if arguments.video else None
    trajectory: list[np.ndarray] = []

    def numbers() -> Iterator[int]:
        for episode in fleeting(range(episodes), "evaluation", " episodes"):
            trajectory.clear()
            yield episode

    def see(observation: np.ndarray) -> None:
        trajectory.append(np.array(observation).ravel())
        if video is not None:
            video.send(np.asarray(environment.render()).tobytes())

    try:
        for each in several:
            each.freeze(content["training"]["statistics"])
        evaluation = evaluate(agent, several, numbers(), settings.evaluation.max_episode_steps, see)
        if video is not None:
            video.close()
        if arguments.picture:
            observed = observations(folder, content, agent)
            landscape(agent, observed, np.stack(trajectory)).savefig(arguments.picture)
    except OSError as error:
        mistakes.end(
            f"{arguments.video or arguments.picture}: cannot be written ({str(error).splitlines()[0]}).", status=2
        )
    except FaultyEnvironmentError as error:
        hint = " A window needs a display." if arguments.render else ""
        mistakes.end(f"{mistakes.with_traceback(error, folder)}{hint}", status=1)
    finally:
        for each in several:
            each.close()
    print(hints.summary(env_id, content["training"]["step"], evaluation))
