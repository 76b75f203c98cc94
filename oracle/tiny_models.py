"""Four tiny random Qwen2.5-VL folders in real Hugging Face form, small enough to commit and built to expose mistakes.

`tiny-tied`: new key layout (`model.language_model.`, `model.visual.`), one file, nested config as transformers 5 writes
it, tied embeddings, GQA 4/2, windows of 2x2 merged tokens, blocks 1 and 3 full attention, tokenizer files, `size` in
the preprocessor config.

`tiny-untied`: old key layout (`model.`, `visual.`), three shards with an index, flat config with `rope_scaling` as on
the hub, own lm_head, MQA 3/1, windows of 4x4 merged tokens, block 0 full attention, `min_pixels` and `max_pixels`, no
tokenizer.

`tiny-wide-heads`: new layout, bfloat16, tied, heads of 32 where hidden / heads is 16, windows of 4x4 merged tokens that
nothing attends by, since every block is full attention.

`tiny-deep`: old layout, float16, four shards, own lm_head, as many key heads as query heads, five layers and six vision
blocks, windows of 3x3 merged tokens, four positions per second of video, mrope sections [1, 3, 4].

transformers computes in float32 on the stored values. Its attention takes hidden / heads for the size of a head
whatever `head_dim` says (its rotary embedding does read it), so `ExplicitHeadAttention` replaces it here; the rest of
the model is untouched.

Linear weights are N(0, 1.1^2/in), so that activations stay O(1); norm weights are 1 + 0.2 N; no bias is zero.
"""

import copy
import json
import math
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling

from common import QWEN_VL, generator, prepare, write_json
from tiny_configs import DEEP, GENERATION, PREPROCESSOR, TIED, UNTIED, WIDE_HEADS
from tiny_tokenizer import build_tokenizer, tokenizer_config, write_tokenizer

MODELS = QWEN_VL / "models"
NAMES = ("tiny-tied", "tiny-untied", "tiny-wide-heads", "tiny-deep")
GAIN = 1.1


class ExplicitHeadAttention(modeling.Qwen2_5_VLAttention):
    """Attention with `head_dim` as configured: q [heads * head_dim, hidden], o [hidden, heads * head_dim]."""

    def __init__(self, config, layer_idx=None):
        head_dim = getattr(config, "head_dim", None)
        if head_dim is None:
            super().__init__(config, layer_idx)
            return
        inner = copy.copy(config)
        inner.hidden_size = config.num_attention_heads * head_dim
        super().__init__(inner, layer_idx)
        self.config = config
        for projection in (self.q_proj, self.k_proj, self.v_proj):
            outputs = projection.out_features
            projection.weight = torch.nn.Parameter(projection.weight.new_empty(outputs, config.hidden_size))
            projection.in_features = config.hidden_size
        self.o_proj.weight = torch.nn.Parameter(self.o_proj.weight.new_empty(config.hidden_size, inner.hidden_size))
        self.o_proj.out_features = config.hidden_size


modeling.Qwen2_5_VLAttention = ExplicitHeadAttention


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


def stored(weights: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: weight.to(dtype) for name, weight in weights.items()}


def old_layout(name: str) -> str:
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Weights in the format they have; `save_tensors` would write float32."""
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)


def save_sharded(folder: Path, weights: dict[str, torch.Tensor], shards: int) -> None:
    names = [f"model-{index + 1:05d}-of-{shards:05d}.safetensors" for index in range(shards)]
    total = sum(weight.nbytes for weight in weights.values())
    contents: list[dict] = [{} for _ in names]
    seen = 0
    for name, weight in weights.items():
        contents[min(shards - 1, seen * shards // total)][name] = weight
        seen += weight.nbytes
    for name, content in zip(names, contents, strict=True):
        save_weights(folder / name, content)
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
    save_weights(tied / "model.safetensors", random_weights(TIED))
    write_tokenizer(tied / "tokenizer.json", build_tokenizer(), merges_as_strings=False)
    write_json(tied / "tokenizer_config.json", tokenizer_config())

    untied = write_folder("tiny-untied", UNTIED, {"min_pixels": 64, "max_pixels": 4096})
    weights = {old_layout(name): weight for name, weight in random_weights(UNTIED).items()}
    save_sharded(untied, weights, shards=3)

    wide = write_folder("tiny-wide-heads", WIDE_HEADS, {"min_pixels": 64, "max_pixels": 4096})
    save_weights(wide / "model.safetensors", stored(random_weights(WIDE_HEADS), torch.bfloat16))

    deep = write_folder("tiny-deep", DEEP, {"min_pixels": 64, "max_pixels": 4096})
    weights = {old_layout(name): weight for name, weight in random_weights(DEEP).items()}
    save_sharded(deep, stored(weights, torch.float16), shards=4)
    for name in NAMES:
        load(name)


if __name__ == "__main__":
    main()
