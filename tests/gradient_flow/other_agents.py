"""Other people's agents, unmodified, each ready to take one training step on Pendulum-v1.

Each function of `AGENTS` builds one: networks of 256 and 256 units, batches of 256, otherwise the library's defaults,
and a replay buffer with a few hundred random transitions, so that no gradient step has been taken yet. The libraries
are imported inside the functions, so this file imports without them.

    python tests/gradient_flow/other_agents.py --rounds 5 [key ...]

audits one step of each (of all without a key), and measures what part of the step's time its wasted gradients take.
"""

from __future__ import annotations

import argparse
import functools
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ddpg import GradientFlow

if TYPE_CHECKING:
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

ENVIRONMENT = "Pendulum-v1"
HIDDEN = (256, 256)
BATCH = 256
TRANSITIONS = 512
SEED = 0


@dataclass(frozen=True)
class Agent:
    """One agent and its training step.

    name: library, version and algorithm.
    modules: the modules that hold the weights, under actor, critic, target_actor and target_critic, as far as the
        algorithm has them. Target weights may be buffers rather than parameters (torchrl).
    step: one training step, that is critic, actor and target networks.
    """

    name: str
    modules: dict[str, nn.Module]
    step: Callable[[], object]


def _sb3(algorithm: type[OffPolicyAlgorithm], gradient_steps: int = 1, **options: Any) -> Agent:
    """An agent of stable-baselines3; `learn` collects the random transitions and sets up a logger that says nothing."""
    model = algorithm(
        "MlpPolicy",
        ENVIRONMENT,
        batch_size=BATCH,
        learning_starts=TRANSITIONS,
        policy_kwargs={"net_arch": list(HIDDEN)},
        device="cpu",
        seed=SEED,
        **options,
    )
    model.learn(TRANSITIONS)
    names = {"actor": "actor", "critic": "critic", "target_actor": "actor_target", "target_critic": "critic_target"}
    return Agent(
        name=f"stable-baselines3 {version('stable-baselines3')} {algorithm.__name__}",
        modules={role: getattr(model, name) for role, name in names.items() if hasattr(model, name)},
        step=lambda: model.train(gradient_steps=gradient_steps, batch_size=model.batch_size),
    )


def sb3_ddpg() -> Agent:
    """DDPG of stable-baselines3."""
    from stable_baselines3 import DDPG

    return _sb3(DDPG)


def sb3_td3() -> Agent:
    """TD3 of stable-baselines3.

    A step is two gradient steps, since it updates actor and targets after every second one only (policy_delay=2).
    """
    from stable_baselines3 import TD3

    return _sb3(TD3, gradient_steps=2)


def sb3_sac() -> Agent:
    """SAC of stable-baselines3: no target actor, and a temperature, a tensor in no module, with its own optimizer."""
    from stable_baselines3 import SAC

    return _sb3(SAC)


def tianshou_ddpg() -> Agent:
    """DDPG of tianshou, with Adam's defaults for the two learning rates, which tianshou leaves to its user."""
    import gymnasium
    from tianshou.algorithm.modelfree.ddpg import DDPG, ContinuousDeterministicPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, CollectStats, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.utils.net.common import Net
    from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic
    from tianshou.utils.torch_utils import policy_within_training_step

    torch.manual_seed(SEED)
    environment = gymnasium.make(ENVIRONMENT)
    observations, actions = environment.observation_space.shape, environment.action_space.shape
    assert observations is not None and actions is not None
    actor = ContinuousActorDeterministic(
        preprocess_net=Net(state_shape=observations, hidden_sizes=HIDDEN), action_shape=actions
    )
    critic = ContinuousCritic(
        preprocess_net=Net(state_shape=observations, action_shape=actions, hidden_sizes=HIDDEN, concat=True)
    )
    algorithm = DDPG(
        policy=ContinuousDeterministicPolicy(actor=actor, action_space=environment.action_space),
        policy_optim=AdamOptimizerFactory(),
        critic=critic,
        critic_optim=AdamOptimizerFactory(),
    )
    environments = DummyVectorEnv([lambda: environment])
    environments.seed(SEED)
    buffer = VectorReplayBuffer(TRANSITIONS, 1)
    collector = Collector[CollectStats](algorithm.policy, environments, buffer)
    collector.reset()
    collector.collect(n_step=TRANSITIONS, random=True)
    environments.close()

    def step() -> None:
        with policy_within_training_step(algorithm.policy):
            algorithm.update(buffer=buffer, sample_size=BATCH)

    return Agent(
        name=f"tianshou {version('tianshou')} DDPG",
        modules={
            "actor": actor,
            "critic": critic,
            "target_actor": algorithm.actor_old,
            "target_critic": algorithm.critic_old,
        },
        step=step,
    )


