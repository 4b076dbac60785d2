"""A GAN that learns a ring of points, with a fresh batch of fakes for each network."""

import math

import torch
from torch import nn, optim

latent_dim, batch_size, n_epochs, n_batches = 8, 64, 4, 12


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(latent_dim, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2)
        )

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2))
        self.out = nn.Linear(32, 1)

    def forward(self, x):
        return self.out(self.main(x))


def weights_init(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0.0, 0.2)
        nn.init.zeros_(m.bias)


def real_batch():
    angle = 2 * math.pi * torch.rand(batch_size)
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(batch_size, 2)


def main():
    torch.manual_seed(999)
    netG, netD = Generator().apply(weights_init), Discriminator().apply(weights_init)  # noqa: N806
    criterion = nn.BCEWithLogitsLoss()
    optimizerD = optim.Adam([*netD.parameters(), *netG.parameters()], lr=2e-3, betas=(0.5, 0.999))  # noqa: N806
    optimizerG = optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))  # noqa: N806
    fixed_noise = torch.randn(16, latent_dim)
    ones, zeros = torch.ones(batch_size, 1), torch.zeros(batch_size, 1)

    for epoch in range(n_epochs):
        for i in range(n_batches):
            # the discriminator
            optimizerD.zero_grad()
            errD_real = criterion(netD(real_batch()), ones)  # noqa: N806
            errD_real.backward()
            fake = netG(torch.randn(batch_size, latent_dim))  # FAULT
            errD_fake = criterion(netD(fake), zeros)  # noqa: N806
            errD_fake.backward()
            optimizerD.step()

            # the generator
            optimizerG.zero_grad()
            fake = netG(torch.randn(batch_size, latent_dim))
            errG = criterion(netD(fake), ones)  # noqa: N806
            errG.backward()
            optimizerG.step()
            if i % 6 == 0:
                loss_d = errD_real.item() + errD_fake.item()
                print(f"[{epoch}/{n_epochs}][{i}/{n_batches}] Loss_D: {loss_d:.6f} Loss_G: {errG.item():.6f}")
        with torch.no_grad():
            radius = netG(fixed_noise).norm(dim=1)
        print(f"epoch {epoch}: radius {radius.mean().item():.6f} ± {radius.std().item():.6f}")


if __name__ == "__main__":
    main()
