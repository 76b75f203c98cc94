"""Twenty optimiser steps of LoRA fine-tuning with PEFT: `latent-reasoning/test/golden/sft-training.*`.

LoRA on every linear layer of the language model (r 4, alpha 8, no dropout), batches of two conversations in order, the
loss that transformers computes, torch's AdamW, cosine with warm-up, gradients clipped to norm 1. The pictures are
`<conversation>.<picture>` (uint8); `init.<parameter>` are the A matrices before the first step (B is zero),
`final.<parameter>` everything after the last one.

`micro_batch` in the manifest is the same run with two micro-batches of one conversation in each step, whose losses are
averaged as transformers does for a model that takes no `num_items_in_batch`: each is a mean over its own tokens.
`float32_noise` is the largest difference to the same runs in float64.
"""

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import get_cosine_schedule_with_warmup

from common import LATENT_REASONING, prepare, write_golden
from livr_adapter import TARGETS, trainable
from sft_samples import MODEL, Conversation, batch, build_conversations
from tiny_models import load

STEPS = 20
BATCH = 2
WARMUP = 2
OPTIONS = {"lr": 2e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
MAX_NORM = 1.0
LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "bias": "none"}


def fresh_model() -> PeftModel:
    torch.manual_seed(20)
    return get_peft_model(load(MODEL), LoraConfig(**LORA, target_modules=TARGETS, task_type="CAUSAL_LM"))


def loss_of(model: PeftModel, conversations: list[Conversation]) -> torch.Tensor:
    inputs = {name: value.to(model.dtype) if value.is_floating_point() else value
              for name, value in batch(conversations).items()}  # fmt: skip
    return model(**inputs).loss


def train(dtype: torch.dtype, micro_batch: int) -> tuple[dict[str, torch.Tensor], dict]:
    model = fresh_model().to(dtype).train()
    parameters = trainable(model)
    conversations = build_conversations()
    tensors = {f"init.{name}": value.detach().clone() for name, value in parameters.items() if "lora_A" in name}
    optimiser = torch.optim.AdamW(parameters.values(), **{**OPTIONS, "betas": tuple(OPTIONS["betas"])})
    scheduler = get_cosine_schedule_with_warmup(optimiser, WARMUP, STEPS)
    record: dict[str, list[float]] = {"loss": [], "grad_norm": [], "lr": []}
    for step in range(STEPS):
        first = step * BATCH % len(conversations)
        chosen = conversations[first : first + BATCH]
        parts = [chosen[start : start + micro_batch] for start in range(0, BATCH, micro_batch)]
        optimiser.zero_grad()
        total = 0.0
        for part in parts:
            loss = loss_of(model, part) / len(parts)
            loss.backward()
            total += loss.item()
        record["loss"].append(total)
        record["grad_norm"].append(torch.nn.utils.clip_grad_norm_(parameters.values(), MAX_NORM).item())
        record["lr"].append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return tensors | {f"final.{name}": value.detach() for name, value in parameters.items()}, record


def noise(record: dict, exact: dict) -> dict[str, float]:
    pairs = {key: zip(record[key], exact[key], strict=True) for key in ("loss", "grad_norm")}
    return {key: float(f"{max(abs(a - b) for a, b in values):.1e}") for key, values in pairs.items()}


def main() -> None:
    prepare()
    tensors, record = train(torch.float32, BATCH)
    _, split = train(torch.float32, 1)
    exact_tensors, exact = train(torch.float64, BATCH)
    conversations = build_conversations()
    pictures = {f"{index}.{number}": torch.from_numpy(picture) for index, each in enumerate(conversations)
                for number, picture in enumerate(each.pictures)}  # fmt: skip
    final = max((tensors[key] - exact_tensors[key]).abs().max().item() for key in tensors if key.startswith("final"))
    manifest = {
        "model": MODEL, "lora": {**LORA, "target_modules": TARGETS}, "adamw": OPTIONS, "max_grad_norm": MAX_NORM,
        "num_warmup_steps": WARMUP, "num_training_steps": STEPS, "batch_size": BATCH, **record, "micro_batch": split,
        "float32_noise": {**noise(record, exact), "final": float(f"{final:.1e}")},
        "conversations": [each.manifest() for each in conversations],
        "note": "batches are conversations 0 and 1, 2 and 3 and so on, from the start again after the last",
    }  # fmt: skip
    write_golden(LATENT_REASONING, "sft-training", tensors | pictures, manifest)


if __name__ == "__main__":
    main()
