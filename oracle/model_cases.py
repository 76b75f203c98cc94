"""Forward passes and greedy generation of the two tiny models: `qwen-vl/test/golden/cases/<model>.<case>`.

Vision tensors: `vision.patch_embed` is in processor order (2x2 merge blocks, raster), `vision.blocks.i` are in the
order the model holds them, that is after the window permutation, and `vision.merger` is after
`argsort(window_index)`, raster again.
"""

import contextlib

import numpy as np
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessorPil
from transformers.vision_utils import get_vision_window_index

from common import QWEN_VL, prepare, write_golden
from tiny_models import MODELS, load
from tiny_tokenizer import IDS, build_tokenizer

CASES = QWEN_VL / "cases"
NEW_TOKENS = 10
MINIMUM_MARGIN = 1e-3

# (height, width) in pixels; the model sees multiples of 8. Case -> model -> images, in the order of the prompt.
IMAGES = {
    "text-only": {"tiny-tied": [], "tiny-untied": []},
    "partial-windows": {"tiny-tied": [(24, 40)], "tiny-untied": [(40, 48)]},
    "two-images": {"tiny-tied": [(17, 23), (9, 41)], "tiny-untied": [(17, 23), (9, 41)]},
    "rounded-size": {"tiny-tied": [(13, 27)], "tiny-untied": [(13, 27)]},
    "image-first-and-last": {"tiny-tied": [(8, 16), (16, 8)], "tiny-untied": [(8, 16), (16, 8)]},
    "minimal-image": {"tiny-tied": [(8, 8)], "tiny-untied": [(8, 8)]},
}
# `@` stands for one image.
PROMPTS = {
    "text-only": "<|im_start|>user\nHow many red circles are there?<|im_end|>\n<|im_start|>assistant\n",
    "partial-windows": "<|im_start|>user\n@How many?<|im_end|>\n<|im_start|>",
    "two-images": "<|im_start|>user\n@ and @Which?<|im_end|>\n",
    "rounded-size": "<|im_start|>user\n@How many?<|im_end|>\n",
    "image-first-and-last": "@ are there more in @",
    "minimal-image": "user\n@?",
}


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth ramps plus noise, so that neighbouring patches differ and resampling has something to do."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.RandomState(seed).randint(0, 96, (height, width, 3))
    ramps = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) * 7 % 256], axis=-1)
    return ((ramps + noise) % 256).astype(np.uint8)


