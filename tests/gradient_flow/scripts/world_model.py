"""A world model and an agent that learns inside it; one class holds all the optimizers."""

import torch
import torch.nn.functional as F
from torch import nn


class WorldModel(nn.Module):
    def __init__(self, n_obs, n_act, dim=32):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_obs, dim), nn.ELU(), nn.Linear(dim, dim))
        self.dynamics = nn.GRUCell(n_act, dim)
        self.decoder = nn.Linear(dim, n_obs)
        self.reward = nn.Linear(dim, 1)

    def loss(self, obs, actions, rewards):
        """Of trajectories `(T, B, …)`: what follows is predicted from the first observation and the actions."""
        h = self.encoder(obs[0])
        states, total = [h], F.mse_loss(self.decoder(h), obs[0])
        for t in range(len(actions)):
            h = self.dynamics(actions[t], h)
            states.append(h)
            total = total + F.mse_loss(self.decoder(h), obs[t + 1]) + F.mse_loss(self.reward(h), rewards[t])
        return total, torch.stack(states).flatten(0, 1)


class Optimizers:
    """Several optimizers as one: each module has its own, with its learning rate."""

    def __init__(self, clip, **modules):
        self.clip = clip
        self.modules = {name: module for name, (module, _) in modules.items()}
        self.optimizers = {name: torch.optim.Adam(module.parameters(), lr=lr) for name, (module, lr) in modules.items()}

    def minimize(self, name, loss):
        optimizer, parameters = self.optimizers[name], list(self.modules[name].parameters())
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=parameters)
        nn.utils.clip_grad_norm_(parameters, self.clip)
        optimizer.step()
        return loss.item()


class Dreamer:
    def __init__(self, n_obs, n_act, dim=32):
        self.world_model = WorldModel(n_obs, n_act, dim)
        self.actor = nn.Sequential(nn.Linear(dim, 32), nn.ELU(), nn.Linear(32, n_act), nn.Tanh())
        self.value = nn.Sequential(nn.Linear(dim, 32), nn.ELU(), nn.Linear(32, 1))
        self.optimizers = Optimizers(
            10.0, world_model=(self.world_model, 3e-3), actor=(self.actor, 1e-3), value=(self.value, 1e-3)
        )

    def imagine(self, start, horizon):
        states, rewards, h = [start], [], start
        for _ in range(horizon):
            h = self.world_model.dynamics(self.actor(h), h)
            states.append(h)
            rewards.append(self.world_model.reward(h))
        return states, rewards

    def train_step(self, obs, actions, rewards):
        model_loss, states = self.world_model.loss(obs, actions, rewards)
        metrics = {"model": self.optimizers.minimize("world_model", model_loss)}

        states, imagined = self.imagine(states.detach(), horizon=4)
        ret = self.value(states[-1])
        returns = []
        for reward in reversed(imagined):
            ret = reward + 0.95 * ret
            returns.insert(0, ret)
        metrics["actor"] = self.optimizers.minimize("actor", -torch.stack(returns).mean())

        features, targets = torch.stack(states[:-1]).detach(), torch.stack(returns).detach()
        metrics["value"] = self.optimizers.minimize("value", F.mse_loss(self.value(features), targets))
        return metrics


def trajectories(steps, size, n_obs, n_act):
    obs, actions = [torch.randn(size, n_obs)], torch.rand(steps, size, n_act) * 2 - 1
    for action in actions:
        obs.append(0.9 * obs[-1] + 0.3 * F.pad(action, (0, n_obs - n_act)))
    obs = torch.stack(obs)
    return obs, actions, -obs[1:].square().mean(-1, keepdim=True)


def main():
    torch.manual_seed(12)
    agent = Dreamer(n_obs=5, n_act=2)
    for step in range(40):
        metrics = agent.train_step(*trajectories(5, 16, 5, 2))
        if step % 10 == 9:
            print(step + 1, *(f"{name}={value:.6f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
