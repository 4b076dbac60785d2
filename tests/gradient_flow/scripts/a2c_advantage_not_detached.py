"""Advantage actor-critic on a small grid world, with separate networks and optimizers."""

import torch
from torch import nn, optim
from torch.distributions import Categorical

SIZE, GAMMA = 5, 0.95
MOVES = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])


class GridWorld:
    """Walk from a random cell to the corner; a batch of walkers at once."""

    def __init__(self, walkers):
        self.walkers = walkers
        self.reset()

    def reset(self):
        self.position = torch.randint(SIZE, (self.walkers, 2))
        return self.observe()

    def observe(self):
        one_hot = nn.functional.one_hot(self.position, SIZE).float()
        return one_hot.flatten(1)

    def step(self, action):
        self.position = (self.position + MOVES[action]).clamp(0, SIZE - 1)
        done = (self.position == SIZE - 1).all(1)
        reward = done.float() - 0.05
        self.position[done] = torch.randint(SIZE, (int(done.sum()), 2))
        return self.observe(), reward, done


class PolicyNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * SIZE, 32), nn.Tanh(), nn.Linear(32, len(MOVES)))

    def forward(self, x):
        return Categorical(logits=self.layers(x))


class ValueNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * SIZE, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x):
        return self.layers(x).squeeze(-1)


class A2C:
    def __init__(self, lr=3e-3):
        self.policy, self.value = PolicyNetwork(), ValueNetwork()
        self.value_optimizer = optim.Adam(self.value.parameters(), lr=lr)
        self.policy_optimizer = optim.Adam([*self.policy.parameters(), *self.value.parameters()], lr=lr)

    def update(self, observations, actions, returns):
        value_loss = (self.value(observations) - returns).pow(2).mean()
        self.value_optimizer.zero_grad()
        value_loss.backward()
        self.value_optimizer.step()

        distribution = self.policy(observations)
        advantages = returns - self.value(observations)  # FAULT
        policy_loss = -(distribution.log_prob(actions) * advantages).mean() - 0.01 * distribution.entropy().mean()
        self.policy_optimizer.zero_grad()
        policy_loss.backward()
        self.policy_optimizer.step()
        return value_loss.item(), policy_loss.item()


@torch.no_grad()
def collect(env, agent, observation, steps=10):
    observations, actions, rewards, dones = [], [], [], []
    for _ in range(steps):
        action = agent.policy(observation).sample()
        observations.append(observation)
        actions.append(action)
        observation, reward, done = env.step(action)
        rewards.append(reward)
        dones.append(done)
    ret, returns = agent.value(observation), []
    for reward, done in zip(reversed(rewards), reversed(dones), strict=True):
        ret = reward + GAMMA * ret * ~done
        returns.insert(0, ret)
    return (
        torch.cat(observations),
        torch.cat(actions),
        torch.cat(returns),
        torch.stack(rewards).sum().item(),
        observation,
    )


def main():
    torch.manual_seed(17)
    env, agent = GridWorld(walkers=16), A2C()
    observation = env.reset()
    for iteration in range(40):
        *rollout, reward, observation = collect(env, agent, observation)
        value_loss, policy_loss = agent.update(*rollout)
        if iteration % 10 == 9:
            print(f"{iteration + 1}: reward {reward:.3f} value {value_loss:.6f} policy {policy_loss:.6f}")


if __name__ == "__main__":
    main()
