"""DDPG of stable-baselines3 on Pendulum."""

import gymnasium as gym
import numpy as np
from stable_baselines3 import DDPG
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.noise import NormalActionNoise


class PrintLosses(BaseCallback):
    """Prints what the logger holds, now and then."""

    def _on_step(self):
        values = self.logger.name_to_value
        if self.n_calls % 25 == 0 and "train/critic_loss" in values:
            print(f"{self.n_calls}: critic {values['train/critic_loss']:.5f} actor {values['train/actor_loss']:.5f}")
        return True


def main():
    env = gym.make("Pendulum-v1")
    n_actions = env.action_space.shape[-1]
    noise = NormalActionNoise(mean=np.zeros(n_actions), sigma=0.1 * np.ones(n_actions))
    model = DDPG(
        "MlpPolicy",
        env,
        action_noise=noise,
        learning_starts=100,
        batch_size=64,
        policy_kwargs={"net_arch": [64, 64]},
        device="cpu",
        seed=0,
    )
    model.learn(total_timesteps=180, callback=PrintLosses())
    mean, std = evaluate_policy(model, model.get_env(), n_eval_episodes=1)
    print(f"mean reward {mean:.3f} ± {std:.3f}")


if __name__ == "__main__":
    main()
