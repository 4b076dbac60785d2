"""Writes to a log and to the screen at once, by a stdout of its own."""

import contextlib
import io
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


class Tee(io.TextIOBase):
    def __init__(self, *streams):
        self.streams = streams

    def write(self, text):
        for stream in self.streams:
            stream.write(text)
        return len(text)

    def flush(self):
        for stream in self.streams:
            stream.flush()


def main():
    torch.manual_seed(0)
    model = Net()
    log, screen = io.StringIO(), sys.stdout
    sys.stdout = Tee(screen, log)
    train(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    with contextlib.redirect_stderr(sys.stdout):
        print("to the log as well", file=sys.stderr)
    sys.stdout = screen
    print(len(log.getvalue().splitlines()), "lines in the log")


if __name__ == "__main__":
    main()
