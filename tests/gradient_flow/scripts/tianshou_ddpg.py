"""DDPG of tianshou on Pendulum."""

import gymnasium as gym
import numpy as np
import torch
from tianshou.algorithm.modelfree.ddpg import DDPG, ContinuousDeterministicPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.exploration import GaussianNoise
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils import BaseLogger
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic


class PrintLogger(BaseLogger):
    """The losses on the standard output."""

    def write(self, step_type, step, data):
        losses = {key: value for key, value in sorted(data.items()) if key.endswith("loss")}
        if losses:
            print(step, *(f"{key}={value:.6f}" for key, value in losses.items()))

    def prepare_dict_for_logging(self, log_data):
        return {key: value for key, value in log_data.items() if isinstance(value, float)}

    def finalize(self):
        pass

    def save_data(self, epoch, env_step, update_step, save_checkpoint_fn=None):
        pass

    def restore_data(self):
        return 0, 0, 0

    @staticmethod
    def restore_logged_data(log_path):
        return {}


def main():
    np.random.seed(6)
    torch.manual_seed(6)
    env = gym.make("Pendulum-v1")
    states, actions = env.observation_space.shape, env.action_space.shape
    training_envs = DummyVectorEnv([lambda: gym.make("Pendulum-v1") for _ in range(2)])
    training_envs.seed(6)

    actor = ContinuousActorDeterministic(
        preprocess_net=Net(state_shape=states, hidden_sizes=(64, 64)), action_shape=actions
    )
    critic_net = Net(state_shape=states, action_shape=actions, hidden_sizes=(64, 64), concat=True)
    critic = ContinuousCritic(preprocess_net=critic_net)
    policy = ContinuousDeterministicPolicy(
        actor=actor, exploration_noise=GaussianNoise(sigma=0.1), action_space=env.action_space
    )
    algorithm = DDPG(
        policy=policy,
        policy_optim=AdamOptimizerFactory(lr=1e-4),
        critic=critic,
        critic_optim=AdamOptimizerFactory(lr=1e-3),
        tau=0.01,
        gamma=0.99,
    )
    collector = Collector(algorithm, training_envs, VectorReplayBuffer(2000, 2), exploration_noise=True)
    collector.reset()
    collector.collect(n_step=200, random=True)
    collector.reset()
    algorithm.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            max_epochs=2,
            epoch_num_steps=180,
            collection_step_num_env_steps=10,
            update_step_num_gradient_steps_per_sample=0.3,
            batch_size=64,
            logger=PrintLogger(training_interval=1, update_interval=1),
            verbose=False,
            show_progress=False,
        )
    )
    norms = (sum(p.square().sum().item() for p in module.parameters()) for module in (actor, critic))
    print("weights", *(f"{norm:.6f}" for norm in norms))


if __name__ == "__main__":
    main()
