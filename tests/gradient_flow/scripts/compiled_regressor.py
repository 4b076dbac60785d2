"""A regressor under torch.compile, with an average of its weights for evaluation."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Residual(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return x + F.gelu(self.fc(self.norm(x)))


class Regressor(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed = nn.Linear(3, dim)
        self.body = nn.Sequential(Residual(dim), Residual(dim))
        self.head = nn.Linear(dim, 1)

    def forward(self, x):
        return self.head(self.body(self.embed(x)))


def batches(n, size=64):
    for _ in range(n):
        x = 2 * torch.rand(size, 3) - 1
        yield x, torch.sin(3 * x[:, :1]) * x[:, 1:2] + x[:, 2:].abs()


def main():
    torch.manual_seed(21)
    model = Regressor()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    compiled = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for i, (x, y) in enumerate(batches(60)):
        loss = F.mse_loss(compiled(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(model)
        if i % 15 == 14:
            print(f"{i + 1}: loss {loss.item():.6f}")
    with torch.no_grad():
        x, y = next(batches(1, 256))
        print(f"average: {F.mse_loss(average(x), y).item():.6f}, last: {F.mse_loss(model(x), y).item():.6f}")


if __name__ == "__main__":
    main()
