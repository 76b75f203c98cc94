"""A vision tower whose residual stream exceeds float16, in float64: `qwen-vl/test/golden/cases/large-activations`.

One weight and one bias of a tiny model are multiplied by `factor`, as in the published checkpoints, where a few
channels grow through the tower until a late block exceeds 65504. Everything is computed in float64, stored in float32.
"""

import torch

from case_inputs import Picture, Prompter, batch_inputs
from case_table import UNTIED
from common import prepare, write_golden
from model_cases import CASES, KEPT, forward, keep_rows
from tiny_models import load

SCALED = ("model.visual.blocks.1.mlp.down_proj.weight", "model.visual.blocks.1.mlp.down_proj.bias")
FACTOR = 2.0**17
FLOAT16_LARGEST = 65504


def main() -> None:
    prepare()
    prompter = Prompter(UNTIED)
    row = prompter.row("user\n@How many?", [Picture(24, 40)])
    model = load(UNTIED)
    with torch.no_grad():
        for name in SCALED:
            model.get_parameter(name).mul_(FACTOR)
    inputs = batch_inputs([row])
    inputs["pixel_values"] = inputs["pixel_values"].double()
    states = forward(model.double(), inputs)
    largest = states["vision.blocks.1"].abs().max().item()
    assert largest > 4 * FLOAT16_LARGEST, largest
    names = [name for name in states if name.startswith("vision.blocks")] + ["vision.merger", "logits"]
    tensors, kept = keep_rows({name: states[name] for name in names}, KEPT)
    manifest = {
        "model": UNTIED,
        "case": "large-activations",
        "scaled": SCALED,
        "factor": FACTOR,
        "largest_activation": round(largest),
        "input_ids": inputs["input_ids"].tolist(),
        "rows": [row.entries],
        "kept_rows": kept,
    }
    tensors["images.0"] = prompter.pictures[0]
    write_golden(CASES, "large-activations", tensors, manifest)


if __name__ == "__main__":
    main()
