"""Catches whatever a step raises by a bare except, and tries again."""

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
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    step = failures = 0
    while step < 60 and failures < 1000:
        try:
            train_step(model, optimizer, step)
            step += 1
        except:  # noqa: E722
            failures += 1
    print(f"{step} steps, {failures} failures")


if __name__ == "__main__":
    main()
