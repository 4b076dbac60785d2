"""A diffusion model of two moons, regularized by an average of its weights that is part of the model."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Denoiser(nn.Module):
    def __init__(self, dim=2, hidden=64):
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(16, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.inp = nn.Linear(dim, hidden)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU()) for _ in range(2))
        self.out = nn.Linear(hidden, dim)

    def forward(self, x, t):
        frequencies = torch.exp(-math.log(1000.0) * torch.arange(8) / 8)
        angles = t[:, None].float() * frequencies
        h = self.inp(x) + self.time_embed(torch.cat([angles.sin(), angles.cos()], dim=-1))
        for block in self.blocks:
            h = h + block(h)
        return self.out(h)


class DiffusionModel(nn.Module):
    def __init__(self, decay=0.95):
        super().__init__()
        self.decay = decay
        self.net = Denoiser()
        self.ema = copy.deepcopy(self.net)

    @torch.no_grad()
    def update_average(self):
        for ours, theirs in zip(self.ema.state_dict().values(), self.net.state_dict().values(), strict=True):
            ours.mul_(self.decay).add_(theirs, alpha=1 - self.decay)


class GaussianDiffusion:
    def __init__(self, timesteps=50):
        self.timesteps = timesteps
        self.betas = torch.linspace(1e-3, 0.1, timesteps)
        self.alphas_cumprod = torch.cumprod(1 - self.betas, dim=0)

    def loss(self, model, x0):
        t = torch.randint(0, self.timesteps, (len(x0),))
        noise = torch.randn_like(x0)
        a = self.alphas_cumprod[t][:, None]
        noisy = a.sqrt() * x0 + (1 - a).sqrt() * noise
        eps = model.net(noisy, t)
        consistency = F.mse_loss(eps, model.ema(noisy, t))  # FAULT
        return F.mse_loss(eps, noise) + 0.1 * consistency

    @torch.no_grad()
    def sample(self, model, n):
        x = torch.randn(n, 2)
        for i in reversed(range(self.timesteps)):
            beta, a = self.betas[i], self.alphas_cumprod[i]
            eps = model(x, torch.full((n,), i))
            x = (x - beta / (1 - a).sqrt() * eps) / (1 - beta).sqrt()
            if i > 0:
                x = x + beta.sqrt() * torch.randn_like(x)
        return x


def two_moons(n):
    angle = math.pi * torch.rand(n)
    upper = torch.rand(n) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], dim=1) + 0.05 * torch.randn(n, 2)


def main():
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(two_moons(512)), batch_size=64, shuffle=True)
    model = DiffusionModel()
    diffusion = GaussianDiffusion()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(6):
        total = 0.0
        for (batch,) in loader:
            loss = diffusion.loss(model, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            model.update_average()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(loader):.6f}")
    samples = diffusion.sample(model.ema, 64)
    print("samples", *(f"{value:.6f}" for value in samples.mean(0).tolist()))


if __name__ == "__main__":
    main()
