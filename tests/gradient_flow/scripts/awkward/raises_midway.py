"""Fails in the midst of training, in a function of its own with an exception of its own."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)))


def batch(n=32):
    x = torch.randn(n, 4)
    return x, x.prod(dim=1, keepdim=True)


class DivergedError(RuntimeError):
    def __init__(self, step):
        super().__init__(f"the loss diverged at step {step}")
        self.step = step


def check(step, loss):
    if step == 32:
        raise DivergedError(step)
    return loss


def train(model, optimizer):
    for step in range(60):
        x, y = batch()
        loss = check(step, F.mse_loss(model(x), y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 9:
            print(f"step {step + 1}: loss {loss.item():.6f}")


def main():
    torch.manual_seed(0)
    model = Net()
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2))


if __name__ == "__main__":
    main()
