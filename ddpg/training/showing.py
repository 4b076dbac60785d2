"""What TensorBoard shows of a policy: an episode as a video, and values and actions as a picture."""

import time
from collections.abc import Callable

import numpy as np
from PIL.Image import Image

from ddpg.environments import CheckedEnvironment
from ddpg.training.evaluation import evaluate
from ddpg.training.run import Run
from ddpg.watching.landscape import drawable, landscape
from ddpg.watching.video import gif, thumbnail


def show(run: Run, environment: CheckedEnvironment, heed: Callable[[], None]) -> None:
    """Run an episode of 1,000 steps at most without exploration, film it, and draw it where the state space can be.

    Args:
        run: under way; nothing of it is changed.
        environment: none that the run trains in; it is filmed if it is of render mode rgb_array.
        heed: called before every step; may raise.
    """
    started, frames, trajectory = time.perf_counter(), list[Image](), list[np.ndarray]()
    film, drawn = run.settings.video.interval is not None, drawable(run.agent.observation_space)

    def see(observation: np.ndarray) -> None:
        heed()
        trajectory.append(np.array(observation).ravel())
        if film:
            frames.append(thumbnail(environment))

    if film or drawn:
        environment.freeze(run.collector.statistics)
        # Episode 1: in number 0 Pendulum stands upright from the start.
        evaluate(run.agent, environment, [1], min(run.settings.evaluation.max_episode_steps, 1000), see)
    if film:
        run.telemetry.video(run.step, gif(environment, frames), *frames[0].size)
    if drawn:
        observed = run.buffer.transitions().observations.cpu().numpy()
        run.telemetry.picture(run.step, landscape(run.agent, observed, np.stack(trajectory)))
    run.telemetry.pause(time.perf_counter() - started)
