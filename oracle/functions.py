"""Forward and gradient of functions without an op of their own, by torch in float32: `tensor-core/test/golden/functions.*`.

Keys are those of `operations.py`. `taps.*` are the bilinear taps of transformers for Qwen3-VL's position table.
"""

from collections.abc import Callable

import torch
from transformers.vision_utils import get_vision_interpolation_indices_and_weights

from common import TENSOR_CORE, generator, prepare, write_golden

Case = tuple[Callable, dict[str, torch.Tensor], dict[str, torch.Tensor]]


def token_log_probabilities(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(dim=-1).gather(-1, ids.long()[..., None])[..., 0]


def entropy(logits: torch.Tensor) -> torch.Tensor:
    return torch.distributions.Categorical(logits=logits).entropy()


def index_copy(x: torch.Tensor, rows: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return x.index_copy(0, indices.long(), rows)


def index_add(x: torch.Tensor, rows: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return x.index_add(0, indices.long(), rows)


def masked_scatter(x: torch.Tensor, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return x.masked_scatter(mask.bool()[:, None], rows)


def interpolate_rows(table: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (table[indices.long()] * weights[:, :, None]).sum(0)


def cases() -> dict[str, Case]:
    """name -> function, differentiated inputs, constant inputs."""
    source = generator(31)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(shape, generator=source)

    def positive(*shape: int) -> torch.Tensor:
        return 0.1 + 3 * torch.rand(shape, generator=source)

    steep = normal(4, 9, scale=30.0)
    far = steep.clone()
    far[1] += 1e4
    picks = torch.tensor([4, 0, 6], dtype=torch.int32)
    places = torch.tensor([0, 1, 0, 1, 1, 0, 1], dtype=torch.uint8)
    taps = {"indices": torch.randint(0, 9, (4, 5), generator=source).to(torch.int32), "weights": positive(4, 5)}
    return {
        "pow_3": (lambda x: x**3, {"x": normal(12)}, {}),
        "pow_minus_2": (lambda x: x**-2, {"x": positive(12)}, {}),
        "pow_2_5": (lambda x: x**2.5, {"x": torch.cat([positive(11), torch.zeros(1)])}, {}),
        "clamp": (lambda x: x.clamp(-0.5, 1.0), {"x": torch.cat([normal(11), torch.tensor([-0.5, 1.0])])}, {}),
        "log_sum_exp": (lambda x: x.logsumexp(dim=-1), {"x": steep.clone()}, {}),
        "log_sum_exp_axes": (lambda x: x.logsumexp(dim=(0, 2), keepdim=True), {"x": normal(3, 4, 5)}, {}),
        "log_softmax": (lambda x: x.log_softmax(dim=-1), {"x": far}, {}),
        "log_softmax_first": (lambda x: x.log_softmax(dim=0), {"x": normal(5, 3)}, {}),
        "entropy": (entropy, {"logits": normal(5, 9, scale=3.0)}, {}),
        "token_log_probabilities": (
            token_log_probabilities,
            {"logits": normal(2, 3, 9, scale=3.0)},
            {"ids": torch.randint(0, 9, (2, 3), generator=source).to(torch.int32)},
        ),
        "min": (lambda x: x.amin(dim=1), {"x": normal(4, 6)}, {}),
        "variance": (lambda x: x.var(dim=-1), {"x": normal(4, 6)}, {}),
        "variance_biased": (lambda x: x.var(dim=(0, 1), correction=0), {"x": normal(4, 6)}, {}),
        "standard_deviation": (lambda x: x.std(dim=0, keepdim=True), {"x": normal(4, 6)}, {}),
        "cumulative_sum": (lambda x: x.cumsum(dim=-1), {"x": normal(3, 11)}, {}),
        "cumulative_sum_first": (lambda x: x.cumsum(dim=0), {"x": normal(7, 3)}, {}),
        "index_add": (index_add, {"x": normal(7, 3), "rows": normal(3, 3)}, {"indices": picks}),
        "index_copy": (index_copy, {"x": normal(7, 3), "rows": normal(3, 3)}, {"indices": picks}),
        "masked_scatter": (masked_scatter, {"x": normal(7, 3), "rows": normal(4, 3)}, {"mask": places}),
        "interpolate_rows": (interpolate_rows, {"table": normal(9, 3)}, taps),
    }


def interpolation_taps(height: int, width: int, side: int, merge: int) -> dict[str, torch.Tensor]:
    indices, weights = get_vision_interpolation_indices_and_weights(
        torch.tensor([[1, height, width]]), side, mode="bilinear", align_corners=True, spatial_merge_size=merge
    )
    stem = f"taps.{height}x{width}.{side}.{merge}"
    return {f"{stem}.indices": indices.T.to(torch.int32), f"{stem}.weights": weights.T}


def main() -> None:
    prepare()
    tensors: dict[str, torch.Tensor] = {}
    for name, (function, inputs, constants) in cases().items():
        variables = {key: value.requires_grad_() for key, value in inputs.items()}
        output = function(**variables, **constants)
        cotangent = torch.randn(output.shape, generator=generator(4))
        gradients = torch.autograd.grad(output, list(variables.values()), cotangent)
        tensors |= {f"{name}.{key}": value for key, value in {**variables, **constants}.items()}
        tensors |= {f"{name}.output": output, f"{name}.cotangent": cotangent}
        tensors |= {f"{name}.grad.{key}": value for key, value in zip(variables, gradients, strict=True)}
    for height, width, side, merge in ((4, 6, 48, 2), (14, 10, 48, 2), (1, 5, 7, 1), (6, 1, 3, 1), (7, 7, 7, 1)):
        tensors |= interpolation_taps(height, width, side, merge)
    write_golden(TENSOR_CORE, "functions", tensors, {"notes": {"taps": "taps.<height>x<width>.<side>.<merge>"}})


if __name__ == "__main__":
    main()