def _torchrl(one_backward: bool) -> Agent:
    """DDPGLoss and SoftUpdate of torchrl, with the networks and settings of its own example of DDPG.

    The loss module takes the networks apart: their parameters, which the optimizers hold, stand in its
    `actor_network_params` and `value_network_params`, and the target weights in `target_..._params`, as buffers that
    require no gradient.
    """
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torchrl import torchrl_logger
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
    from torchrl.envs import Compose, DoubleToFloat, GymEnv, InitTracker, RewardSum, StepCounter, TransformedEnv
    from torchrl.modules import MLP, TanhModule, ValueOperator
    from torchrl.objectives import DDPGLoss, SoftUpdate, group_optimizers

    torch.manual_seed(SEED)
    environment = TransformedEnv(
        GymEnv(ENVIRONMENT), Compose(InitTracker(), StepCounter(), DoubleToFloat(), RewardSum())
    )
    environment.set_seed(SEED)
    observations, actions = environment.observation_spec["observation"].shape[-1], environment.action_spec.shape[-1]
    actor = TensorDictSequential(
        TensorDictModule(
            MLP(in_features=observations, out_features=actions, num_cells=HIDDEN, activation_class=nn.ReLU),
            in_keys=["observation"],
            out_keys=["param"],
        ),
        TanhModule(in_keys=["param"], out_keys=["action"], spec=environment.action_spec),
    )
    critic = ValueOperator(
        MLP(in_features=observations + actions, out_features=1, num_cells=HIDDEN, activation_class=nn.ReLU),
        in_keys=["action", "observation"],
    )
    loss = DDPGLoss(actor_network=actor, value_network=critic, delay_actor=True, delay_value=True)
    loss.make_value_estimator(gamma=0.99)
    update_targets = SoftUpdate(loss, eps=0.995)
    actor_optimizer, critic_optimizer = (
        torch.optim.Adam(list(held.flatten_keys().values()), lr=3e-4, weight_decay=1e-4)
        for held in (loss.actor_network_params, loss.value_network_params)
    )
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(TRANSITIONS), batch_size=BATCH)
    level = torchrl_logger.level
    torchrl_logger.setLevel("WARNING")  # it tells of each new storage
    buffer.extend(environment.rollout(TRANSITIONS, break_when_any_done=False).reshape(-1))
    torchrl_logger.setLevel(level)
    environment.close()

    def two_backwards() -> None:
        batch = buffer.sample()
        critic_loss, _ = loss.loss_value(batch)
        critic_optimizer.zero_grad()
        critic_loss.backward()
        critic_optimizer.step()
        actor_loss, _ = loss.loss_actor(batch)
        actor_optimizer.zero_grad()
        actor_loss.backward()
        actor_optimizer.step()
        update_targets.step()

    optimizer = group_optimizers(actor_optimizer, critic_optimizer)

    def sum_of_all() -> None:
        batch = buffer.sample()
        optimizer.zero_grad(set_to_none=True)
        loss(batch).sum(reduce=True).backward()
        optimizer.step()
        update_targets.step()

    return Agent(
        name=f"torchrl {version('torchrl')} DDPGLoss, {'one backward pass' if one_backward else 'two backward passes'}",
        modules={
            "actor": loss.actor_network_params,
            "critic": loss.value_network_params,
            "target_actor": loss.target_actor_network_params,
            "target_critic": loss.target_value_network_params,
        },
        step=sum_of_all if one_backward else two_backwards,
    )


