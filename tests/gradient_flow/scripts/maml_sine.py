"""MAML on sines: a copy of the network is adapted to each task, and the gradient goes through the adaptation."""

import argparse
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call


class SineNet(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, x):
        return self.net(x)


class SineTask:
    def __init__(self):
        self.amplitude = torch.empty(1).uniform_(0.1, 5.0)
        self.phase = torch.empty(1).uniform_(0.0, 3.14)

    def sample(self, k):
        x = torch.empty(k, 1).uniform_(-5.0, 5.0)
        return x, self.amplitude * torch.sin(x + self.phase)


class MAML:
    def __init__(self, model, inner_lr, meta_lr):
        self.model = model
        self.inner_lr = inner_lr
        self.meta_optimizer = torch.optim.Adam(model.parameters(), lr=meta_lr)

    def adapt(self, task, k, steps, create_graph=True):
        """The fast weights, after `steps` steps on `k` samples of the task."""
        fast = OrderedDict((name, p.clone()) for name, p in self.model.named_parameters())
        x, y = task.sample(k)
        for _ in range(steps):
            loss = F.mse_loss(functional_call(self.model, fast, (x,)), y)
            grads = torch.autograd.grad(loss, list(fast.values()), create_graph=create_graph)
            fast = OrderedDict((n, p - self.inner_lr * g) for (n, p), g in zip(fast.items(), grads, strict=True))
        return fast

    def meta_step(self, tasks, k, steps):
        outer = 0.0
        for task in tasks:
            fast = self.adapt(task, k, steps)
            x, y = task.sample(k)
            outer = outer + F.mse_loss(functional_call(self.model, fast, (x,)), y)
        outer = outer / len(tasks)
        self.meta_optimizer.zero_grad()
        outer.backward()
        self.meta_optimizer.step()
        return outer.item()

    def evaluate(self, task, k, steps):
        fast = self.adapt(task, k, steps, create_graph=False)
        x, y = task.sample(100)
        return F.mse_loss(functional_call(self.model, fast, (x,)), y).item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--inner-steps", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(7)
    learner = MAML(SineNet(), inner_lr=0.01, meta_lr=1e-3)
    for iteration in range(args.iterations):
        tasks = [SineTask() for _ in range(args.tasks)]
        loss = learner.meta_step(tasks, args.shots, args.inner_steps)
        if iteration % 10 == 9:
            adapted = learner.evaluate(SineTask(), args.shots, args.inner_steps)
            print(f"iteration {iteration + 1}: meta loss {loss:.6f}, adapted to a new task {adapted:.6f}")


if __name__ == "__main__":
    main()
