"""Evaluates under inference_mode after every few steps."""

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


@torch.inference_mode()
def evaluate(model):
    model.eval()
    x, y = batch(128)
    loss = F.mse_loss(model(x), y)
    model.train()
    return loss.item(), loss.is_inference()


def main():
    torch.manual_seed(0)
    model = nn.Sequential(Net(), nn.Dropout(0.1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(50):
        x, y = batch()
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 9:
            print(step + 1, *evaluate(model))


if __name__ == "__main__":
    main()
