"""Optimisers of torch (AdamW, SGD, Muon) and its weight average: `tensor-core/test/golden/optimisers`.

All runs start from `<leaf>.initial` and take the 50 gradients `<leaf>.gradients`, whose scale goes from 1e-4 to 10
and which are zero in one step. `<run>.<leaf>.trajectory` is the parameter after the steps in `kept`,
`<run>.<leaf>.<state>` what the optimiser holds at the end.

Runs are in float64: torch's own float32 run is off it by `float32_noise` (relative to the largest parameter), mostly
because the decay factor 1 - lr * weight_decay is rounded the same way in every step.

torch.optim.Muon iterates in bfloat16. The runs `muon *` are torch's own code with that cast taken out, so that they can
be compared closely; `stock muon` is as it comes.

The average takes the gradients for the parameters of each step: what it averages does not matter.
"""

import contextlib
from unittest import mock

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from common import TENSOR_CORE, generator, prepare, write_golden

STEPS = 50
KEPT = [1, 2, 20, 21, 50]
SHAPES = {"wide": (3, 4), "tall": (6, 2), "vector": (5,)}
MATRICES = ["wide", "tall"]
LR = 1e-2
ADAMW = {"lr": LR, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05}
# name -> (class, options, leaves)
RUNS = {
    "adamw": (torch.optim.AdamW, ADAMW, [*SHAPES]),
    "adamw fast": (torch.optim.AdamW, {"lr": LR, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.0}, [*SHAPES]),
    "sgd": (torch.optim.SGD, {"lr": LR}, [*SHAPES]),
    "sgd decay": (torch.optim.SGD, {"lr": LR, "weight_decay": 0.1}, [*SHAPES]),
    "sgd momentum": (torch.optim.SGD, {"lr": LR, "momentum": 0.9}, [*SHAPES]),
    "sgd dampening": (torch.optim.SGD, {"lr": LR, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}, [*SHAPES]),
    "sgd nesterov": (torch.optim.SGD, {"lr": LR, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, [*SHAPES]),
    "muon": (torch.optim.Muon, {"lr": LR}, MATRICES),
    "muon rms": (torch.optim.Muon, {"lr": LR, "adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.0}, MATRICES),
    "muon plain": (torch.optim.Muon, {"lr": LR, "momentum": 0.8, "nesterov": False, "ns_steps": 3}, MATRICES),
    "stock muon": (torch.optim.Muon, {"lr": LR}, MATRICES),
}
# AdamW with parameter groups: leaf -> what differs from ADAMW.
GROUPS = {"vector": {"weight_decay": 0.0, "lr": LR / 4}}
EMA_DECAY = 0.9


def made_data() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    source = generator(1)
    initial = {leaf: torch.randn(shape, generator=source) for leaf, shape in SHAPES.items()}
    gradients: dict[str, list] = {leaf: [] for leaf in SHAPES}
    for step in range(STEPS):
        scale = 0.0 if step == 20 else 10.0 ** (step % 6 - 4)
        for leaf, shape in SHAPES.items():
            gradients[leaf].append(scale * torch.randn(shape, generator=source))
    return initial, {leaf: torch.stack(values) for leaf, values in gradients.items()}


def run(optimiser: torch.optim.Optimizer, parameters: dict, gradients: dict) -> dict[str, torch.Tensor]:
    """Kept parameters and final state, by `<leaf>.<what>`."""
    kept: dict[str, list] = {leaf: [] for leaf in parameters}
    for step in range(STEPS):
        for leaf, value in parameters.items():
            value.grad = gradients[leaf][step].to(value.dtype)
        optimiser.step()
        if step + 1 in KEPT:
            for leaf, value in parameters.items():
                kept[leaf].append(value.detach().clone())
    tensors = {f"{leaf}.trajectory": torch.stack(values) for leaf, values in kept.items()}
    for leaf, value in parameters.items():
        state = {key: entry for key, entry in optimiser.state[value].items() if key != "step" and entry is not None}
        tensors |= {f"{leaf}.{key}": entry for key, entry in state.items()}
    return tensors


def in_own_precision():
    """Takes the cast to bfloat16 out of torch.optim.Muon, which works on the copy that the cast made."""
    return mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone)


def optimise(name: str, initial: dict, gradients: dict, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    kind, options, leaves = RUNS[name]
    parameters = {leaf: torch.nn.Parameter(initial[leaf].to(dtype, copy=True)) for leaf in leaves}
    with in_own_precision() if name.startswith("muon") else contextlib.nullcontext():
        return run(kind(parameters.values(), **options), parameters, gradients)


def grouped(initial: dict, gradients: dict) -> dict[str, torch.Tensor]:
    parameters = {leaf: torch.nn.Parameter(value.double()) for leaf, value in initial.items()}
    groups = [{"params": [value], **GROUPS.get(leaf, {})} for leaf, value in parameters.items()]
    return run(torch.optim.AdamW(groups, **ADAMW), parameters, gradients)


def average(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    model = torch.nn.ParameterDict({leaf: torch.zeros(shape, dtype=torch.float64) for leaf, shape in SHAPES.items()})
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
    kept: dict[str, list] = {leaf: [] for leaf in SHAPES}
    for step in range(STEPS):
        for leaf, parameter in model.items():
            parameter.data = values[leaf][step].double()
        averaged.update_parameters(model)
        if step + 1 in KEPT:
            for leaf, parameter in averaged.module.items():
                kept[leaf].append(parameter.detach().clone())
    return {f"{leaf}.trajectory": torch.stack(entries) for leaf, entries in kept.items()}


def float32_noise(name: str, exact: dict, initial: dict, gradients: dict) -> float:
    """Largest difference of the same run in float32, relative to the largest parameter."""
    tensors = optimise(name, initial, gradients, torch.float32)
    return max(
        ((tensors[key] - exact[key]).abs().max() / exact[key].abs().max()).item()
        for key in tensors
        if key.endswith("trajectory")
    )


def main() -> None:
    prepare()
    initial, gradients = made_data()
    runs = {name: optimise(name, initial, gradients) for name in RUNS}
    noises = {name: float(f"{float32_noise(name, runs[name], initial, gradients):.1e}") for name in RUNS}
    runs |= {"adamw groups": grouped(initial, gradients), "average": average(gradients)}
    tensors = {f"{leaf}.initial": value for leaf, value in initial.items()}
    tensors |= {f"{leaf}.gradients": value for leaf, value in gradients.items()}
    tensors |= {f"{name}.{key}": value for name, entries in runs.items() for key, value in entries.items()}
    manifest = {
        "runs": {name: {"options": options, "leaves": leaves} for name, (_, options, leaves) in RUNS.items()},
        "groups": {"options": ADAMW, "overrides": GROUPS},
        "ema_decay": EMA_DECAY,
        "kept": KEPT,
        "float32_noise": noises,
    }
    write_golden(TENSOR_CORE, "optimisers", tensors, manifest)


if __name__ == "__main__":
    main()
