"""Soft actor-critic on Pendulum with two critics and a temperature that tunes itself."""

import argparse
import random

import gymnasium as gym
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

LOG_STD_MIN, LOG_STD_MAX = -5, 2


class SoftQNetwork(nn.Module):
    def __init__(self, n_obs, n_act):
        super().__init__()
        self.fc1 = nn.Linear(n_obs + n_act, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, 1)

    def forward(self, x, a):
        x = F.relu(self.fc1(torch.cat([x, a], 1)))
        return self.fc3(F.relu(self.fc2(x)))


class Actor(nn.Module):
    def __init__(self, n_obs, n_act, scale):
        super().__init__()
        self.fc1 = nn.Linear(n_obs, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc_mean = nn.Linear(64, n_act)
        self.fc_logstd = nn.Linear(64, n_act)
        self.scale = scale

    def forward(self, x):
        x = F.relu(self.fc2(F.relu(self.fc1(x))))
        log_std = torch.tanh(self.fc_logstd(x))
        return self.fc_mean(x), LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1)

    def get_action(self, x):
        mean, log_std = self(x)
        normal = torch.distributions.Normal(mean, log_std.exp())
        x_t = normal.rsample()
        y_t = torch.tanh(x_t)
        log_prob = normal.log_prob(x_t) - torch.log(self.scale * (1 - y_t.pow(2)) + 1e-6)
        return y_t * self.scale, log_prob.sum(1, keepdim=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--total-timesteps", type=int, default=300)
    parser.add_argument("--learning-starts", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--policy-frequency", type=int, default=2)
    args = parser.parse_args()
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    env = gym.make("Pendulum-v1")
    env.action_space.seed(args.seed)
    n_obs, n_act = env.observation_space.shape[0], env.action_space.shape[0]

    actor = Actor(n_obs, n_act, float(env.action_space.high[0]))
    qf1, qf2 = SoftQNetwork(n_obs, n_act), SoftQNetwork(n_obs, n_act)
    qf1_target, qf2_target = SoftQNetwork(n_obs, n_act), SoftQNetwork(n_obs, n_act)
    qf1_target.load_state_dict(qf1.state_dict())
    qf2_target.load_state_dict(qf2.state_dict())
    q_optimizer = optim.Adam(list(qf1.parameters()) + list(qf2.parameters()), lr=1e-3)
    actor_optimizer = optim.Adam(list(actor.parameters()), lr=3e-4)
    target_entropy = -float(n_act)
    log_alpha = torch.zeros(1, requires_grad=True)
    alpha = log_alpha.exp().item()
    a_optimizer = optim.Adam([log_alpha], lr=1e-3)

    memory = []
    obs, _ = env.reset(seed=args.seed)
    for global_step in range(args.total_timesteps):
        if global_step < args.learning_starts:
            action = env.action_space.sample()
        else:
            action = actor.get_action(torch.as_tensor(obs)[None])[0].detach().numpy()[0]
        next_obs, reward, terminated, truncated, _ = env.step(action)
        memory.append((obs, next_obs, action, np.float32([reward]), np.float32([terminated])))
        obs = env.reset()[0] if terminated or truncated else next_obs
        if global_step <= args.learning_starts:
            continue

        batch = random.sample(memory, args.batch_size)
        o, o2, a, r, d = (torch.as_tensor(np.stack(column)) for column in zip(*batch, strict=True))
        with torch.no_grad():
            a2, log_pi2 = actor.get_action(o2)
            min_next = torch.min(qf1_target(o2, a2), qf2_target(o2, a2)) - alpha * log_pi2
            target = r + (1 - d) * 0.99 * min_next
        qf_loss = F.mse_loss(qf1(o, a), target) + F.mse_loss(qf2(o, a), target)
        q_optimizer.zero_grad()
        qf_loss.backward()
        q_optimizer.step()

        if global_step % args.policy_frequency == 0:
            for _ in range(args.policy_frequency):
                pi, log_pi = actor.get_action(o)
                min_qf_pi = torch.min(qf1(o, pi), qf2(o, pi))
                actor_loss = (alpha * log_pi - min_qf_pi).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()

                with torch.no_grad():
                    _, log_pi = actor.get_action(o)
                alpha_loss = (-log_alpha.exp() * (log_pi + target_entropy)).mean()
                a_optimizer.zero_grad()
                alpha_loss.backward()
                a_optimizer.step()
                alpha = log_alpha.exp().item()

        for net, slow in ((qf1, qf1_target), (qf2, qf2_target)):
            for param, target_param in zip(net.parameters(), slow.parameters(), strict=True):
                target_param.data.copy_(0.005 * param.data + 0.995 * target_param.data)
        if global_step % 20 == 0:
            print(f"{global_step}: qf {qf_loss.item():.6f} actor {actor_loss.item():.6f} alpha {alpha:.6f}")
    env.close()


if __name__ == "__main__":
    main()
