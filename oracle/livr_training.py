"""Answer-only loss, gradients and five optimiser steps from the committed adapter, stage 1 mask, both samples per step.

Two variants, because a tied head raises the question whether the latents' rows of the *head* move too:
`tied-head`:   as PEFT does it, the trained rows replace the rows of the embedding and of the head.
`frozen-head`: as LIVR says it, only the input rows train; the head keeps the base rows.
Files: `latent-reasoning/test/golden/training.<variant>.*` with `grad.<parameter>` of step 0, `final.<parameter>` after
step 5, and `after.<n>.<parameter>` after n = 2, 3 and 4 steps for one layer and the token rows (the first step has
learning rate 0).

loss = sum over both samples of the answer tokens' cross entropy / number of answer tokens of both samples.
Each run is repeated in float64; `float32_noise` in the manifest is the largest difference, a floor for any tolerance.
AdamW divides by the gradient's own size, so a parameter whose gradient is nearly zero differs by up to a tenth of the
learning rate.
"""

import math

import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import get_cosine_schedule_with_warmup

from common import LATENT_REASONING, prepare, write_golden
from livr_adapter import ADAPTER, trainable
from livr_samples import IGNORED, MODEL, Sample, build_samples
from tiny_models import load

STEPS = 5
OPTIONS = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}
MAX_NORM = 1.0
WARMUP = math.ceil(0.05 * STEPS)
STAGE = 1
FOLLOWED = ("layers.1.", "trainable_tokens_delta")


def load_adapter(tied_head: bool) -> PeftModel:
    model = PeftModel.from_pretrained(load(MODEL), ADAPTER, is_trainable=True)
    base = model.get_base_model()
    if not tied_head:
        embedding = base.get_input_embeddings().token_adapter.base_layer.weight
        head = torch.nn.Linear(*reversed(embedding.shape), bias=False)
        head.weight = torch.nn.Parameter(embedding.detach().clone(), requires_grad=False)
        base.lm_head = head
    return model.train()


def summed_loss(model: PeftModel, sample: Sample) -> torch.Tensor:
    inputs = {name: value.to(model.dtype) if torch.is_tensor(value) and value.is_floating_point() else value
              for name, value in sample.inputs(STAGE).items()}  # fmt: skip
    logits = model(**inputs).logits
    return F.cross_entropy(logits[0, :-1], sample.labels[0, 1:], ignore_index=IGNORED, reduction="sum")


def train(tied_head: bool, dtype: torch.dtype) -> tuple[dict[str, torch.Tensor], dict]:
    model = load_adapter(tied_head).to(dtype)
    parameters = trainable(model)
    samples = build_samples(model.get_base_model())
    answer_tokens = sum((sample.labels != IGNORED).sum().item() for sample in samples)
    optimiser = torch.optim.AdamW(parameters.values(), **{**OPTIONS, "betas": tuple(OPTIONS["betas"])})
    scheduler = get_cosine_schedule_with_warmup(optimiser, WARMUP, STEPS)
    tensors: dict[str, torch.Tensor] = {}
    record: dict[str, list] = {"loss": [], "sample_loss": [], "grad_norm": [], "lr": []}
    for step in range(STEPS + 1):
        optimiser.zero_grad()
        sums = [summed_loss(model, sample) for sample in samples]
        loss = sum(sums) / answer_tokens
        record["loss"].append(loss.item())
        record["sample_loss"].append([value.item() for value in sums])
        if step == STEPS:
            break
        loss.backward()
        if step == 0:
            tensors |= {f"grad.{name}": value.grad.clone() for name, value in parameters.items()}
        record["grad_norm"].append(torch.nn.utils.clip_grad_norm_(parameters.values(), MAX_NORM).item())
        record["lr"].append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
        if 0 < step < STEPS - 1:
            followed = {name: value for name, value in parameters.items() if any(part in name for part in FOLLOWED)}
            tensors |= {f"after.{step + 1}.{name}": value.detach().clone() for name, value in followed.items()}
    tensors |= {f"final.{name}": value.detach() for name, value in parameters.items()}
    return tensors, {**record, "answer_tokens": answer_tokens}


def float32_noise(tied_head: bool, tensors: dict[str, torch.Tensor], record: dict) -> dict[str, float]:
    exact, exact_record = train(tied_head, torch.float64)
    noise = {"loss": max(abs(a - b) for a, b in zip(record["loss"], exact_record["loss"], strict=True))}
    for kind in ("grad", "final"):
        noise[kind] = max((tensors[key] - exact[key]).abs().max().item() for key in tensors if key.startswith(kind))
    return {key: float(f"{value:.1e}") for key, value in noise.items()}


def main() -> None:
    prepare()
    for name, tied_head in {"tied-head": True, "frozen-head": False}.items():
        tensors, record = train(tied_head, torch.float32)
        manifest = {
            "model": MODEL, "adapter": "adapter/", "tied_head": tied_head, "stage": STAGE, "adamw": OPTIONS,
            "max_grad_norm": MAX_NORM, "num_warmup_steps": WARMUP, "num_training_steps": STEPS, **record,
            "float32_noise": float32_noise(tied_head, tensors, record),
            "note": "loss has one entry more than lr, after the last step; grads of step 0 are before clipping",
        }  # fmt: skip
        write_golden(LATENT_REASONING, f"training.{name}", tensors, manifest)


if __name__ == "__main__":
    main()
