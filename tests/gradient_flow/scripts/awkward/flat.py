"""Everything at module level, in anomaly mode, without a function."""

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


torch.manual_seed(0)
torch.autograd.set_detect_anomaly(True)
model = Net()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-2)
for step in range(40):
    x, y = batch()
    loss = F.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(step + 1, f"{loss.item():.6f}")
print([f"{p.norm().item():.6f}" for p in model.parameters()])
