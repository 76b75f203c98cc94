"""Small adapters as PEFT writes them, with what real ones have beside plain LoRA: `latent-reasoning/test/golden/adapters/`.

`patterns`     tiny-tied: endings that match the vision tower too, rank-stabilised, ranks and alphas by pattern, whole norms,
               a list of token ids that are neither sorted nor together
`own-head`     tiny-untied: vision layers, other token ids for the embedding and for the head
`saved-table`  tiny-tied: the embedding saved whole, in bfloat16; the tied head keeps the model's own table

`adapters-logits.*` holds `<adapter>.<conversation>.logits` of conversations 0 and 1 of `sft_samples.py`, last 2 positions.
Everything trained is random, so that nothing of an adapter is a no-op.
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from common import LATENT_REASONING, generator, prepare, write_golden
from sft_samples import batch, build_conversation
from tiny_models import load

ADAPTERS = LATENT_REASONING / "adapters"
CASES = {
    "patterns": ("tiny-tied", torch.float32, {
        "target_modules": ["gate_proj", "qkv", "q_proj"], "exclude_modules": r".*layers\.2\..*", "r": 3, "lora_alpha": 5,
        "use_rslora": True, "rank_pattern": {"layers.1.self_attn.q_proj": 2, "qkv": 1}, "alpha_pattern": {"gate_proj": 9},
        "modules_to_save": ["norm"], "trainable_token_indices": [300, 12, 13],
    }),
    "own-head": ("tiny-untied", torch.float32, {
        "target_modules": ["mlp.0", "attn.proj", "v_proj"], "r": 2, "lora_alpha": 3,
        "trainable_token_indices": {"embed_tokens": [10, 11, 40], "lm_head": [400, 7]},
    }),
    "saved-table": ("tiny-tied", torch.bfloat16, {
        "target_modules": ["k_proj"], "r": 1, "lora_alpha": 2, "modules_to_save": ["embed_tokens"],
    }),
}  # fmt: skip


def write_adapter(name: str, model_name: str, dtype: torch.dtype, fields: dict) -> Path:
    """PEFT's own files without its model card; the base model is named, not given by its path on this machine."""
    folder = ADAPTERS / name
    shutil.rmtree(folder, ignore_errors=True)
    model = get_peft_model(load(model_name), LoraConfig(**fields, task_type="CAUSAL_LM"))
    source = generator(len(name))
    for _, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape, generator=source)
            parameter.data = parameter.data + 0.15 * noise
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = model_name
    for field in ("target_modules", "exclude_modules"):
        if isinstance(config[field], list):
            config[field].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    weights = folder / "adapter_model.safetensors"
    save_file({key: value.to(dtype) for key, value in load_file(weights).items()}, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    return folder


def logits_of(model: torch.nn.Module) -> list[torch.Tensor]:
    with torch.no_grad():
        return [model(**batch([build_conversation(index)])).logits[0, -2:] for index in (0, 1)]


def main() -> None:
    prepare()
    tensors: dict[str, torch.Tensor] = {}
    names: dict[str, list[str]] = {}
    for name, (model_name, dtype, fields) in CASES.items():
        folder = write_adapter(name, model_name, dtype, fields)
        names[name] = sorted(load_file(folder / "adapter_model.safetensors"))
        plain = logits_of(load(model_name))
        adapted = logits_of(PeftModel.from_pretrained(load(model_name), folder).eval())
        assert all((one - other).abs().max() > 0.1 for one, other in zip(plain, adapted, strict=True))
        tensors |= {f"{name}.{index}.logits": value for index, value in enumerate(adapted)}
    manifest = {"models": {name: case[0] for name, case in CASES.items()}, "names": names,
                "note": "conversations 0 and 1 of sft-training.json; logits of the last 2 positions"}  # fmt: skip
    write_golden(LATENT_REASONING, "adapters-logits", tensors, manifest)


if __name__ == "__main__":
    main()
