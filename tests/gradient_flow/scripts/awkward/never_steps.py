"""Evaluates a network and trains nothing."""

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


@torch.no_grad()
def evaluate(model, batches=10):
    losses = [F.mse_loss(model(x), y).item() for x, y in (batch() for _ in range(batches))]
    return sum(losses) / len(losses)


def main():
    torch.manual_seed(0)
    model = Net().eval()
    print(f"loss {evaluate(model):.6f}")


if __name__ == "__main__":
    main()
