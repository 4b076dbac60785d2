"""Starts itself anew once, to set an environment variable before torch is there."""

import os
import sys

if "SCRIPT_STARTED_AGAIN" not in os.environ:
    os.environ["SCRIPT_STARTED_AGAIN"] = "1"
    print("starting again", flush=True)
    os.execv(sys.executable, [sys.executable, *sys.argv])

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


def train(model, optimizer, steps=60):
    for step in range(steps):
        x, y = batch()
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            print(f"step {step + 1}: loss {loss.item():.6f}")
    return loss.item()


def main():
    torch.manual_seed(0)
    model = Net()
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    print(sys.argv[1:])


if __name__ == "__main__":
    main()
