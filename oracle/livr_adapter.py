"""A PEFT adapter folder as PEFT writes it: LoRA on the language model's seven linear layers plus K trained token rows.

`latent-reasoning/test/golden/adapter/` (adapter_config.json, adapter_model.safetensors) and `adapter-logits.*`: the
logits of both samples with that adapter. LoRA B and the token rows are random, so that nothing of the adapter is a
no-op.
"""

import json

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from common import LATENT_REASONING, generator, prepare, write_golden
from livr_samples import LATENTS, MODEL, build_samples
from tiny_models import load

ADAPTER = LATENT_REASONING / "adapter"
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def lora_config() -> LoraConfig:
    return LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, bias="none", target_modules=TARGETS,
        trainable_token_indices={"embed_tokens": LATENTS}, task_type="CAUSAL_LM",
    )  # fmt: skip


def random_adapter() -> PeftModel:
    """A and B are N(0, 0.15^2); the token rows are the base rows plus N(0, 0.25^2)."""
    model = get_peft_model(load(MODEL), lora_config())
    source = generator(7)
    for name, parameter in sorted(trainable(model).items()):
        noise = torch.randn(parameter.shape, generator=source)
        parameter.data = parameter.data + 0.25 * noise if "token" in name else 0.15 * noise
    return model.eval()


def trainable(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """Trainable parameters under the names that PEFT saves them by. Tied rows appear once."""
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return {
        name.replace(".default", "").removesuffix(".weight") + ("" if "token" in name else ".weight"): value
        for name, value in parameters.items()
    }


def save(model: PeftModel) -> None:
    """PEFT's own files, without its model card; the base model is named, not given by its path on this machine."""
    model.save_pretrained(ADAPTER)
    (ADAPTER / "README.md").unlink()
    path = ADAPTER / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = MODEL
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (ADAPTER / "adapter_model.safetensors").chmod(0o644)


def main() -> None:
    prepare()
    model = random_adapter()
    save(model)
    loaded = PeftModel.from_pretrained(load(MODEL), ADAPTER).eval()
    tensors: dict[str, torch.Tensor] = {}
    for index, sample in enumerate(build_samples(loaded.get_base_model())):
        for stage in (1, 2):
            with torch.no_grad():
                logits = loaded(**sample.inputs(stage)).logits
                assert torch.equal(logits, model(**sample.inputs(stage)).logits)
            tensors[f"{index}.stage{stage}.logits"] = logits[:, -4:]
    manifest = {
        "adapter": "adapter/",
        "note": "samples of livr-forward.json; logits of the last 4 positions; the tied head uses the trained rows too",
        "parameters": list(trainable(model)),
    }
    write_golden(LATENT_REASONING, "adapter-logits", tensors, manifest)


if __name__ == "__main__":
    main()
