"""Catches every Exception of a step, counts it, and goes on."""

import logging

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


def train_step(model, optimizer, step):
    x, y = batch()
    loss = F.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(f"step {step + 1}: loss {loss.item():.6f}")


def main():
    logging.basicConfig(format="%(levelname)s %(message)s")
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    failures = 0
    for step in range(60):
        try:
            train_step(model, optimizer, step)
        except Exception:
            logging.exception("step %d failed", step)
            failures += 1
    print(f"{failures} failures")


if __name__ == "__main__":
    main()
