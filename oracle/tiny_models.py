"""Two tiny random Qwen2.5-VL folders in real Hugging Face form, small enough to commit and built to expose mistakes.

`tiny-tied`: new key layout (`model.language_model.`, `model.visual.`), one file, nested config as transformers 5 writes
it, tied embeddings, GQA 4/2, windows of 2x2 merged tokens, blocks 1 and 3 full attention, tokenizer files, `size` in
the preprocessor config.

`tiny-untied`: old key layout (`model.`, `visual.`), three shards with an index, flat config with `rope_scaling` as on
the hub, own lm_head, MQA 3/1, windows of 4x4 merged tokens, block 0 full attention, `min_pixels` and `max_pixels`, no
tokenizer.

Linear weights are N(0, 1.1^2/in), so that activations stay O(1); norm weights are 1 + 0.2 N; no bias is zero.
"""

import json
import math
import zlib
from pathlib import Path

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from common import QWEN_VL, generator, prepare, save_tensors, write_json
from tiny_tokenizer import IDS, build_tokenizer, tokenizer_config, write_tokenizer

MODELS = QWEN_VL / "models"
VOCAB = 512
GAIN = 1.1
TOKEN_IDS = {
    "bos_token_id": IDS["<|endoftext|>"],
    "eos_token_id": IDS["<|im_end|>"],
    "vision_start_token_id": IDS["<|vision_start|>"],
    "vision_end_token_id": IDS["<|vision_end|>"],
    "vision_token_id": IDS["<|vision_pad|>"],
    "image_token_id": IDS["<|image_pad|>"],
    "video_token_id": IDS["<|video_pad|>"],
}
TEXT_COMMON = {
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 4096,
    "max_window_layers": 3,
    "rms_norm_eps": 1e-06,
    "sliding_window": 4096,
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": VOCAB,
}
VISION_COMMON = {
    "hidden_act": "silu",
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "tokens_per_second": 2,
}
TIED = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "dtype": "float32",
    "transformers_version": "5.18.0",
    "tie_word_embeddings": True,
    **{key: value for key, value in TOKEN_IDS.items() if key not in ("bos_token_id", "eos_token_id")},
    "text_config": {
        **TEXT_COMMON,
        "model_type": "qwen2_5_vl_text",
        "dtype": "float32",
        "bos_token_id": TOKEN_IDS["bos_token_id"],
        "eos_token_id": TOKEN_IDS["eos_token_id"],
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
    },
    "vision_config": {
        **VISION_COMMON,
        "model_type": "qwen2_5_vl_vision",
        "in_channels": 3,
        "depth": 4,
        "hidden_size": 48,
        "num_heads": 3,
        "intermediate_size": 52,
        "out_hidden_size": 64,
        "window_size": 16,
        "fullatt_block_indexes": [1, 3],
    },
}
UNTIED = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "torch_dtype": "float32",
    "transformers_version": "4.41.2",
    "tie_word_embeddings": False,
    **TOKEN_IDS,
    **TEXT_COMMON,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "rope_theta": 1000000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    "vision_config": {
        **VISION_COMMON,
        "in_chans": 3,
        "spatial_patch_size": 4,
        "depth": 3,
        "hidden_size": 40,
        "num_heads": 2,
        "intermediate_size": 44,
        "out_hidden_size": 48,
        "window_size": 32,
        "fullatt_block_indexes": [0],
    },
}
PREPROCESSOR = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
    "patch_size": 4,
    "temporal_patch_size": 2,
    "merge_size": 2,
}
GENERATION = {
    "bos_token_id": TOKEN_IDS["bos_token_id"],
    "pad_token_id": IDS["<|endoftext|>"],
    "eos_token_id": [IDS["<|im_end|>"], IDS["<|endoftext|>"]],
    "do_sample": True,
    "repetition_penalty": 1.05,
    "temperature": 0.1,
    "top_p": 0.001,
    "top_k": 1,
}


def random_weight(name: str, shape: torch.Size) -> torch.Tensor:
    """Seeded by the name, so that a weight depends on nothing but its name and shape."""
    normal = torch.randn(shape, generator=generator(zlib.crc32(name.encode())))
    if name.endswith("bias"):
        return 0.2 * normal
    if len(shape) == 1:
        return 1 + 0.2 * normal
    if "embed_tokens" in name or "lm_head" in name:
        return 0.25 * normal
    return normal * (GAIN / math.sqrt(math.prod(shape[1:])))


def random_weights(config: dict) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    tied = config["tie_word_embeddings"]
    shapes = {name: parameter.shape for name, parameter in model.named_parameters() if not (tied and "lm_head" in name)}
    return {name: random_weight(name, shape) for name, shape in shapes.items()}


def old_layout(name: str) -> str:
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


def save_sharded(folder: Path, weights: dict[str, torch.Tensor], shards: int) -> None:
    names = [f"model-{index + 1:05d}-of-{shards:05d}.safetensors" for index in range(shards)]
    total = sum(weight.nbytes for weight in weights.values())
    contents: list[dict] = [{} for _ in names]
    seen = 0
    for name, weight in weights.items():
        contents[min(shards - 1, seen * shards // total)][name] = weight
        seen += weight.nbytes
    for name, content in zip(names, contents, strict=True):
        save_tensors(folder / name, content)
    weight_map = {key: name for name, content in zip(names, contents, strict=True) for key in content}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def write_folder(name: str, config: dict, preprocessor: dict) -> Path:
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    if "text_config" in config:
        Qwen2_5_VLConfig(**config).save_pretrained(folder)
    else:
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for file, content in {
        "preprocessor_config.json": {**preprocessor, **PREPROCESSOR},
        "generation_config.json": {**GENERATION, "transformers_version": config["transformers_version"]},
    }.items():
        (folder / file).write_text(json.dumps(content, indent=2) + "\n")
    return folder


def load(name: str) -> Qwen2_5_VLForConditionalGeneration:
    """The folder as transformers reads it; refuses a folder with a missing, unexpected or mismatched tensor."""
    model, info = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        MODELS / name, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    problems = {key: value for key, value in info.items() if value}
    assert not problems, problems
    return model.eval()


def main() -> None:
    prepare()
    tied = write_folder("tiny-tied", TIED, {"size": {"shortest_edge": 64, "longest_edge": 4096}})
    save_tensors(tied / "model.safetensors", random_weights(TIED))
    write_tokenizer(tied / "tokenizer.json", build_tokenizer(), merges_as_strings=False)
    write_json(tied / "tokenizer_config.json", tokenizer_config())

    untied = write_folder("tiny-untied", UNTIED, {"min_pixels": 64, "max_pixels": 4096})
    weights = {old_layout(name): weight for name, weight in random_weights(UNTIED).items()}
    save_sharded(untied, weights, shards=3)
    for name in ("tiny-tied", "tiny-untied"):
        load(name)


if __name__ == "__main__":
    main()
