"""Which layers PEFT adapts, and how, for many settings: `latent-reasoning/test/golden/lora-targets.json`, no tensors.

Each case is the fields given to LoraConfig and, per adapted linear layer of `tiny-tied` or `tiny-untied`, its rank and the
factor of its delta. Cases that PEFT refuses, or that adapt nothing, are left out.
"""

from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer

from common import LATENT_REASONING, prepare, versions, write_json
from tiny_models import load

LANGUAGE = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
CASES = [
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": ["gate_proj", "up_proj", "down_proj"]},
    {"target_modules": "all-linear"},
    {"target_modules": LANGUAGE, "r": 4, "lora_alpha": 8},
    {"target_modules": LANGUAGE, "r": 4, "lora_alpha": 8, "use_rslora": True},
    {"target_modules": ["model.language_model.layers.1.mlp.up_proj", "o_proj"]},
    {"target_modules": ["language_model.layers.1.self_attn.k_proj"]},
    {"target_modules": ["qkv", "mlp.0", "mlp.2"]},
    {"target_modules": ["mlp.down_proj"], "exclude_modules": r".*visual.*"},
    {"target_modules": ["up_proj"], "exclude_modules": ["layers.0.mlp.up_proj", "blocks.1.mlp.up_proj"]},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [0, 2]},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": 1},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1], "layers_pattern": "layers"},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [0, 1], "layers_pattern": ["blocks"]},
    {"target_modules": ["model.language_model.layers.2.self_attn.q_proj", "up_proj"], "layers_to_transform": [0]},
    {"target_modules": "model\\.language_model\\.layers\\.[02]\\.self_attn\\.[^.]+"},
    {"target_modules": "^(?!.*visual).*(?:q_proj|down_proj)$"},
    {"target_modules": r"(?:.*?(?:vision|visual).*?(?:attn|mlp).*?(?:qkv|gate_proj).*?)|(?:\bmodel\.language_model\.layers\.\d{1,}\.self_attn\.q_proj)"},
    {"target_modules": r"model\.language_model(?=\.).*\.(q_proj|up_proj)"},
    {"target_modules": r".*layers\.(?P<number>\d+)\.mlp\.\w+_proj(?<!gate_proj)"},
    {"target_modules": ["q_proj", "k_proj"], "r": 8, "rank_pattern": {"layers.1.self_attn.q_proj": 2, "k_proj": 3}},
    {"target_modules": ["q_proj", "k_proj"], "r": 8, "rank_pattern": {r".*\.[02]\.self_attn\..*": 5, "q_proj": 2}},
    {"target_modules": ["q_proj", "up_proj"], "r": 4, "lora_alpha": 16, "alpha_pattern": {"up_proj": 6, r"layers\.0\..*": 2}},
    {"target_modules": ["q_proj"], "r": 4, "lora_alpha": 6, "use_rslora": True,
     "rank_pattern": {"layers.0.self_attn.q_proj": 9}, "alpha_pattern": {"^model.language_model.layers.2.self_attn.q_proj": 3}},
    {"target_modules": ["q_proj", "up_proj"], "modules_to_save": ["layers.1", "merger"]},
    {"target_modules": ["lm_head", "q_proj"]},
]  # fmt: skip


def adapted(name: str, case: dict) -> dict[str, list]:
    """Rank and factor per adapted layer."""
    model = get_peft_model(load(name), LoraConfig(**case)).base_model.model
    modules = {path: module for path, module in model.named_modules() if isinstance(module, LoraLayer)}
    return {path: [module.r["default"], module.scaling["default"]] for path, module in modules.items()}


def main() -> None:
    prepare()
    cases = [{"model": name, "config": case, "layers": adapted(name, case)}
             for name in ("tiny-tied", "tiny-untied") for case in CASES
             if not (name == "tiny-tied" and "lm_head" in case["target_modules"])]  # fmt: skip
    write_json(LATENT_REASONING / "lora-targets.json", {
        "defaults": {"r": LoraConfig().r, "lora_alpha": LoraConfig().lora_alpha}, "cases": cases, "versions": versions(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
