"""Learning-rate schedules of transformers by their names: `tensor-core/test/golden/schedules.json`."""

import math

import torch
from transformers import get_scheduler

from common import TENSOR_CORE, prepare, versions, write_json

LENGTHS = [(10, 2), (40, 2), (7, 0), (100, 5), (5, 5)]
# name -> options of its own
SCHEDULES = {
    "constant_with_warmup": [{}],
    "linear": [{}],
    "cosine": [{}, {"num_cycles": 1.25}],
    "cosine_with_min_lr": [{"min_lr_rate": 0.1}, {"min_lr_rate": 0.3, "num_cycles": 1.0}],
}


def multipliers(name: str, steps: int, warmup: int, options: dict) -> list[float]:
    """Multiplier of the learning rate for update 0, 1, ...: transformers starts with the value at step 0."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(name, optimiser, warmup, steps, scheduler_specific_kwargs=options)
    values = []
    for _ in range(steps):
        values.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return values


def main() -> None:
    prepare()
    entries = [
        {
            "name": name,
            "num_training_steps": steps,
            "num_warmup_steps": warmup,
            **options,
            "multipliers": multipliers(name, steps, warmup, options),
        }
        for name, variants in SCHEDULES.items()
        for options in variants
        for steps, warmup in LENGTHS
    ]
    assert all(math.isfinite(value) for entry in entries for value in entry["multipliers"])
    write_json(TENSOR_CORE / "schedules.json", {"entries": entries, "versions": versions()})


if __name__ == "__main__":
    main()