def prompt_ids(prompt: str, grids: list[list[int]]) -> list[int]:
    """Ids of the prompt with one image_pad per merged token of each grid."""
    tokenizer = build_tokenizer()
    parts = prompt.split("@")
    ids = tokenizer.encode(parts[0]).ids
    for grid, part in zip(grids, parts[1:], strict=True):
        pads = [IDS["<|image_pad|>"]] * (grid[0] * grid[1] * grid[2] // 4)
        ids += [IDS["<|vision_start|>"], *pads, IDS["<|vision_end|>"]] + tokenizer.encode(part).ids
    return ids


def model_inputs(model_name: str, case: str) -> tuple[dict, list[np.ndarray]]:
    """Keyword arguments of the model's forward, and the raw pictures they came from."""
    pictures = [picture(*size, seed=index) for index, size in enumerate(IMAGES[case][model_name])]
    if not pictures:
        return {"input_ids": torch.tensor([prompt_ids(PROMPTS[case], [])])}, []
    processor = Qwen2VLImageProcessorPil.from_pretrained(MODELS / model_name)
    images = processor([Image.fromarray(array) for array in pictures], return_tensors="pt")
    input_ids = torch.tensor([prompt_ids(PROMPTS[case], images["image_grid_thw"].tolist())])
    types = (input_ids == IDS["<|image_pad|>"]).int()
    return {"input_ids": input_ids, **images, "mm_token_type_ids": types}, pictures


@contextlib.contextmanager
def recorded(model: torch.nn.Module, modules: dict[str, str]):
    """Keeps the first output of each named module: {golden key: module path}."""
    kept: dict[str, torch.Tensor] = {}

    def hook(key: str):
        return lambda module, inputs, output: kept.setdefault(key, output[0] if isinstance(output, tuple) else output)

    handles = [model.get_submodule(path).register_forward_hook(hook(key)) for key, path in modules.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def forward(model: torch.nn.Module, inputs: dict) -> dict[str, torch.Tensor]:
    """Hidden states of every stage of one forward pass without a cache."""
    language, visual = model.model.language_model, model.model.visual
    modules = {f"language.layers.{i}": f"model.language_model.layers.{i}" for i in range(len(language.layers))}
    modules["language.norm"] = "model.language_model.norm"
    if "pixel_values" in inputs:
        modules |= {f"vision.blocks.{i}": f"model.visual.blocks.{i}" for i in range(len(visual.blocks))}
        modules["vision.patch_embed"] = "model.visual.patch_embed"
    embeds: list[torch.Tensor] = []
    handle = language.register_forward_pre_hook(
        lambda module, arguments, keywords: embeds.append(keywords["inputs_embeds"]), with_kwargs=True
    )
    with torch.no_grad(), recorded(model, modules) as kept:
        logits = model(**inputs, use_cache=False).logits
    handle.remove()
    if "pixel_values" in inputs:
        with torch.no_grad():
            features = model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        kept["vision.merger"] = torch.cat(list(features.pooler_output))
    return {**kept, "language.inputs_embeds": embeds[0], "logits": logits}


def positions(model: torch.nn.Module, inputs: dict) -> tuple[list, int]:
    """position_ids [3, batch, sequence] and the rope delta."""
    if "image_grid_thw" not in inputs:
        return torch.arange(inputs["input_ids"].shape[1]).expand(3, 1, -1).tolist(), 0
    ids, delta = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"]
    )
    return ids.tolist(), delta.item()


def windows(model: torch.nn.Module, inputs: dict) -> dict:
    if "image_grid_thw" not in inputs:
        return {}
    visual = model.model.visual
    index, cumulative = get_vision_window_index(
        inputs["image_grid_thw"], visual.spatial_merge_size, visual.window_size, visual.patch_size
    )
    return {
        "image_grid_thw": inputs["image_grid_thw"].tolist(),
        "window_index": index.tolist(),
        "window_index_is_its_own_inverse": bool((index[index] == torch.arange(len(index))).all()),
        "cu_window_seqlens": cumulative.tolist(),
    }


def greedy(model: torch.nn.Module, inputs: dict, repetition_penalty: float) -> tuple[list[int], torch.Tensor, float]:
    """New ids, raw logits per step [steps, vocab], and the smallest gap between the best and the second score."""
    with torch.no_grad():
        output = model.generate(
            **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, temperature=None, top_p=None, top_k=None,
            repetition_penalty=repetition_penalty, eos_token_id=None, pad_token_id=IDS["<|endoftext|>"],
            return_dict_in_generate=True, output_scores=True, output_logits=True, use_cache=True,
        )  # fmt: skip
    best = torch.cat(output.scores).topk(2, dim=-1).values
    margin = (best[:, 0] - best[:, 1]).min().item()
    return output.sequences[0, inputs["input_ids"].shape[1] :].tolist(), torch.cat(output.logits), margin


def write_case(model_name: str, model: torch.nn.Module, case: str) -> None:
    inputs, pictures = model_inputs(model_name, case)
    tensors = forward(model, inputs)
    if "pixel_values" in inputs:
        tensors["pixel_values"] = inputs["pixel_values"]
    tensors |= {f"images.{index}": array for index, array in enumerate(pictures)}
    position_ids, delta = positions(model, inputs)
    ids, step_logits, margin = greedy(model, inputs, 1.0)
    penalised_ids, _, penalised_margin = greedy(model, inputs, 1.05)
    assert min(margin, penalised_margin) > MINIMUM_MARGIN, (model_name, case, margin, penalised_margin)
    if case == "partial-windows":
        tensors["generated_logits"] = step_logits
    manifest = {
        "model": model_name,
        "case": case,
        "input_ids": inputs["input_ids"].tolist(),
        "position_ids": position_ids,
        "rope_delta": delta,
        **windows(model, inputs),
        "generated_ids": ids,
        "generated_margin": round(margin, 5),
        "generated_ids_repetition_penalty_1.05": penalised_ids,
        "note": "greedy, KV cache, no stop at eos; vision.blocks are in window order, vision.merger is in raster order",
    }
    write_golden(CASES, f"{model_name}.{case}", tensors, manifest)


def main() -> None:
    prepare()
    for model_name in ("tiny-tied", "tiny-untied"):
        model = load(model_name)
        for case in PROMPTS:
            write_case(model_name, model, case)


if __name__ == "__main__":
    main()
