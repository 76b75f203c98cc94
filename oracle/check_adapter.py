"""Loads an adapter folder that this project wrote into PEFT and compares logits. Used by hand, not by any test.

    python oracle/check_adapter.py MODEL_FOLDER ADAPTER_FOLDER LOGITS.json [--result RESULT.json]

LOGITS.json: {"input_ids": [...], "logits": [[...], ...]} and, with images, "pixel_values": [[...], ...] and
"image_grid_thw": [[t, h, w], ...]. `logits` are those of the last len(logits) positions under plain causal attention.
Exit code 1 if max |logit difference| is above --tolerance (default 1e-3).
"""

import argparse
import json
from pathlib import Path

import torch
from peft import PeftModel
from transformers import Qwen2_5_VLForConditionalGeneration

from common import prepare, versions, write_json


def inputs_of(content: dict, image_token_id: int) -> dict[str, torch.Tensor]:
    ids = torch.tensor([content["input_ids"]])
    inputs = {"input_ids": ids}
    if "pixel_values" in content:
        inputs["pixel_values"] = torch.tensor(content["pixel_values"], dtype=torch.float32)
        inputs["image_grid_thw"] = torch.tensor(content["image_grid_thw"])
        inputs["mm_token_type_ids"] = (ids == image_token_id).int()
    return inputs


def main() -> None:
    parser = argparse.ArgumentParser(description="compare our logits with PEFT's")
    parser.add_argument("model", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("logits", type=Path)
    parser.add_argument("--result", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    arguments = parser.parse_args()

    prepare()
    content = json.loads(arguments.logits.read_text())
    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        arguments.model, attn_implementation="eager", dtype=torch.float32
    )
    inputs = inputs_of(content, base.config.image_token_id)
    ours = torch.tensor(content["logits"], dtype=torch.float32)
    with torch.no_grad():
        plain = base.eval()(**inputs).logits[0, -len(ours) :]
        model = PeftModel.from_pretrained(base, arguments.adapter).eval()
        theirs = model(**inputs).logits[0, -len(ours) :]
    result = {
        "max_abs_logit_difference": (ours - theirs).abs().max().item(),
        "max_abs_logit": theirs.abs().max().item(),
        "max_abs_effect_of_the_adapter": (theirs - plain).abs().max().item(),
        "same_argmax": bool((ours.argmax(-1) == theirs.argmax(-1)).all()),
        "adapter_tensors": sum(
            1 for name, _ in model.named_parameters() if "lora_" in name or "trainable_tokens" in name
        ),
        "versions": versions(),
    }
    print(json.dumps(result, indent=2))
    if arguments.result:
        write_json(arguments.result, result)
    if result["max_abs_logit_difference"] > arguments.tolerance or result["max_abs_effect_of_the_adapter"] == 0:
        raise SystemExit("logits differ, or the adapter had no effect")


if __name__ == "__main__":
    main()
