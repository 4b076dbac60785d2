"""Forks half-way through training; the child evaluates, the parent trains on."""

import os
import sys

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


def evaluate_in_child(model):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        with torch.no_grad():
            x, y = batch(256)
            print(f"child: {F.mse_loss(model(x), y).item():.6f}", flush=True)
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    print(f"the child ended with {os.waitstatus_to_exitcode(status)}")


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    evaluate_in_child(model)
    train(model, optimizer)
    evaluate_in_child(model)
    train(model, optimizer)


if __name__ == "__main__":
    main()
