"""SAC of stable-baselines3 on Pendulum, with the losses as its logger prints them."""

from stable_baselines3 import SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import CSVOutputFormat, Logger
from stable_baselines3.common.vec_env import DummyVecEnv


class PrintFormat(CSVOutputFormat):
    """The training's figures on the standard output."""

    def __init__(self):
        pass

    def write(self, key_values, key_excluded, step=0):
        losses = {key: value for key, value in sorted(key_values.items()) if key.startswith("train/")}
        print(step, *(f"{key.split('/')[1]}={value:.6g}" for key, value in losses.items()))

    def close(self):
        pass


def main():
    env = make_vec_env("Pendulum-v1", n_envs=2, seed=5, vec_env_cls=DummyVecEnv)
    model = SAC("MlpPolicy", env, learning_starts=100, batch_size=64, train_freq=4, gradient_steps=4, seed=5,
                policy_kwargs={"net_arch": [64, 64]}, device="cpu")  # fmt: skip
    model.set_logger(Logger(folder=None, output_formats=[PrintFormat()]))
    for _ in range(4):
        model.learn(total_timesteps=80, reset_num_timesteps=False)
        model.logger.dump(model.num_timesteps)
    action, _ = model.predict(env.reset(), deterministic=True)
    print("actions", *(f"{value:.6f}" for value in action.ravel()))


if __name__ == "__main__":
    main()
