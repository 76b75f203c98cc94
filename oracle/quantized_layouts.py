"""Quantised checkpoints in the packings of MLX, AWQ, GPTQ and compressed-tensors, with the numbers they stand for.

One micro model of random codes per format, packed here by hand in numpy from each format's definition:

    mlx                 w = s q + b        u32 [out, in bits / 32], lowest bits first; one module of 8 bits, one left dense
    awq                 w = s (q - z)      i32 [in, out / 8], a word from the lowest bits up: outputs 0 2 4 6 1 3 5 7
    gptq                w = s (q - z)      i32 [in bits / 32, out]; zero points less one, modulo 2^bits
    gptq-v2             w = s (q - z)      8 bits, zero points as they are
    compressed-tensors  w = s (q - z)      i32 [out, in bits / 32], symmetric, and one module with zero points

GPTQ's down_proj has the group of each column shuffled column by column ("activation order"), its q_proj by whole groups. Each
format is a folder with config.json and model.safetensors; beside them dense.safetensors has every eighth row of what each
packed matrix stands for in float32, and dense.json the SHA-256 of all of it.
Nothing is taken from the libraries that write these formats.
"""

import hashlib

import numpy as np
from safetensors.numpy import save_file

from common import QWEN_VL, prepare, save_tensors, versions, write_json

FOLDER = QWEN_VL / "quantized"

HIDDEN, INTERMEDIATE, VOCABULARY, HEADS, KEY_VALUE_HEADS, HEAD_DIM = 64, 96, 64, 4, 2, 16
VISION_HIDDEN, VISION_INTERMEDIATE, PATCH = 8, 12, 2
MERGED = VISION_HIDDEN * 4

TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": 1,
    "num_attention_heads": HEADS, "num_key_value_heads": KEY_VALUE_HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    "max_position_embeddings": 128, "tie_word_embeddings": False, "use_sliding_window": False,
    "image_token_id": 50, "video_token_id": 51, "vision_start_token_id": 52, "vision_end_token_id": 53,
}  # fmt: skip
VISION = {
    "depth": 1, "hidden_size": VISION_HIDDEN, "intermediate_size": VISION_INTERMEDIATE, "num_heads": 2,
    "hidden_act": "silu", "in_chans": 3, "out_hidden_size": HIDDEN, "patch_size": PATCH, "spatial_merge_size": 2,
    "temporal_patch_size": 2, "window_size": 8, "fullatt_block_indexes": [0], "tokens_per_second": 2,
}  # fmt: skip

