"""Optimiser steps of LIVR's first stage on the tiny model, by PyTorch with transformers and PEFT, for `bench`.

Options: `folder` as `bench/src/training-export.ts` writes it, `threads`, and `stepsPerSample`, the steps that one sample
is the mean of.

The work is that of the project's own step: visual tokens are computed once, because the vision tower is frozen; only
hidden states that predict a label go through the head; rows are padded to a multiple of 8; dropout of the adapter is on.
"""

import json
import math
import os
import time
from pathlib import Path

from bench_protocol import options, serve

OPTIONS = options()
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["OMP_NUM_THREADS"] = str(OPTIONS["threads"])

import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file
from transformers import Qwen2_5_VLForConditionalGeneration, get_cosine_schedule_with_warmup

IMAGE, PROMPT, _LATENT, ANSWER = range(4)
IGNORED = -100
LENGTH_STEP = 8
FOLDER = Path(OPTIONS["folder"])


def load_model() -> PeftModel:
    base, info = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        FOLDER / "model", attn_implementation="sdpa", dtype=torch.float32, output_loading_info=True
    )
    problems = {key: value for key, value in info.items() if value}
    assert not problems, problems
    return PeftModel.from_pretrained(base, FOLDER / "adapter", is_trainable=True).train()


def read_examples(count: int) -> list[dict[str, torch.Tensor]]:
    tensors = load_file(FOLDER / "examples.safetensors")
    names = ("input_ids", "roles", "labels", "grids", "pixel_values")
    return [{name: tensors[f"{index}.{name}"] for name in names} for index in range(count)]


def hidden_pairs(roles: torch.Tensor) -> torch.Tensor:
    """Additive mask [B, 1, S, S]: causal, and neither prompt nor answer sees the image."""
    length = roles.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    blind = (roles == PROMPT) | (roles == ANSWER)
    allowed = causal & ~(blind[:, :, None] & (roles == IMAGE)[:, None, :])
    return torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]


def encode(base: Qwen2_5_VLForConditionalGeneration, examples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Everything of a batch that no step changes."""
    longest = max(len(example["input_ids"]) for example in examples)
    length = math.ceil(longest / LENGTH_STEP) * LENGTH_STEP

    def padded(name: str, filler: int) -> torch.Tensor:
        return torch.stack([F.pad(example[name].long(), (0, length - len(example[name])), value=filler)
                            for example in examples])  # fmt: skip

    input_ids, roles, labels = padded("input_ids", 0), padded("roles", IMAGE), padded("labels", IGNORED)
    is_visual = input_ids == base.config.image_token_id
    positions = torch.zeros(3, *input_ids.shape, dtype=torch.long)
    for row, example in enumerate(examples):
        ids = example["input_ids"].long()[None]
        grids = example["grids"].long()
        own, _ = base.model.get_rope_index(ids, (ids == base.config.image_token_id).int(), image_grid_thw=grids)
        positions[:, row, : ids.shape[1]] = own[-3:, 0]
    with torch.no_grad():
        pixels = torch.cat([example["pixel_values"] for example in examples])
        grids = torch.cat([example["grids"].long() for example in examples])
        visual = base.model.visual(pixels, grid_thw=grids)
        features = getattr(visual, "pooler_output", visual)
    predicted = labels[:, 1:] != IGNORED
    return {
        "input_ids": input_ids, "where": is_visual[..., None], "features": features, "positions": positions,
        "mask": hidden_pairs(roles), "predictors": F.pad(predicted, (0, 1)), "labels": labels[:, 1:][predicted],
    }  # fmt: skip


def loss_of(base: Qwen2_5_VLForConditionalGeneration, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    embedded = base.get_input_embeddings()(batch["input_ids"]).masked_scatter(batch["where"], batch["features"])
    hidden = base.model.language_model(
        inputs_embeds=embedded, position_ids=batch["positions"], attention_mask=batch["mask"], use_cache=False
    ).last_hidden_state
    return F.cross_entropy(base.lm_head(hidden[batch["predictors"]]), batch["labels"])


def main() -> None:
    torch.set_num_threads(OPTIONS["threads"])
    torch.manual_seed(0)
    run = json.loads((FOLDER / "run.json").read_text())
    model = load_model()
    base = model.get_base_model()
    size = run["batch_size"]
    examples = read_examples(2 * size)
    batches = [encode(base, examples[start : start + size]) for start in (0, size)]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=run["learning_rate"], weight_decay=run["weight_decay"])
    schedule = get_cosine_schedule_with_warmup(optimiser, run["warmup_steps"], run["total_steps"])
    with torch.no_grad():
        first_loss = loss_of(base, batches[0]).item()
    steps = 0

    def step() -> None:
        nonlocal steps
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(base, batches[steps % len(batches)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, run["max_grad_norm"])
        optimiser.step()
        schedule.step()
        loss.item()
        steps += 1

    def sample() -> dict:
        start = time.perf_counter()
        for _ in range(OPTIONS["stepsPerSample"]):
            step()
        return {"ms per step": (time.perf_counter() - start) * 1000 / OPTIONS["stepsPerSample"]}

    serve(sample, lambda: {"loss": first_loss, "threads": torch.get_num_threads(), "torch": torch.__version__,
                           "trained": sum(parameter.numel() for parameter in parameters)})  # fmt: skip


if __name__ == "__main__":
    main()
