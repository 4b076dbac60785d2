"""An autoencoder in mixed precision: autocast to bfloat16 and a GradScaler, as on a GPU."""

import torch
from torch import nn
from torch.amp import GradScaler, autocast


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 32), nn.SiLU(), nn.Linear(32, 4))

    def forward(self, x):
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), nn.Linear(32, 64))

    def forward(self, z):
        return self.net(z)


class Trainer:
    def __init__(self, use_amp=True):
        self.encoder, self.decoder = Encoder(), Decoder()
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=3e-3)
        self.scaler = GradScaler("cpu", enabled=use_amp, init_scale=1024.0)
        self.use_amp = use_amp

    def step(self, x):
        self.optimizer.zero_grad()
        with autocast("cpu", dtype=torch.bfloat16, enabled=self.use_amp):
            reconstruction = self.decoder(self.encoder(x))
            loss = nn.functional.mse_loss(reconstruction, x)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.item()


def main():
    torch.manual_seed(8)
    basis = torch.randn(4, 64)
    trainer = Trainer()
    for i in range(50):
        x = torch.randn(32, 4) @ basis + 0.05 * torch.randn(32, 64)
        loss = trainer.step(x)
        if i % 10 == 9:
            print(f"step {i + 1}: loss {loss:.6f} scale {trainer.scaler.get_scale():.0f}")


if __name__ == "__main__":
    main()
