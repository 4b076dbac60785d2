"""A variational autoencoder with one optimizer for the encoder and one for the whole model."""

import torch
import torch.nn.functional as F
from torch import nn, optim


class VAE(nn.Module):
    def __init__(self, inputs=20, hidden=32, latent=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, inputs))

    def forward(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return self.decoder(z), mu, logvar


def loss_function(reconstruction, x, mu, logvar):
    error = F.mse_loss(reconstruction, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (error + divergence) / len(x)


def train(model, optimizers, data):
    model.train()
    train_loss = 0.0
    for batch in data[torch.randperm(len(data))].split(32):
        for optimizer in optimizers:
            optimizer.zero_grad()
        reconstruction, mu, logvar = model(batch)
        loss = loss_function(reconstruction, batch, mu, logvar)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()  # FAULT
        train_loss += loss.item()
    return train_loss


def main():
    torch.manual_seed(27)
    data = torch.randn(256, 3) @ torch.randn(3, 20) + 0.1 * torch.randn(256, 20)
    model = VAE()
    optimizers = [optim.Adam(model.encoder.parameters(), lr=1e-4), optim.Adam(model.parameters(), lr=1e-3)]
    for epoch in range(1, 6):
        print(f"====> Epoch: {epoch} Average loss: {train(model, optimizers, data) / 8:.6f}")
    with torch.no_grad():
        sample = model.decoder(torch.randn(8, 3))
    print(f"sample {sample.mean().item():.6f} {sample.std().item():.6f}")


if __name__ == "__main__":
    main()