LINEARS = {
    "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN),
    "self_attn.k_proj": (KEY_VALUE_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.v_proj": (KEY_VALUE_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
    "mlp.gate_proj": (INTERMEDIATE, HIDDEN),
    "mlp.up_proj": (INTERMEDIATE, HIDDEN),
    "mlp.down_proj": (HIDDEN, INTERMEDIATE),
}


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes [.., n] to words [.., ceil(n bits / 32)], the first code in the lowest bits."""
    per_word = 32 // bits
    missing = -codes.shape[-1] % per_word
    padded = np.concatenate([codes, np.zeros((*codes.shape[:-1], missing), codes.dtype)], axis=-1)
    words = padded.reshape(*codes.shape[:-1], -1, per_word).astype(np.uint64)
    return (words << (np.arange(per_word, dtype=np.uint64) * np.uint64(bits))).sum(-1).astype(np.uint32)


def signed(words: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(words).view(np.int32)


class Draw:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def dense(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape).astype(np.float16)

    def codes(self, bits: int, *shape: int) -> np.ndarray:
        return self.random.integers(0, 2**bits, shape)

    def scales(self, *shape: int) -> np.ndarray:
        return self.random.uniform(0.001, 0.2, shape).astype(np.float16)


def dense_tensors(draw: Draw) -> dict[str, np.ndarray]:
    """Everything that is never packed, under the names of the published shards."""
    block, layer = "visual.blocks.0", "model.layers.0"
    tensors = {
        "visual.patch_embed.proj.weight": draw.dense(VISION_HIDDEN, 3, 2, PATCH, PATCH),
        f"{block}.norm1.weight": draw.dense(VISION_HIDDEN),
        f"{block}.norm2.weight": draw.dense(VISION_HIDDEN),
        "visual.merger.ln_q.weight": draw.dense(VISION_HIDDEN),
        f"{layer}.input_layernorm.weight": draw.dense(HIDDEN),
        f"{layer}.post_attention_layernorm.weight": draw.dense(HIDDEN),
        "model.norm.weight": draw.dense(HIDDEN),
        "model.embed_tokens.weight": draw.dense(VOCABULARY, HIDDEN),
        "lm_head.weight": draw.dense(VOCABULARY, HIDDEN),
    }
    for name, (out, inputs) in {
        f"{block}.attn.qkv": (3 * VISION_HIDDEN, VISION_HIDDEN),
        f"{block}.attn.proj": (VISION_HIDDEN, VISION_HIDDEN),
        f"{block}.mlp.gate_proj": (VISION_INTERMEDIATE, VISION_HIDDEN),
        f"{block}.mlp.up_proj": (VISION_INTERMEDIATE, VISION_HIDDEN),
        f"{block}.mlp.down_proj": (VISION_HIDDEN, VISION_INTERMEDIATE),
        "visual.merger.mlp.0": (MERGED, MERGED),
        "visual.merger.mlp.2": (HIDDEN, MERGED),
    }.items():
        tensors[f"{name}.weight"] = draw.dense(out, inputs)
        tensors[f"{name}.bias"] = draw.dense(out)
    for part, (out, _) in LINEARS.items():
        if part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
            tensors[f"{layer}.{part}.bias"] = draw.dense(out)
    return tensors


def numbers(scales: np.ndarray, codes: np.ndarray, group_of: np.ndarray, zeros: "np.ndarray | int") -> np.ndarray:
    """s (q - z) in float32, for codes [out, in] and scales and zeros [out, groups]."""
    zero = zeros[:, group_of] if isinstance(zeros, np.ndarray) else zeros
    return (scales[:, group_of].astype(np.float64) * (codes - zero)).astype(np.float32)


def mlx(draw: Draw) -> tuple[dict, dict, dict]:
    def renamed(name: str) -> str:
        if name.startswith("visual."):
            return "vision_tower." + name.removeprefix("visual.")
        return "language_model." + name

    files = {renamed(name): tensor for name, tensor in dense_tensors(draw).items()}
    kernel = "vision_tower.patch_embed.proj.weight"
    files[kernel] = np.ascontiguousarray(files[kernel].transpose(0, 2, 3, 4, 1))
    layer, dense, config = "language_model.model.layers.0", {}, {"group_size": 32, "bits": 4, "mode": "affine"}
    modules = {f"{layer}.{part}": shape for part, shape in LINEARS.items()}
    modules |= {"language_model.model.embed_tokens": (VOCABULARY, HIDDEN), "language_model.lm_head": (VOCABULARY, HIDDEN)}
    for name, (out, inputs) in modules.items():
        files.pop(f"{name}.weight", None)
        if name.endswith("k_proj"):
            files[f"{name}.weight"] = draw.dense(out, inputs)
            config[name] = False
            continue
        bits, group = (8, 64) if name.endswith("lm_head") else (4, 32)
        if bits == 8:
            config[name] = {"group_size": group, "bits": bits}
        codes, scales = draw.codes(bits, out, inputs), draw.scales(out, inputs // group)
        biases = (-draw.random.uniform(0.0, 1.0, scales.shape)).astype(np.float16)
        files |= {f"{name}.weight": pack(codes, bits), f"{name}.scales": scales, f"{name}.biases": biases}
        group_of = np.arange(inputs) // group
        dense[name] = scales[:, group_of].astype(np.float64) * codes + biases[:, group_of]
    return files, dense, {"quantization": config, "quantization_config": config}


def awq(draw: Draw) -> tuple[dict, dict, dict]:
    files, dense, group = dense_tensors(draw), {}, 32
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def pack_outputs(codes: np.ndarray) -> np.ndarray:
        """[rows, out] to words [rows, out / 8]."""
        eights = codes.reshape(codes.shape[0], -1, 8)[:, :, order]
        return signed(pack(eights, 4)[:, :, 0])

    for part, (out, inputs) in LINEARS.items():
        name = f"model.layers.0.{part}"
        codes, zeros = draw.codes(4, out, inputs), draw.codes(4, out, inputs // group)
        scales = draw.scales(out, inputs // group)
        files |= {
            f"{name}.qweight": pack_outputs(codes.T),
            f"{name}.qzeros": pack_outputs(zeros.T),
            f"{name}.scales": np.ascontiguousarray(scales.T),
        }
        dense[name] = numbers(scales, codes, np.arange(inputs) // group, zeros)
    config = {
        "bits": 4, "group_size": group, "modules_to_not_convert": ["visual"], "quant_method": "awq", "version": "gemm",
        "zero_point": True,
    }  # fmt: skip
    return files, dense, {"quantization_config": config}


def gptq(draw: Draw, bits: int, stored_less: int, config: dict) -> tuple[dict, dict, dict]:
    files, dense, group = dense_tensors(draw), {}, 32
    for part, (out, inputs) in LINEARS.items():
        name = f"model.layers.0.{part}"
        groups = inputs // group
        codes, scales = draw.codes(bits, out, inputs), draw.scales(out, groups)
        symmetric = part == "self_attn.v_proj"
        zeros = np.full((out, groups), 2 ** (bits - 1)) if symmetric else draw.codes(bits, out, groups)
        group_of = np.arange(inputs) // group
        if part == "mlp.down_proj":
            group_of = draw.random.permutation(group_of)
        if part == "self_attn.q_proj":
            group_of = groups - 1 - group_of
        stored = (zeros - stored_less) % 2**bits
        files |= {
            f"{name}.qweight": signed(pack(codes, bits).T),
            f"{name}.qzeros": signed(pack(stored.T, bits)),
            f"{name}.scales": np.ascontiguousarray(scales.T),
            f"{name}.g_idx": group_of.astype(np.int32),
        }
        dense[name] = numbers(scales, codes, group_of, zeros)
    config = {"bits": bits, "group_size": group, "desc_act": True, "sym": False, "quant_method": "gptq", **config}
    return files, dense, {"quantization_config": config}


def compressed(draw: Draw) -> tuple[dict, dict, dict]:
    files, dense, bits = dense_tensors(draw), {}, 4
    for part, (out, inputs) in LINEARS.items():
        name = f"model.layers.0.{part}"
        group = inputs if part == "mlp.up_proj" else 32
        codes, scales = draw.codes(bits, out, inputs), draw.scales(out, inputs // group)
        files |= {
            f"{name}.weight_packed": signed(pack(codes, bits)),
            f"{name}.weight_scale": scales,
            f"{name}.weight_shape": np.array([out, inputs], np.int64),
        }
        zeros = 8
        if part == "mlp.gate_proj":
            zeros = draw.codes(bits, *scales.shape)
            files[f"{name}.weight_zero_point"] = signed(pack(zeros.T, bits).T)
        dense[name] = numbers(scales, codes, np.arange(inputs) // group, zeros)
    weights = {"num_bits": bits, "group_size": 32, "strategy": "group", "symmetric": True, "type": "int"}
    config = {
        "config_groups": {"group_0": {"input_activations": None, "targets": ["Linear"], "weights": weights}},
        "format": "pack-quantized", "ignore": ["lm_head", "re:visual.*"], "quant_method": "compressed-tensors",
    }  # fmt: skip
    return files, dense, {"quantization_config": config}


FORMATS = {
    "mlx": mlx,
    "awq": awq,
    "gptq": lambda draw: gptq(draw, 4, 1, {}),
    "gptq-v2": lambda draw: gptq(draw, 8, 0, {"checkpoint_format": "gptq_v2"}),
    "compressed-tensors": compressed,
}


def main() -> None:
    prepare()
    for seed, (name, build) in enumerate(FORMATS.items()):
        files, dense, quantization = build(Draw(seed))
        config = {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", **TEXT}
        folder = FOLDER / name
        write_json(folder / "config.json", {**config, "vision_config": VISION, **quantization})
        files = {key: np.ascontiguousarray(value) for key, value in files.items()}
        save_file(files, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "model.safetensors").chmod(0o644)
        matrices = {f"{key}.weight": np.ascontiguousarray(value, np.float32) for key, value in dense.items()}
        save_tensors(folder / "dense.safetensors", {key: value[::8] for key, value in matrices.items()})
        digests = {key: hashlib.sha256(value.tobytes()).hexdigest() for key, value in matrices.items()}
        write_json(folder / "dense.json", {"sha256": digests, "versions": versions()})


if __name__ == "__main__":
    main()
