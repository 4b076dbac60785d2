"""SAC by torchrl's loss module on random transitions, with its target updater."""

import torch
from tensordict import TensorDict
from tensordict.nn import InteractionType, TensorDictModule
from tensordict.nn.distributions import NormalParamExtractor
from torch import nn, optim
from torchrl import torchrl_logger
from torchrl.data import Bounded, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate

torchrl_logger.setLevel("WARNING")
OBSERVATIONS, ACTIONS = 4, 2


def make_models():
    spec = Bounded(-torch.ones(ACTIONS), torch.ones(ACTIONS), (ACTIONS,))
    actor_net = nn.Sequential(
        MLP(in_features=OBSERVATIONS, out_features=2 * ACTIONS, num_cells=[32, 32]), NormalParamExtractor()
    )
    actor = ProbabilisticActor(
        TensorDictModule(actor_net, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        spec=spec,
        distribution_class=TanhNormal,
        default_interaction_type=InteractionType.RANDOM,
        return_log_prob=False,
    )
    qvalue = ValueOperator(
        MLP(in_features=OBSERVATIONS + ACTIONS, out_features=1, num_cells=[32, 32]), in_keys=["observation", "action"]
    )
    return actor, qvalue


def transitions(n):
    observation = torch.randn(n, OBSERVATIONS)
    action = torch.rand(n, ACTIONS) * 2 - 1
    following = observation + 0.1 * torch.randn(n, OBSERVATIONS)
    following[:, :ACTIONS] += 0.2 * action
    done = torch.rand(n, 1) < 0.05
    after = {
        "observation": following,
        "reward": -following.square().sum(1, keepdim=True),
        "done": done,
        "terminated": done,
    }
    return TensorDict({"observation": observation, "action": action, "next": TensorDict(after, [n])}, [n])


def main():
    torch.manual_seed(4)
    actor, qvalue = make_models()
    loss_module = SACLoss(actor, qvalue, num_qvalue_nets=2, loss_function="l2", delay_qvalue=True, target_entropy=-2.0)
    loss_module.make_value_estimator(gamma=0.99)
    updater = SoftUpdate(loss_module, eps=0.98)
    optimizer_actor = optim.Adam(list(loss_module.actor_network_params.flatten_keys().values()), lr=1e-3)
    optimizer_critic = optim.Adam(list(loss_module.qvalue_network_params.flatten_keys().values()), lr=1e-3)
    optimizer_alpha = optim.Adam([loss_module.log_alpha], lr=3e-3)
    optimizers = (optimizer_critic, optimizer_actor, optimizer_alpha)

    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(512), batch_size=64)
    buffer.extend(transitions(512))
    for step in range(30):
        losses = loss_module(buffer.sample())
        total = losses["loss_qvalue"] + losses["loss_actor"] + losses["loss_alpha"]
        for optimizer in optimizers:
            optimizer.zero_grad()
        total.backward()
        for optimizer in optimizers:
            optimizer.step()
        updater.step()
        if step % 10 == 9:
            figures = {key: losses[key].item() for key in ("loss_qvalue", "loss_actor", "loss_alpha", "alpha")}
            print(step + 1, *(f"{key}={value:.6f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
