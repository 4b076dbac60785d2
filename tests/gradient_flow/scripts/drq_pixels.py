"""Pixels to torques: random shifts, an encoder that the critic alone trains, a deterministic actor on its features."""

import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class RandomShifts(nn.Module):
    def __init__(self, pad):
        super().__init__()
        self.pad = pad

    def forward(self, x):
        size = x.shape[-1]
        x = F.pad(x, (self.pad,) * 4, mode="replicate")
        rows, columns = torch.randint(0, 2 * self.pad + 1, (2,)).tolist()
        return x[..., rows : rows + size, columns : columns + size]


class Encoder(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.convnet = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=1), nn.ReLU(), nn.Flatten()
        )

    def forward(self, obs):
        return self.convnet(obs / 255.0 - 0.5)


class Actor(nn.Module):
    def __init__(self, repr_dim, action_dim, feature_dim=20, hidden=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(repr_dim, feature_dim), nn.LayerNorm(feature_dim), nn.Tanh())
        self.policy = nn.Sequential(nn.Linear(feature_dim, hidden), nn.ReLU(), nn.Linear(hidden, action_dim))

    def forward(self, obs, std):
        mu = torch.tanh(self.policy(self.trunk(obs)))
        return (mu + std * torch.randn_like(mu).clamp(-0.3, 0.3)).clamp(-1, 1)


class Critic(nn.Module):
    def __init__(self, repr_dim, action_dim, feature_dim=20, hidden=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(repr_dim, feature_dim), nn.LayerNorm(feature_dim), nn.Tanh())
        self.Q1 = nn.Sequential(nn.Linear(feature_dim + action_dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.Q2 = nn.Sequential(nn.Linear(feature_dim + action_dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, obs, action):
        h_action = torch.cat([self.trunk(obs), action], dim=-1)
        return self.Q1(h_action), self.Q2(h_action)


def soft_update_params(net, target_net, tau):
    for param, target_param in zip(net.parameters(), target_net.parameters(), strict=True):
        target_param.data.copy_(tau * param.data + (1 - tau) * target_param.data)


class DrQAgent:
    def __init__(self, obs_shape, action_dim, lr=1e-3):
        self.encoder = Encoder(obs_shape[0])
        repr_dim = self.encoder(torch.zeros(1, *obs_shape)).shape[1]
        self.actor = Actor(repr_dim, action_dim)
        self.critic = Critic(repr_dim, action_dim)
        self.critic_target = copy.deepcopy(self.critic)
        self.encoder_opt = torch.optim.Adam(self.encoder.parameters(), lr=lr)
        self.actor_opt = torch.optim.Adam(self.actor.parameters(), lr=lr)
        self.critic_opt = torch.optim.Adam(self.critic.parameters(), lr=lr)
        self.aug = RandomShifts(pad=2)

    def update_critic(self, obs, action, reward, discount, next_obs):
        with torch.no_grad():
            next_action = self.actor(next_obs, 0.2)
            target_v = torch.min(*self.critic_target(next_obs, next_action))
            target_q = reward + discount * target_v
        q1, q2 = self.critic(obs, action)
        critic_loss = F.mse_loss(q1, target_q) + F.mse_loss(q2, target_q)
        self.encoder_opt.zero_grad(set_to_none=True)
        self.critic_opt.zero_grad(set_to_none=True)
        critic_loss.backward()
        self.critic_opt.step()
        self.encoder_opt.step()
        return critic_loss.item()

    def update_actor(self, obs):
        action = self.actor(obs, 0.2)
        actor_loss = -torch.min(*self.critic(obs, action)).mean()
        self.actor_opt.zero_grad(set_to_none=True)
        actor_loss.backward()
        self.actor_opt.step()
        return actor_loss.item()

    def update(self, replay_iter):
        obs, action, reward, discount, next_obs = next(replay_iter)
        obs = self.encoder(self.aug(obs))
        with torch.no_grad():
            next_obs = self.encoder(self.aug(next_obs))
        metrics = {"critic_loss": self.update_critic(obs, action, reward, discount, next_obs)}
        metrics["actor_loss"] = self.update_actor(obs.detach())
        soft_update_params(self.critic, self.critic_target, 0.01)
        return metrics


def replay(obs_shape, action_dim, batch_size=16):
    rng = np.random.default_rng(0)
    while True:
        obs = rng.integers(0, 256, (2, batch_size, *obs_shape)).astype(np.float32)
        action = rng.uniform(-1, 1, (batch_size, action_dim)).astype(np.float32)
        reward = obs[0].mean(axis=(1, 2, 3))[:, None] / 255 - (action**2).sum(1, keepdims=True)
        discount = np.full((batch_size, 1), 0.99, np.float32)
        yield [torch.as_tensor(each) for each in (obs[0], action, reward.astype(np.float32), discount, obs[1])]


def main():
    torch.manual_seed(2)
    obs_shape, action_dim = (3, 20, 20), 2
    agent = DrQAgent(obs_shape, action_dim)
    replay_iter = replay(obs_shape, action_dim)
    for step in range(40):
        metrics = agent.update(replay_iter)
        if step % 10 == 0:
            print(step, *(f"{key}={value:.6f}" for key, value in metrics.items()))


if __name__ == "__main__":
    main()
