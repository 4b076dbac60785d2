"""DDPG on Pendulum, in a single file."""

import argparse
import random

import gymnasium as gym
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--env-id", default="Pendulum-v1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--total-timesteps", type=int, default=320)
    parser.add_argument("--learning-starts", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--gamma", type=float, default=0.99)
    parser.add_argument("--tau", type=float, default=0.005)
    parser.add_argument("--policy-frequency", type=int, default=2)
    parser.add_argument("--exploration-noise", type=float, default=0.1)
    return parser.parse_args()


class QNetwork(nn.Module):
    def __init__(self, env):
        super().__init__()
        n_obs, n_act = env.observation_space.shape[0], env.action_space.shape[0]
        self.fc1 = nn.Linear(n_obs + n_act, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, 1)

    def forward(self, x, a):
        x = torch.cat([x, a], 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Actor(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.fc1 = nn.Linear(env.observation_space.shape[0], 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc_mu = nn.Linear(64, env.action_space.shape[0])
        self.register_buffer("action_scale", torch.as_tensor(env.action_space.high, dtype=torch.float32))

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return torch.tanh(self.fc_mu(x)) * self.action_scale


class ReplayBuffer:
    def __init__(self, size, env):
        n_obs, n_act = env.observation_space.shape[0], env.action_space.shape[0]
        self.obs = np.zeros((size, n_obs), np.float32)
        self.next_obs = np.zeros((size, n_obs), np.float32)
        self.actions = np.zeros((size, n_act), np.float32)
        self.rewards = np.zeros((size, 1), np.float32)
        self.dones = np.zeros((size, 1), np.float32)
        self.pos = 0

    def add(self, obs, next_obs, action, reward, done):
        i = self.pos
        self.obs[i], self.next_obs[i], self.actions[i] = obs, next_obs, action
        self.rewards[i], self.dones[i] = reward, done
        self.pos += 1

    def sample(self, batch_size):
        i = np.random.randint(0, self.pos, size=batch_size)
        columns = self.obs, self.next_obs, self.actions, self.rewards, self.dones
        return [torch.as_tensor(column[i]) for column in columns]


if __name__ == "__main__":
    args = parse_args()
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    env = gym.make(args.env_id)
    env.action_space.seed(args.seed)

    actor = Actor(env)
    qf1 = QNetwork(env)
    qf1_target = QNetwork(env)
    target_actor = Actor(env)
    target_actor.load_state_dict(actor.state_dict())
    qf1_target.load_state_dict(qf1.state_dict())
    q_optimizer = optim.Adam(list(qf1.parameters()), lr=args.learning_rate)
    actor_optimizer = optim.Adam(list(actor.parameters()), lr=args.learning_rate)
    rb = ReplayBuffer(args.total_timesteps, env)

    obs, _ = env.reset(seed=args.seed)
    episodic_return = 0.0
    for global_step in range(args.total_timesteps):
        if global_step < args.learning_starts:
            action = env.action_space.sample()
        else:
            with torch.no_grad():
                action = actor(torch.as_tensor(obs)[None])[0]
                action += torch.normal(0, actor.action_scale * args.exploration_noise)
                action = action.numpy().clip(env.action_space.low, env.action_space.high)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        episodic_return += reward
        rb.add(obs, next_obs, action, reward, terminated)
        obs = next_obs
        if terminated or truncated:
            print(f"global_step={global_step}, episodic_return={episodic_return:.3f}")
            obs, _ = env.reset()
            episodic_return = 0.0

        if global_step > args.learning_starts:
            b_obs, b_next_obs, b_actions, b_rewards, b_dones = rb.sample(args.batch_size)
            with torch.no_grad():
                next_q = qf1_target(b_next_obs, target_actor(b_next_obs))
                target = b_rewards + (1 - b_dones) * args.gamma * next_q
            qf1_loss = F.mse_loss(qf1(b_obs, b_actions), target)
            q_optimizer.zero_grad()
            qf1_loss.backward()
            q_optimizer.step()

            if global_step % args.policy_frequency == 0:
                actor_loss = -qf1(b_obs, actor(b_obs)).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                for param, target_param in zip(actor.parameters(), target_actor.parameters(), strict=True):
                    target_param.data.copy_(args.tau * param.data + (1 - args.tau) * target_param.data)
                for param, target_param in zip(qf1.parameters(), qf1_target.parameters(), strict=True):
                    target_param.data.copy_(args.tau * param.data + (1 - args.tau) * target_param.data)

            if global_step % 20 == 0:
                print(f"{global_step}: qf1_loss {qf1_loss.item():.6f} actor_loss {actor_loss.item():.6f}")
    env.close()
