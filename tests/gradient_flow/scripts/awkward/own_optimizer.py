"""An optimizer written by hand, one that wraps another, and a loop that needs neither."""

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


class SignSGD(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad.sign(), alpha=-group["lr"])


class Warmup:
    """Not an Optimizer, but has one."""

    def __init__(self, optimizer, steps):
        self.optimizer, self.steps, self.count = optimizer, steps, 0
        self.lr = optimizer.param_groups[0]["lr"]

    def minimize(self, loss):
        self.count += 1
        self.optimizer.param_groups[0]["lr"] = self.lr * min(1.0, self.count / self.steps)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def main():
    torch.manual_seed(0)
    signed, warmed, manual = Net(), Net(), Net()
    optimizer = SignSGD(signed.parameters(), lr=2e-3)
    warmup = Warmup(torch.optim.Adam(warmed.parameters(), lr=1e-2), steps=10)
    for step in range(50):
        x, y = batch()
        optimizer.zero_grad()
        F.mse_loss(signed(x), y).backward()
        optimizer.step()
        warmup.minimize(F.mse_loss(warmed(x), y))
        gradients = torch.autograd.grad(F.mse_loss(manual(x), y), list(manual.parameters()))
        with torch.no_grad():
            for p, g in zip(manual.parameters(), gradients, strict=True):
                p -= 0.05 * g
        if step % 10 == 9:
            print(step + 1, *(f"{F.mse_loss(net(x), y).item():.6f}" for net in (signed, warmed, manual)))


if __name__ == "__main__":
    main()
