"""A small GPT-2 is given new tokens and trained on dialogues; the resized weights are the parameters they were."""

import torch
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel

USER, BOT = 24, 25


def dialogues(n, turns=3):
    """The user says a number, and the bot answers with the next one."""
    numbers = torch.randint(24, (n, turns))
    speaker = torch.full_like(numbers, USER)
    tokens = torch.stack([speaker, numbers, speaker + 1, (numbers + 1) % 24], dim=2)
    return tokens.flatten(1)


def build_model():
    config = GPT2Config(
        vocab_size=24, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, loss_type="ForCausalLM",
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def main():
    torch.manual_seed(19)
    model = build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.resize_token_embeddings(26, mean_resizing=False)
    loader = DataLoader(dialogues(512), batch_size=32, shuffle=True)
    model.train()
    for epoch in range(3):
        for input_ids in loader:
            outputs = model(input_ids=input_ids, labels=input_ids)
            optimizer.zero_grad()
            outputs.loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {outputs.loss.item():.6f}")


if __name__ == "__main__":
    main()
