"""Forward passes and greedy generation of the tiny models, one prompt each: `qwen-vl/test/golden/cases/<model>.<case>`.

Vision tensors: `vision.patch_embed` is in processor order (2x2 merge blocks, raster), `vision.blocks.i` are in the
order the model holds them, that is after the window permutation, and `vision.merger` is after
`argsort(window_index)`, raster again. Images come before videos in them, as in the model.

Of a large case only some rows are kept: `kept_rows` in the manifest names them per group of tensors (patches, units
of 2x2 patches, tokens, logits). Pixel values are stored for the six small cases of the first two models, for the
others the manifest has their SHA-256.
"""

import contextlib

import numpy as np
import torch
from transformers.vision_utils import get_vision_window_index

from case_inputs import Picture, Prompter, Row, batch_inputs, picture
from case_table import CASES as TABLE
from case_table import Case
from common import QWEN_VL, prepare, write_golden
from tiny_models import NAMES, load
from tiny_tokenizer import IDS

__all__ = ["CASES", "forward", "greedy", "model_inputs", "picture", "positions"]

CASES = QWEN_VL / "cases"
MINIMUM_MARGIN = 5e-4
# Rows kept of each group of tensors, spread evenly, the first and the last among them.
KEPT = {"patches": 16, "units": 8, "tokens": 9, "logits": 5}
# The cases marked "whole" are so for these, with their pixel values; for the others they are like the rest.
WHOLE_MODELS = ("tiny-tied", "tiny-untied")
WHOLE = {group: 10**9 for group in KEPT}
LOGITS_ONLY = {**KEPT, "patches": 0, "units": 0, "tokens": 0}


def case_row(model_name: str, case: str) -> tuple[Row, list[np.ndarray]]:
    prompter = Prompter(model_name)
    row = prompter.row(TABLE[case].prompt, TABLE[case].items[model_name])
    return row, prompter.pictures


def model_inputs(model_name: str, case: str) -> tuple[dict, list[np.ndarray]]:
    """Keyword arguments of the model's forward, and the raw pictures they came from."""
    row, pictures = case_row(model_name, case)
    return batch_inputs([row]), pictures


@contextlib.contextmanager
def recorded(model: torch.nn.Module, modules: dict[str, str]):
    """Keeps every output of each named module, joined along the first axis: {golden key: module path}."""
    kept: dict[str, torch.Tensor] = {}

    def hook(key: str):
        def keep(module, inputs, output):
            value = output[0] if isinstance(output, tuple) else output
            kept[key] = torch.cat([kept[key], value]) if key in kept else value

        return keep

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
    features: list[torch.Tensor] = []
    if any(key.startswith("pixel_values") for key in inputs):
        modules |= {f"vision.blocks.{i}": f"model.visual.blocks.{i}" for i in range(len(visual.blocks))}
        modules["vision.patch_embed"] = "model.visual.patch_embed"
    embeds: list[torch.Tensor] = []
    handles = [
        language.register_forward_pre_hook(
            lambda module, arguments, keywords: embeds.append(keywords["inputs_embeds"]), with_kwargs=True
        ),
        visual.register_forward_hook(lambda module, arguments, output: features.append(output.pooler_output)),
    ]
    with torch.no_grad(), recorded(model, modules) as kept:
        logits = model(**inputs, use_cache=False).logits
    for handle in handles:
        handle.remove()
    if features:
        kept["vision.merger"] = torch.cat(features)
    return {**kept, "language.inputs_embeds": embeds[0], "logits": logits}


def positions(model: torch.nn.Module, inputs: dict) -> tuple[list, list[int]]:
    """position_ids [3, batch, sequence] and the rope delta of each row."""
    if "mm_token_type_ids" not in inputs:
        length = inputs["input_ids"].shape[1]
        return torch.arange(length).expand(3, 1, -1).tolist(), [0]
    names = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts", "attention_mask")
    ids, delta = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], **{name: inputs.get(name) for name in names}
    )
    return ids.tolist(), delta.flatten().tolist()


def windows(model: torch.nn.Module, row: Row) -> dict:
    """The window permutation of the items in the order of the prompt."""
    if not row.entries:
        return {}
    visual = model.model.visual
    index, cumulative = get_vision_window_index(
        torch.tensor([entry["grid"] for entry in row.entries]),
        visual.spatial_merge_size, visual.window_size, visual.patch_size,
    )  # fmt: skip
    return {
        "image_grid_thw": [entry["grid"] for entry in row.entries if entry["kind"] == "image"],
        "window_index": index.tolist(),
        "window_index_is_its_own_inverse": bool((index[index] == torch.arange(len(index))).all()),
        "cu_window_seqlens": cumulative.tolist(),
    }


