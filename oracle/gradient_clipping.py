"""Gradient clipping of torch: `tensor-core/test/golden/clip-grad-norm`. Norms that JSON cannot hold are text."""

import math

import torch

from common import TENSOR_CORE, generator, prepare, write_golden

SHAPES = {"matrix": (3, 4), "vector": (5,)}
# name -> (maximum norm, scale of the gradients, first element of the vector if another)
CLIPS = {
    "below": (10.0, 0.1, None),
    "above": (1.0, 3.0, None),
    "far above": (0.5, 1e4, None),
    "zero": (1.0, 0.0, None),
    "infinite": (1.0, 1.0, math.inf),
    "squares overflow": (1.0, 1.0, 3e20),
    "not a number": (1.0, 1.0, math.nan),
}


def main() -> None:
    prepare()
    tensors: dict[str, torch.Tensor] = {}
    entries = []
    for index, (name, (maximum, scale, first)) in enumerate(CLIPS.items()):
        source = generator(10 + index)
        parameters = {key: torch.nn.Parameter(torch.zeros(shape)) for key, shape in SHAPES.items()}
        for key, value in parameters.items():
            value.grad = scale * torch.randn(value.shape, generator=source)
        if first is not None:
            parameters["vector"].grad[0] = first
        tensors |= {f"{index}.{key}.before": value.grad.clone() for key, value in parameters.items()}
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), maximum).item()
        tensors |= {f"{index}.{key}.after": value.grad for key, value in parameters.items()}
        shown = norm if math.isfinite(norm) else {math.inf: "Infinity"}.get(norm, "NaN")
        entries.append({"index": index, "name": name, "max_norm": maximum, "total_norm": shown})
    norm = "l2 over all tensors, scale = min(1, max_norm / (norm + 1e-6))"
    write_golden(TENSOR_CORE, "clip-grad-norm", tensors, {"norm": norm, "entries": entries})


if __name__ == "__main__":
    main()
