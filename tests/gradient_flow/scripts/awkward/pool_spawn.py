"""Trains, and has a pool of processes (spawn) train from other seeds."""

import multiprocessing

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


def train(seed, steps=40):
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        x, y = batch()
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return seed, loss.item()


def main():
    torch.set_num_threads(1)
    print("here", *train(0))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for seed, loss in pool.map(train, [1, 2]):
            print(f"seed {seed}: {loss:.6f}")


if __name__ == "__main__":
    main()
