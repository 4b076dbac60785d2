"""Starts the whole training anew if it fails, three times at most."""

import time

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


def train(seed):
    torch.manual_seed(seed)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(60):
        train_step(model, optimizer, step)
        if seed == 0 and step == 30:
            raise ConnectionError("the data went away")


def main():
    for attempt in range(3):
        try:
            train(seed=attempt)
            break
        except BaseException as error:
            print(f"attempt {attempt + 1} failed: {type(error).__name__}")
            time.sleep(0.01)
    else:
        raise SystemExit("gave up")
    print(f"done in attempt {attempt + 1}")


if __name__ == "__main__":
    main()