def greedy(model: torch.nn.Module, inputs: dict, repetition_penalty: float, new_tokens: int) -> dict:
    """New ids [batch, steps], raw and processed logits [steps, batch, vocab], the smallest gap to the second best."""
    with torch.no_grad():
        output = model.generate(
            **inputs, max_new_tokens=new_tokens, do_sample=False, temperature=None, top_p=None, top_k=None,
            repetition_penalty=repetition_penalty, eos_token_id=None, pad_token_id=IDS["<|endoftext|>"],
            return_dict_in_generate=True, output_scores=True, output_logits=True, use_cache=True,
        )  # fmt: skip
    best = torch.stack(output.scores).topk(2, dim=-1).values
    return {
        "ids": output.sequences[:, inputs["input_ids"].shape[1] :].tolist(),
        "logits": torch.stack(output.logits),
        "scores": torch.stack(output.scores),
        "margin": (best[..., 0] - best[..., 1]).min().item(),
    }


def group_of(name: str) -> str:
    if name == "logits":
        return "logits"
    return "tokens" if name.startswith("language.") else "units" if name == "vision.merger" else "patches"


def keep_rows(
    tensors: dict[str, torch.Tensor], kept: dict[str, int], real: list[int] | None = None
) -> tuple[dict, dict]:
    """Some rows of each tensor, as [rows, width], and which: {group: indices}. `real`: token rows to choose from."""
    rows: dict[str, list[int]] = {}
    out: dict[str, torch.Tensor] = {}
    for name, tensor in sorted(tensors.items()):
        group = group_of(name)
        flat = tensor.flatten(0, -2)
        choice = list(range(len(flat))) if real is None or not (group in ("tokens", "logits")) else real
        count = min(kept[group], len(choice))
        if count == 0:
            continue
        if count == len(flat):
            out[name] = tensor
            continue
        rows[group] = [choice[round(i * (len(choice) - 1) / (count - 1))] for i in range(count)]
        out[name] = flat[rows[group]]
    return out, rows


def kept_of(model_name: str, case: Case) -> dict[str, int]:
    if case.keep == "logits":
        return LOGITS_ONLY
    return WHOLE if case.keep == "whole" and model_name in WHOLE_MODELS else KEPT


def write_case(model_name: str, model: torch.nn.Module, name: str, case: Case) -> None:
    row, pictures = case_row(model_name, name)
    inputs = batch_inputs([row])
    tensors, rows = keep_rows(forward(model, inputs), kept_of(model_name, case))
    if case.keep == "whole" and "pixel_values" in inputs and model_name in WHOLE_MODELS:
        tensors["pixel_values"] = inputs["pixel_values"]
    tensors |= {f"images.{index}": array for index, array in enumerate(pictures)}
    position_ids, deltas = positions(model, inputs)
    plain = greedy(model, inputs, 1.0, case.new_tokens)
    penalised = greedy(model, inputs, case.penalty, case.new_tokens)
    margin = min(plain["margin"], penalised["margin"])
    assert margin > MINIMUM_MARGIN, (model_name, name, margin)
    if name == "partial-windows":
        tensors["generated_logits"] = plain["logits"][:, 0]
    if name == "repetition-penalty":
        tensors["penalised_logits"] = penalised["logits"][:, 0]
        tensors["penalised_scores"] = penalised["scores"][:, 0]
    manifest = {
        "model": model_name,
        "case": name,
        "input_ids": inputs["input_ids"].tolist(),
        "rows": [row.entries],
        "position_ids": position_ids,
        "rope_delta": deltas[0],
        **windows(model, row),
        "generated_ids": plain["ids"][0],
        "generated_margin": round(plain["margin"], 5),
        "repetition_penalty": case.penalty,
        f"generated_ids_repetition_penalty_{case.penalty}": penalised["ids"][0],
        "penalised_ids": penalised["ids"][0],
        "kept_rows": rows,
        "note": "greedy, KV cache, no stop at eos; vision.blocks are in window order, vision.merger is in raster order",
    }
    write_golden(CASES, f"{model_name}.{name}", tensors, manifest)


def main() -> None:
    prepare()
    for model_name in NAMES:
        model = load(model_name)
        for name, case in TABLE.items():
            if model_name in case.items:
                write_case(model_name, model, name, case)


if __name__ == "__main__":
    main()
