"""One decoder layer and two vision blocks, forward and gradients of everything: `qwen-vl/test/golden/layers/`.

The layers are those of the tiny models, called with random hidden states `x` and a random cotangent `dy` of their
output `y`; `dx` and `grad.<parameter>` are the gradients of sum(y * dy). The decoder layer gets two rows: the
positions of a prompt with two images, and plain ones that do not start at 0. The vision blocks get one image whose
second window is narrower, in the order that the tower holds patches in: by windows.

`float32_noise` is the largest difference to the same computation in float64, relative to the largest element of each
tensor.
"""

import torch

from common import QWEN_VL, generator, prepare, write_golden
from model_cases import model_inputs, positions
from tiny_models import load

LAYERS = QWEN_VL / "layers"
DECODER = {"model": "tiny-tied", "index": 1, "case": "image-first-and-last", "second_row_starts_at": 5}
VISION = {"model": "tiny-untied", "image_grid_thw": [1, 4, 10], "blocks": {"full": 0, "window": 1}}


def differentiate(module: torch.nn.Module, x: torch.Tensor, dy: torch.Tensor, **arguments) -> dict[str, torch.Tensor]:
    """Output and gradients, in the precision of the operands."""
    module = module.to(x.dtype)
    module.zero_grad()
    variable = x.clone().requires_grad_()
    y = module(variable, **arguments)
    y = y[0] if isinstance(y, tuple) else y
    y.backward(dy)
    gradients = {f"grad.{name}": parameter.grad.clone() for name, parameter in module.named_parameters()}
    module.to(torch.float32)
    return {"y": y.detach(), "dx": variable.grad, **gradients}


def doubled(value):
    if isinstance(value, tuple):
        return tuple(doubled(entry) for entry in value)
    return value.double() if torch.is_tensor(value) and value.is_floating_point() else value


def write_layer(stem: str, module: torch.nn.Module, shape: tuple[int, ...], arguments: dict, manifest: dict) -> None:
    source = generator(7)
    x, dy = torch.randn(shape, generator=source), torch.randn(shape, generator=source)
    tensors = differentiate(module, x, dy, **arguments)
    exact = differentiate(module, x.double(), dy.double(), **{key: doubled(value) for key, value in arguments.items()})
    noise = max(((tensors[key] - exact[key]).abs().max() / exact[key].abs().max()).item() for key in tensors)
    manifest = {**manifest, "float32_noise": float(f"{noise:.1e}")}
    write_golden(LAYERS, stem, {"x": x, "dy": dy, **tensors}, manifest)


def decoder_layer() -> None:
    model = load(DECODER["model"])
    language = model.model.language_model
    inputs, _ = model_inputs(DECODER["model"], DECODER["case"])
    first = torch.tensor(positions(model, inputs)[0])
    length = first.shape[-1]
    second = torch.arange(DECODER["second_row_starts_at"], DECODER["second_row_starts_at"] + length).expand(3, 1, -1)
    position_ids = torch.cat([first, second], dim=1)
    mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]
    shape = (2, length, language.config.hidden_size)
    arguments = {
        "position_embeddings": language.rotary_emb(torch.zeros(shape), position_ids),
        "attention_mask": mask,
    }
    manifest = {**DECODER, "position_ids": position_ids.tolist()}
    write_layer("decoder-layer", language.layers[DECODER["index"]], shape, arguments, manifest)


def vision_blocks() -> None:
    visual = load(VISION["model"]).model.visual
    grid = torch.tensor([VISION["image_grid_thw"]])
    patches = grid.prod().item()
    inputs = visual.config.in_channels * visual.config.temporal_patch_size * visual.config.patch_size**2
    arguments: dict[int, dict] = {}
    handles = [
        block.register_forward_pre_hook(
            lambda module, given, keywords, index=index: arguments.__setitem__(index, keywords), with_kwargs=True
        )
        for index, block in enumerate(visual.blocks)
    ]
    with torch.no_grad():
        visual(torch.zeros(patches, inputs), grid)
    for handle in handles:
        handle.remove()
    for name, index in VISION["blocks"].items():
        manifest = {
            "model": VISION["model"],
            "index": index,
            "image_grid_thw": VISION["image_grid_thw"],
            "cu_seqlens": arguments[index]["cu_seqlens"].tolist(),
        }
        shape = (patches, visual.config.hidden_size)
        write_layer(f"vision-block.{name}", visual.blocks[index], shape, arguments[index], manifest)


def main() -> None:
    prepare()
    decoder_layer()
    vision_blocks()


if __name__ == "__main__":
    main()
