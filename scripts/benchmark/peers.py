"""DDPG of other libraries, set to the same work as this project's: one update after every environment step.

Widths, batch, learning rates (1e-3), Adam, noise (0.1), buffer size and random first steps are equal; everything else
is the library's own.
"""

import importlib
import importlib.util
from collections.abc import Mapping

import gymnasium
import numpy as np
import torch

from workers import Makers

BUFFER_SIZE = 1_000_000
LEARNING_STARTS = 256


def available(contestants: Mapping[str, Makers]) -> tuple[Makers, list[str]]:
    """Return those contestants, given by library, whose library is installed, and a note that names the others."""
    missing = [library for library in contestants if importlib.util.find_spec(library) is None]
    note = f"Not installed, so left out: {', '.join(missing)}; pip install -e '.[bench]'."
    makers = {name: maker for key, each in contestants.items() if key not in missing for name, maker in each.items()}
    return makers, [note] if missing else []


class StableBaselines:
    """stable-baselines3, or SBX, which builds on it and computes with JAX.

    Args:
        env: id of the environment.
        hidden: width of the two hidden layers.
        batch: transitions in a batch.
        module: `stable_baselines3` or `sbx`.
        threads: of PyTorch.
    """

    def __init__(self, env: str, hidden: int, batch: int, module: str, threads: int) -> None:
        from stable_baselines3.common.noise import NormalActionNoise

        torch.set_num_threads(threads)
        environment = gymnasium.make(env)
        shape = environment.action_space.shape
        assert shape is not None
        self._model = importlib.import_module(module).DDPG(
            "MlpPolicy",
            environment,
            learning_rate=1e-3,
            buffer_size=BUFFER_SIZE,
            batch_size=batch,
            learning_starts=LEARNING_STARTS,
            train_freq=1,
            gradient_steps=1,
            action_noise=NormalActionNoise(np.zeros(shape), 0.1 * np.ones(shape)),
            policy_kwargs={"net_arch": [hidden, hidden]},
            **({"device": "cpu"} if module == "stable_baselines3" else {}),
        )
        self.advance(LEARNING_STARTS + 2)

    def advance(self, steps: int) -> None:
        """Train for `steps` environment steps."""
        self._model.learn(steps, reset_num_timesteps=False)


class Tianshou:
    """tianshou's collector and update in a plain loop; its own trainer's bookkeeping would cost more."""

    def __init__(self, env: str, hidden: int, batch: int, threads: int) -> None:
        from tianshou.algorithm.modelfree.ddpg import DDPG, ContinuousDeterministicPolicy
        from tianshou.algorithm.optim import AdamOptimizerFactory
        from tianshou.data import Collector, CollectStats, VectorReplayBuffer
        from tianshou.env import DummyVectorEnv
        from tianshou.exploration import GaussianNoise
        from tianshou.utils.net.common import Net
        from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic
        from tianshou.utils.torch_utils import policy_within_training_step

        torch.set_num_threads(threads)
        environment = gymnasium.make(env)
        observations, actions = environment.observation_space.shape, environment.action_space.shape
        sizes = [hidden, hidden]
        body = Net(state_shape=observations, hidden_sizes=sizes)
        critic_body = Net(state_shape=observations, action_shape=actions, hidden_sizes=sizes, concat=True)
        self._algorithm = DDPG(
            policy=ContinuousDeterministicPolicy(
                actor=ContinuousActorDeterministic(preprocess_net=body, action_shape=actions),
                action_space=environment.action_space,
                exploration_noise=GaussianNoise(sigma=0.1),
            ),
            policy_optim=AdamOptimizerFactory(lr=1e-3),
            critic=ContinuousCritic(preprocess_net=critic_body),
            critic_optim=AdamOptimizerFactory(lr=1e-3),
        )
        self._training = policy_within_training_step
        self._batch = batch
        self._buffer = VectorReplayBuffer(BUFFER_SIZE, 1)
        self._collector = Collector[CollectStats](
            self._algorithm.policy, DummyVectorEnv([lambda: environment]), self._buffer, exploration_noise=True
        )
        self._collector.reset()
        self._collector.collect(n_step=LEARNING_STARTS, random=True)
        self.advance(2)

    def advance(self, steps: int) -> None:
        """Train for `steps` environment steps."""
        with self._training(self._algorithm.policy):
            for _ in range(steps):
                self._collector.collect(n_step=1)
                self._algorithm.update(buffer=self._buffer, sample_size=self._batch)
