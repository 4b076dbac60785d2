"""A tiny GPT-2 from its configuration, trained by transformers' Trainer on counting."""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)


class Counting(Dataset):
    """Sequences that count upwards by 1, 2 or 3, modulo the vocabulary."""

    def __init__(self, n, length=16, vocabulary=31):
        start, stride = torch.randint(vocabulary, (n, 1)), torch.randint(1, 4, (n, 1))
        self.sequences = (start + stride * torch.arange(length)) % vocabulary

    def __len__(self):
        return len(self.sequences)

    def __getitem__(self, i):
        return {"input_ids": self.sequences[i], "labels": self.sequences[i]}


class PrintLogs(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        shown = {key: logs[key] for key in ("loss", "grad_norm", "eval_loss", "train_loss") if key in logs}
        print(state.global_step, *(f"{key}={float(value):.5f}" for key, value in shown.items()))


def main():
    set_seed(0)
    config = GPT2Config(vocab_size=31, n_positions=16, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=40,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=2,
            learning_rate=2e-3,
            logging_steps=10,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            seed=0,
        )
        trainer = Trainer(
            model=model, args=arguments, train_dataset=Counting(400), eval_dataset=Counting(32), callbacks=[PrintLogs()]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.evaluate()


if __name__ == "__main__":
    main()
