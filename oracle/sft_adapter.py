"""Loads the adapter that this project's own training run saved into PEFT: `latent-reasoning/test/golden/sft-adapter-logits.*`.

`sft-adapter/` is written by the package (WRITE_GOLDENS=1 in golden-sft.test.ts); here it is only read. Keys of the golden:
`<conversation>.logits`, those of the last two positions. PEFT has to find every tensor of the file, and the adapter has to
change the logits. The same file under the names of the old layout has to give the same logits when PEFT is told how those
map to today's; it is not by itself, and would leave such an adapter out in silence.
"""

import json
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from common import LATENT_REASONING, prepare, write_golden
from livr_adapter import trainable
from sft_samples import MODEL, batch, build_conversations
from tiny_models import load, old_layout

ADAPTER = LATENT_REASONING / "sft-adapter"
# The mapping that transformers 4.52 to 4.57 gave to PEFT.
OLD_TO_NEW = {"^visual": "model.visual", r"^model(?!\.(language_model|visual))": "model.language_model"}
PREFIX = "base_model.model."
LAST = 2


def logits_of(model: torch.nn.Module) -> list[torch.Tensor]:
    with torch.no_grad():
        return [model(**batch([each])).logits[0, -LAST:] for each in build_conversations()]


def load_strictly(folder: Path, key_mapping: dict[str, str] | None = None) -> PeftModel:
    """The adapter in PEFT, with every parameter that PEFT made set from the file, and every tensor of the file used."""
    model = PeftModel.from_pretrained(load(MODEL), folder, is_trainable=True, key_mapping=key_mapping).eval()
    stored = load_file(folder / "adapter_model.safetensors")
    parameters = {PREFIX + old_layout(name.removeprefix(PREFIX)): value for name, value in trainable(model).items()}
    stored = {PREFIX + old_layout(name.removeprefix(PREFIX)): value for name, value in stored.items()}
    assert parameters.keys() == stored.keys(), parameters.keys() ^ stored.keys()
    for name, value in stored.items():
        assert torch.equal(parameters[name], value), name
    return model


def write_old_layout(folder: Path) -> None:
    """The adapter with old names, and targets by the endings that both layouts share."""
    tensors = load_file(ADAPTER / "adapter_model.safetensors")
    renamed = {PREFIX + old_layout(name.removeprefix(PREFIX)): value for name, value in tensors.items()}
    save_file(renamed, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((ADAPTER / "adapter_config.json").read_text())
    modules = {name.removeprefix(PREFIX).split(".lora_")[0] for name in tensors}
    config["target_modules"] = sorted(name.removeprefix("model.language_model.") for name in modules)
    (folder / "adapter_config.json").write_text(json.dumps(config))


def main() -> None:
    prepare()
    plain = logits_of(load(MODEL))
    logits = logits_of(load_strictly(ADAPTER))
    effect = max((one - other).abs().max().item() for one, other in zip(logits, plain, strict=True))
    assert effect > 0.1, effect
    with tempfile.TemporaryDirectory() as folder:
        write_old_layout(Path(folder))
        old = logits_of(load_strictly(Path(folder), OLD_TO_NEW))
    assert all(torch.equal(one, other) for one, other in zip(logits, old, strict=True))
    manifest = {
        "model": MODEL, "adapter": "sft-adapter/", "effect": round(effect, 4),
        "note": "conversations of sft-training.json, each on its own; logits of the last 2 positions",
    }  # fmt: skip
    tensors = {f"{index}.logits": value for index, value in enumerate(logits)}
    write_golden(LATENT_REASONING, "sft-adapter-logits", tensors, manifest)


if __name__ == "__main__":
    main()
