"""Prints its last figures from functions that run at exit."""

import atexit

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


@atexit.register
def goodbye():
    print("goodbye")


def main():
    torch.manual_seed(0)
    model = Net()
    atexit.register(lambda: print(f"last weights {sum(p.sum() for p in model.parameters()).item():.6f}"))
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    atexit.register(print, "first of all")


if __name__ == "__main__":
    main()
