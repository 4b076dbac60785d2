"""Takes its settings from the standard input."""

import json
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


def main():
    settings = json.loads(sys.stdin.readline())
    torch.manual_seed(settings["seed"])
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["lr"])
    for line in sys.stdin:
        print(f"command {line.strip()!r}")
        train(model, optimizer, steps=int(line.split()[1]))
    print(input.__name__, sys.stdin.read() == "")


if __name__ == "__main__":
    main()
