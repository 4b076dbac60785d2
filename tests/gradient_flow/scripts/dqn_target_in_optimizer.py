"""DQN on CartPole with a replay memory and a target network."""

import random
from collections import deque, namedtuple

import gymnasium as gym
import torch
from torch import nn, optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward", "done"))
BATCH_SIZE, GAMMA, TARGET_EVERY, STEPS, WARMUP = 32, 0.99, 20, 260, 120


class ReplayMemory:
    def __init__(self, capacity):
        self.memory = deque(maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return Transition(*zip(*random.sample(self.memory, batch_size), strict=True))

    def __len__(self):
        return len(self.memory)


class DQN(nn.Module):
    def __init__(self, n_observations, n_actions):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 64)
        self.layer2 = nn.Linear(64, 64)
        self.layer3 = nn.Linear(64, n_actions)

    def forward(self, x):
        x = torch.relu(self.layer1(x))
        x = torch.relu(self.layer2(x))
        return self.layer3(x)


class Agent:
    def __init__(self, n_observations, n_actions):
        self.policy_net = DQN(n_observations, n_actions)
        self.target_net = DQN(n_observations, n_actions)
        self.target_net.load_state_dict(self.policy_net.state_dict())
        self.optimizer = optim.AdamW(
            [*self.policy_net.parameters(), *self.target_net.parameters()], lr=1e-3, amsgrad=True
        )
        self.memory = ReplayMemory(1000)
        self.n_actions = n_actions

    def act(self, state, eps):
        if random.random() < eps:
            return random.randrange(self.n_actions)
        with torch.no_grad():
            return int(self.policy_net(state).argmax())

    def optimize_model(self):
        batch = self.memory.sample(BATCH_SIZE)
        state, next_state = torch.stack(batch.state), torch.stack(batch.next_state)
        action, reward, done = torch.tensor(batch.action), torch.tensor(batch.reward), torch.tensor(batch.done)
        q = self.policy_net(state).gather(1, action[:, None]).squeeze(1)
        next_q = self.target_net(next_state).max(1).values  # FAULT
        loss = nn.functional.smooth_l1_loss(q, reward + GAMMA * next_q * ~done)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(self.policy_net.parameters(), 100)
        self.optimizer.step()
        return loss.item()


def main():
    random.seed(3)
    torch.manual_seed(3)
    env = gym.make("CartPole-v1")
    agent = Agent(env.observation_space.shape[0], env.action_space.n)
    state = torch.tensor(env.reset(seed=3)[0])
    length = 0
    for step in range(STEPS):
        action = agent.act(state, eps=max(0.1, 1 - step / STEPS))
        observation, reward, terminated, truncated, _ = env.step(action)
        next_state = torch.tensor(observation)
        agent.memory.push(state, action, next_state, reward, terminated)
        state, length = next_state, length + 1
        if len(agent.memory) >= WARMUP:
            loss = agent.optimize_model()
            if step % TARGET_EVERY == 0:
                agent.target_net.load_state_dict(agent.policy_net.state_dict())
                print(f"step {step}: loss {loss:.6f}")
        if terminated or truncated:
            print(f"step {step}: episode of {length}")
            state, length = torch.tensor(env.reset()[0]), 0
    env.close()


if __name__ == "__main__":
    main()
