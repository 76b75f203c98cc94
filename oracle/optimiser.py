"""Optimiser: torch's AdamW and gradient clipping, transformers' cosine schedule: `tensor-core/test/golden/`."""

import math

import torch
from transformers import get_cosine_schedule_with_warmup

from common import TENSOR_CORE, generator, prepare, versions, write_golden, write_json

STEPS = 50
SHAPES = {"matrix": (3, 4), "vector": (5,)}
ADAMW = {"lr": 1e-2, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05}
SCHEDULES = [(10, 2), (40, 2), (7, 0), (100, 5), (5, 5)]
# name -> (maximum norm, scale of the gradients)
CLIPS = {"below": (10.0, 0.1), "above": (1.0, 3.0), "far above": (0.5, 1e4), "zero": (1.0, 0.0)}


def adamw() -> dict[str, torch.Tensor]:
    """Gradients with scales from 1e-4 to 10, one zero gradient step, and the trajectory after every step."""
    source = generator(1)
    parameters = {name: torch.nn.Parameter(torch.randn(shape, generator=source)) for name, shape in SHAPES.items()}
    optimiser = torch.optim.AdamW(parameters.values(), **{**ADAMW, "betas": tuple(ADAMW["betas"])})
    tensors = {f"{name}.initial": value.detach().clone() for name, value in parameters.items()}
    gradients: dict[str, list] = {name: [] for name in SHAPES}
    trajectory: dict[str, list] = {name: [] for name in SHAPES}
    for step in range(STEPS):
        scale = 0.0 if step == 20 else 10.0 ** (step % 6 - 4)
        for name, value in parameters.items():
            value.grad = scale * torch.randn(value.shape, generator=source)
            gradients[name].append(value.grad.clone())
        optimiser.step()
        for name, value in parameters.items():
            trajectory[name].append(value.detach().clone())
    for name, value in parameters.items():
        tensors[f"{name}.gradients"] = torch.stack(gradients[name])
        tensors[f"{name}.trajectory"] = torch.stack(trajectory[name])
        tensors[f"{name}.exp_avg"] = optimiser.state[value]["exp_avg"]
        tensors[f"{name}.exp_avg_sq"] = optimiser.state[value]["exp_avg_sq"]
    return tensors


def clipping() -> tuple[dict[str, torch.Tensor], list[dict]]:
    tensors: dict[str, torch.Tensor] = {}
    entries = []
    for index, (name, (maximum, scale)) in enumerate(CLIPS.items()):
        source = generator(10 + index)
        parameters = {key: torch.nn.Parameter(torch.zeros(shape)) for key, shape in SHAPES.items()}
        for key, value in parameters.items():
            value.grad = scale * torch.randn(value.shape, generator=source)
            tensors[f"{index}.{key}.before"] = value.grad.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), maximum)
        tensors |= {f"{index}.{key}.after": value.grad for key, value in parameters.items()}
        entries.append({"index": index, "name": name, "max_norm": maximum, "total_norm": norm.item()})
    return tensors, entries


def schedule(steps: int, warmup: int) -> list[float]:
    """Multiplier of the learning rate for update 0, 1, ...: transformers starts with the value at step 0."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_cosine_schedule_with_warmup(optimiser, warmup, steps)
    values = []
    for _ in range(steps):
        values.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return values


def main() -> None:
    prepare()
    note = "trajectory [steps, ...] is the parameter after each step"
    write_golden(TENSOR_CORE, "adamw", adamw(), {"options": ADAMW, "steps": STEPS, "note": note})
    tensors, entries = clipping()
    norm = "l2 over all tensors, scale = min(1, max_norm / (norm + 1e-6))"
    write_golden(TENSOR_CORE, "clip-grad-norm", tensors, {"norm": norm, "entries": entries})
    schedules = [{"num_training_steps": n, "num_warmup_steps": w, "multipliers": schedule(n, w)} for n, w in SCHEDULES]
    assert all(math.isfinite(value) for entry in schedules for value in entry["multipliers"])
    write_json(TENSOR_CORE / "cosine-schedule.json", {"entries": schedules, "versions": versions()})


if __name__ == "__main__":
    main()
