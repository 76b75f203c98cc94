"""Forward and gradient of a few operations by torch in float32: `tensor-core/test/golden/operations.*`.

Keys: `<case>.<input>`, `<case>.output`, `<case>.cotangent` (the gradient given to the output), `<case>.grad.<input>`.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from common import TENSOR_CORE, generator, prepare, write_golden

IGNORED = -100


def rms_norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, eps=1e-6)


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, (x.shape[-1],), weight, bias, eps=1e-6)


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return F.silu(gate) * up


def rope(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """rotate-half convention; x [heads, sequence, dim], cos and sin [sequence, dim]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Grouped-query attention [batch, heads, sequence, dim]; mask 1 where allowed; a row with no key gives 0."""
    groups = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    allowed = mask.bool()
    visible = allowed.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~allowed & visible, -torch.inf)
    return torch.where(visible, scores.softmax(dim=-1), 0.0) @ value


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels.long(), ignore_index=IGNORED)


def cases() -> dict[str, tuple[Callable, dict[str, torch.Tensor], dict[str, torch.Tensor]]]:
    """name -> function, differentiated inputs, constant inputs."""
    source = generator(3)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(shape, generator=source)

    angles = torch.arange(5)[:, None] * 10000.0 ** (-torch.arange(0, 8, 2) / 8)
    table = torch.cat([angles, angles], dim=-1)
    mask = torch.ones(2, 1, 4, 5).tril(1)
    mask[0, 0, 2] = 0
    mask[1, 0, :, 0] = 0
    mask[1, 0, 0] = 0
    labels = torch.tensor([3, IGNORED, 0, 6, IGNORED, 2], dtype=torch.int32)
    return {
        "gelu": (F.gelu, {"x": normal(4, 6, scale=2.0)}, {}),
        "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), {"x": normal(4, 6, scale=2.0)}, {}),
        "silu": (F.silu, {"x": normal(4, 6, scale=3.0)}, {}),
        "softmax": (lambda x: x.softmax(dim=-1), {"x": normal(3, 7, scale=3.0)}, {}),
        "rms_norm": (rms_norm, {"x": normal(3, 8), "weight": 1 + normal(8, scale=0.2)}, {}),
        "layer_norm": (layer_norm, {"x": normal(3, 8), "weight": 1 + normal(8, scale=0.2), "bias": normal(8)}, {}),
        "linear": (F.linear, {"x": normal(2, 3, 5), "weight": normal(4, 5), "bias": normal(4)}, {}),
        "swiglu": (swiglu, {"gate": normal(3, 6, scale=2.0), "up": normal(3, 6)}, {}),
        "rope": (rope, {"x": normal(2, 5, 8)}, {"cos": table.cos(), "sin": table.sin()}),
        "cross_entropy": (cross_entropy, {"logits": normal(6, 7, scale=3.0)}, {"labels": labels}),
        "attention": (
            attention,
            {"query": normal(2, 4, 4, 8), "key": normal(2, 2, 5, 8), "value": normal(2, 2, 5, 8)},
            {"mask": mask.to(torch.uint8)},
        ),
    }


def main() -> None:
    prepare()
    tensors: dict[str, torch.Tensor] = {}
    for name, (function, inputs, constants) in cases().items():
        variables = {key: value.requires_grad_() for key, value in inputs.items()}
        output = function(**variables, **constants) if constants else function(*variables.values())
        cotangent = torch.randn(output.shape, generator=generator(4)) if output.ndim else torch.ones(())
        gradients = torch.autograd.grad(output, list(variables.values()), cotangent)
        tensors |= {f"{name}.{key}": value for key, value in {**variables, **constants}.items()}
        tensors |= {f"{name}.output": output, f"{name}.cotangent": cotangent}
        tensors |= {f"{name}.grad.{key}": value for key, value in zip(variables, gradients, strict=True)}
    notes = {
        "rms_norm, layer_norm": "over the last axis, eps 1e-6",
        "linear": "x W^T + b",
        "cross_entropy": "mean over rows whose label is not -100",
        "attention": "mask [batch, 1, query, key], 1 = allowed; rows (0, 2) and (1, 0) see nothing and give 0",
    }
    write_golden(TENSOR_CORE, "operations", tensors, {"notes": notes})


if __name__ == "__main__":
    main()
