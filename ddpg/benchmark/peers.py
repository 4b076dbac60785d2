"""DDPG of other libraries, set to the same work as this project's: one update after every environment step.

Widths, batch, learning rates (1e-3), Adam, noise (0.1), buffer size and random first steps are equal; everything else
is the library's own. The libraries are imported inside, so that this file imports without them.
"""

import importlib
import importlib.util
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from ddpg.benchmark.options import Options
from ddpg.benchmark.subjects import LEARNING_STARTS, threads_of

BUFFER_SIZE = 1_000_000


def installed(module: str) -> bool:
    """Whether there is such a library."""
    return importlib.util.find_spec(module) is not None


class StableBaselines:
    """stable-baselines3, or SBX, which builds on it and computes with JAX.

    Args:
        options: of the benchmark.
        module: `stable_baselines3` or `sbx`.
        threads: of PyTorch.
    """

    def __init__(self, options: Options, module: str, threads: int) -> None:
        from stable_baselines3.common.noise import NormalActionNoise

        torch.set_num_threads(threads)
        env = gymnasium.make(options.env)
        shape = env.action_space.shape
        assert shape is not None
        self._model = importlib.import_module(module).DDPG(
            "MlpPolicy",
            env,
            learning_rate=1e-3,
            buffer_size=BUFFER_SIZE,
            batch_size=options.batch,
            learning_starts=LEARNING_STARTS,
            train_freq=1,
            gradient_steps=1,
            action_noise=NormalActionNoise(np.zeros(shape), 0.1 * np.ones(shape)),
            policy_kwargs={"net_arch": [options.hidden, options.hidden]},
            **({"device": "cpu"} if module == "stable_baselines3" else {}),
        )
        self.advance(LEARNING_STARTS + 2)

    def advance(self, steps: int) -> None:
        """Train for so many environment steps."""
        self._model.learn(steps, reset_num_timesteps=False)


class Tianshou:
    """tianshou's collector and update in a plain loop; its own trainer's bookkeeping would cost more."""

    def __init__(self, options: Options) -> None:
        from tianshou.algorithm.modelfree.ddpg import DDPG, ContinuousDeterministicPolicy
        from tianshou.algorithm.optim import AdamOptimizerFactory
        from tianshou.data import Collector, CollectStats, VectorReplayBuffer
        from tianshou.env import DummyVectorEnv
        from tianshou.exploration import GaussianNoise
        from tianshou.utils.net.common import Net
        from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic
        from tianshou.utils.torch_utils import policy_within_training_step

        torch.set_num_threads(threads_of(options))
        env = gymnasium.make(options.env)
        observations, actions = env.observation_space.shape, env.action_space.shape
        hidden = [options.hidden, options.hidden]
        body = Net(state_shape=observations, hidden_sizes=hidden)
        critic_body = Net(state_shape=observations, action_shape=actions, hidden_sizes=hidden, concat=True)
        self._algorithm = DDPG(
            policy=ContinuousDeterministicPolicy(
                actor=ContinuousActorDeterministic(preprocess_net=body, action_shape=actions),
                action_space=env.action_space,
                exploration_noise=GaussianNoise(sigma=0.1),
            ),
            policy_optim=AdamOptimizerFactory(lr=1e-3),
            critic=ContinuousCritic(preprocess_net=critic_body),
            critic_optim=AdamOptimizerFactory(lr=1e-3),
        )
        self._training = policy_within_training_step
        self._batch = options.batch
        self._buffer = VectorReplayBuffer(BUFFER_SIZE, 1)
        self._collector = Collector[CollectStats](
            self._algorithm.policy, DummyVectorEnv([lambda: env]), self._buffer, exploration_noise=True
        )
        self._collector.reset()
        self._collector.collect(n_step=LEARNING_STARTS, random=True)
        self.advance(2)

    def advance(self, steps: int) -> None:
        """Train for so many environment steps."""
        with self._training(self._algorithm.policy):
            for _ in range(steps):
                self._collector.collect(n_step=1)
                self._algorithm.update(buffer=self._buffer, sample_size=self._batch)


class TorchRL:
    """torchrl's loss, collector, buffer and target updater in the loop of its example, with two backward passes."""

    def __init__(self, options: Options) -> None:
        from tensordict.nn import TensorDictModule, TensorDictSequential
        from torchrl import torchrl_logger
        from torchrl.collectors import Collector
        from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
        from torchrl.envs import DoubleToFloat, GymEnv, TransformedEnv
        from torchrl.modules import MLP, AdditiveGaussianModule, TanhModule, ValueOperator
        from torchrl.objectives import DDPGLoss, SoftUpdate

        torch.set_num_threads(threads_of(options))
        torchrl_logger.setLevel("ERROR")
        env = TransformedEnv(GymEnv(options.env), DoubleToFloat())
        observations, actions = env.observation_spec["observation"].shape[-1], env.action_spec.shape[-1]
        shape: dict[str, Any] = {"num_cells": (options.hidden, options.hidden), "activation_class": nn.ReLU}
        body = MLP(in_features=observations, out_features=actions, **shape)
        actor = TensorDictSequential(
            TensorDictModule(body, in_keys=["observation"], out_keys=["param"]),
            TanhModule(in_keys=["param"], out_keys=["action"], spec=env.action_spec),
        )
        critic_body = MLP(in_features=observations + actions, out_features=1, **shape)
        critic = ValueOperator(critic_body, in_keys=["action", "observation"])
        self._loss = DDPGLoss(actor_network=actor, value_network=critic, delay_actor=True, delay_value=True)
        self._loss.make_value_estimator(gamma=0.99)
        self._update_targets = SoftUpdate(self._loss, eps=0.995)
        held = (self._loss.value_network_params, self._loss.actor_network_params)
        self._optimizers = [torch.optim.Adam(list(each.flatten_keys().values()), lr=1e-3) for each in held]
        self._buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(BUFFER_SIZE), batch_size=options.batch)
        noise = AdditiveGaussianModule(spec=env.action_spec, sigma_init=0.1, sigma_end=0.1)
        self._collector = iter(
            Collector(
                env,
                TensorDictSequential(actor, noise),
                frames_per_batch=1,
                total_frames=-1,
                auto_register_policy_transforms=True,
            )
        )
        for _ in range(LEARNING_STARTS):
            self._collect()
        self.advance(2)

    def advance(self, steps: int) -> None:
        """Train for so many environment steps."""
        for _ in range(steps):
            self._collect()
            batch = self._buffer.sample()
            for optimizer, loss in zip(self._optimizers, (self._loss.loss_value, self._loss.loss_actor), strict=True):
                value, _ = loss(batch)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            self._update_targets.step()

    def _collect(self) -> None:
        self._buffer.extend(next(self._collector).reshape(-1))
