"""Makes an optimizer, computes gradients, looks at their norms, and never steps."""

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


def gradient_norms(model, optimizer, batches=30):
    for i in range(batches):
        x, y = batch()
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
        if i % 10 == 0:
            print(f"{i}: gradient norm {norm.item():.6f}")


def main():
    torch.manual_seed(0)
    model = Net()
    gradient_norms(model, torch.optim.Adam(model.parameters()))


if __name__ == "__main__":
    main()
