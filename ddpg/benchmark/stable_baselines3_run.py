"""A process in which stable-baselines3 trains until Pendulum is solved: `python -m`, for the part `solve`.

It imports nothing else of this project, since its start is measured too.
"""

import json
import math
import sys
import time
from typing import Any

SOLVED = -140.0
INTERVAL = 500  # environment steps between evaluations
EPISODES = 10
FIRST_SEED = 10_000


def main() -> None:
    """Train as the JSON on the command line says; print when, and after how many steps, it was solved."""
    request = json.loads(sys.argv[1])
    import gymnasium
    import numpy as np
    from stable_baselines3 import DDPG
    from stable_baselines3.common.noise import NormalActionNoise

    noise = NormalActionNoise(np.zeros(1), request["noise"] * np.ones(1))
    env, other = gymnasium.make("Pendulum-v1"), gymnasium.make("Pendulum-v1")
    model = DDPG("MlpPolicy", env, action_noise=noise, seed=request["seed"], device="cpu", **request["settings"])
    model.learn(model.learning_starts)  # at random, which no evaluation needs to wait for
    while model.num_timesteps < request["steps"]:
        model.learn(INTERVAL, reset_num_timesteps=False)
        if mean_return(model, other) >= SOLVED:
            print(json.dumps({"time": time.time(), "steps": model.num_timesteps}))
            return
    print(json.dumps({"time": math.inf, "steps": math.inf}))


def mean_return(model: Any, env: Any) -> float:
    """Of deterministic episodes from the same starts as this project's evaluations."""
    total = 0.0
    for episode in range(EPISODES):
        observation, _ = env.reset(seed=FIRST_SEED + episode)
        ended = False
        while not ended:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            ended = terminated or truncated
    return total / EPISODES


if __name__ == "__main__":
    main()