def torchrl_ddpg() -> Agent:
    """DDPGLoss of torchrl with two optimizers and a backward pass for each.

    The loss module and the target updater are torchrl's; the few lines of the loop are ours, after what torchrl's
    example sota-implementations/ddpg did before it grouped its optimizers.
    """
    return _torchrl(one_backward=False)


def torchrl_ddpg_one_backward() -> Agent:
    """DDPGLoss of torchrl with one backward pass and one grouped optimizer, as its example groups them today.

    The four lines of the loop are ours, after torchrl's example sota-implementations/ddpg. As there, the sum is over
    everything the loss module returns, which is the two losses and also the figures beside them; one of those,
    `pred_value`, the critic's values of the batch, is not detached, so its gradient reaches the critic as well.
    """
    return _torchrl(one_backward=True)


AGENTS: dict[str, Callable[[], Agent]] = {
    "sb3_ddpg": sb3_ddpg,
    "sb3_td3": sb3_td3,
    "sb3_sac": sb3_sac,
    "tianshou_ddpg": tianshou_ddpg,
    "torchrl_ddpg": torchrl_ddpg,
    "torchrl_ddpg_one_backward": torchrl_ddpg_one_backward,
}


class HeldStill:
    """A critic whose parameters, while `on`, require no gradient in the actor's loss: what its waste costs in time."""

    def __init__(self, critic: nn.Module) -> None:
        self.on = False
        self._parameters = list(critic.parameters())
        for name in ("forward", "q1_forward"):
            if hasattr(critic, name):
                object.__setattr__(critic, name, functools.partial(self._call, getattr(critic, name)))

    def _call(
        self, method: Callable[..., Any], observations: Any, actions: Any = None, *rest: Any, **named: Any
    ) -> Any:
        still = self.on and isinstance(actions, Tensor) and actions.requires_grad
        for each in self._parameters if still else ():
            each.requires_grad_(False)
        try:
            return method(observations, actions, *rest, **named)
        finally:
            for each in self._parameters if still else ():
                each.requires_grad_(True)


def share_of_time(agent: Agent, rounds: int, pairs: int) -> list[float]:
    """By how much a step is faster with the critic held still, as a share of the step; one figure a round.

    The two kinds of step take turns in random order.
    """
    critic = HeldStill(agent.modules["critic"])
    order = random.Random(0)
    shares = []
    for _ in tqdm(range(rounds), desc=agent.name, leave=False):
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(pairs):
            for critic.on in order.sample([False, True], 2):
                started = time.perf_counter()
                agent.step()
                seconds[critic.on].append(time.perf_counter() - started)
        shares.append(1 - statistics.median(seconds[True]) / statistics.median(seconds[False]))
    return shares


def wasted_bytes(flow: GradientFlow, agent: Agent) -> int:
    """Bytes of the gradients that no step applied."""
    sizes = {
        f"{role}.{name}": each.nbytes
        for role, module in agent.modules.items()
        for name, each in module.named_parameters()
    }
    return sum(
        sizes[key]
        for backward in flow.backwards
        for key, contribution in backward.contributions.items()
        if key in sizes and not contribution.applied
    )


def main() -> None:
    """Audit one step of each agent; print the audits and what the waste costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", choices=[[], *AGENTS], help="which agents; all without")
    parser.add_argument("--rounds", type=int, default=0, help="of timing; 0 times nothing")
    parser.add_argument("--pairs", type=int, default=250, help="of steps in a round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for key in arguments.keys or AGENTS:
        agent = AGENTS[key]()
        agent.step()
        with GradientFlow(agent.modules, trace=True) as flow:
            agent.step()
        print(f"\n{agent.name}\n\n{flow}\n\nwasted: {wasted_bytes(flow, agent):,} bytes of gradients a step")
        if arguments.rounds:
            shares = share_of_time(agent, arguments.rounds, arguments.pairs)
            print(
                f"        {statistics.median(shares):.1%} of the step's time "
                f"({min(shares):.1%} to {max(shares):.1%} in {arguments.rounds} rounds of {arguments.pairs} pairs)"
            )


if __name__ == "__main__":
    main()
