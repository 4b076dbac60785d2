"""Is profiled by cProfile and a trace function of its own, and takes warnings for errors."""

import cProfile
import pstats
import sys
import warnings

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
    warnings.simplefilter("error")
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    profile = cProfile.Profile()
    profile.runcall(train, model, optimizer)
    stats = pstats.Stats(profile).stats
    print({name: calls[0] for (_, _, name), calls in sorted(stats.items()) if name in ("batch", "train")})

    lines = []
    sys.settrace(lambda frame, event, _: lines.append(event) if frame.f_code is batch.__code__ else None)
    train(model, optimizer, steps=20)
    sys.settrace(None)
    print(len(lines), "calls traced")


if __name__ == "__main__":
    main()
