"""A classifier with Hugging Face's Accelerate: gradient accumulation, clipping, a schedule."""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.optim.lr_scheduler import LinearLR
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(10, 32), nn.GELU(), nn.LayerNorm(32), nn.Dropout(0.1))
        self.classifier = nn.Linear(32, 4)

    def forward(self, x):
        return self.classifier(self.features(x))


def evaluate(accelerator, model, loader):
    model.eval()
    correct = total = 0
    for x, y in loader:
        with torch.inference_mode():
            predictions = model(x).argmax(dim=-1)
        predictions, y = accelerator.gather_for_metrics((predictions, y))
        correct += (predictions == y).sum().item()
        total += len(y)
    return correct / total


def training_function():
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    set_seed(42)
    teacher = torch.randn(10, 4)
    x = torch.randn(640, 10)
    dataset = TensorDataset(x, (x @ teacher).argmax(dim=1))
    train_loader = DataLoader(dataset, batch_size=32, shuffle=True)
    eval_loader = DataLoader(dataset, batch_size=128)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    scheduler = LinearLR(optimizer, 1.0, 0.1, total_iters=80)
    model, optimizer, train_loader, eval_loader, scheduler = accelerator.prepare(
        model, optimizer, train_loader, eval_loader, scheduler
    )
    criterion = nn.CrossEntropyLoss()
    for epoch in range(4):
        model.train()
        total = 0.0
        for x, y in train_loader:
            with accelerator.accumulate(model):
                loss = criterion(model(x), y)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            total += loss.item()
        accuracy = evaluate(accelerator, model, eval_loader)
        accelerator.print(f"epoch {epoch}: loss {total / len(train_loader):.6f} accuracy {accuracy:.4f}")


if __name__ == "__main__":
    training_function()
