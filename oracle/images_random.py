"""Fifty random pictures and the ten sizes of the resize table: `qwen-vl/test/golden/images/random.json`.

Pixels are formulas (`images_formula.py`), results are digests: of the resized bytes, and of the float32 `pixel_values`
of `Qwen2VLImageProcessorPil`. The first values are there to look at when a digest differs.
"""

import random

import numpy as np
from PIL import Image
from transformers import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from common import prepare, versions, write_json
from images_formula import KINDS, formula_image, sha256
from images_resize import IMAGES

COUNT = 50
HUB = (3136, 12845056)
# Height, width; the budget is that of the published checkpoints.
TABLE = [
    (224, 224), (480, 640), (1080, 1920), (2160, 3840), (4320, 7680), (14, 14), (42, 70), (98, 210), (20, 2000),
    (1365, 2048),
]  # fmt: skip
# Largest pictures whose patches are compared too; above it, the resized bytes alone.
LARGEST_PATCHED = 640 * 480
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


def random_size(source: random.Random) -> tuple[int, int]:
    shape = source.choice(("any", "any", "any", "small", "line", "thin"))
    if shape == "any":
        return source.randint(1, 300), source.randint(2, 300)
    if shape == "small":
        return source.randint(1, 20), source.randint(1, 20)
    short = 1 if shape == "line" else source.randint(2, 9)
    sides = short, source.randint(short, min(300, 200 * short))
    return sides if source.random() < 0.5 else sides[::-1]


def random_cases() -> list[dict]:
    source = random.Random(20)
    cases = []
    for seed in range(COUNT):
        height, width = random_size(source)
        while max(height, width) / min(height, width) > 200:
            height, width = random_size(source)
        low = source.randint(1, 90_000)
        budget = HUB if source.random() < 0.3 else (low, source.randint(low, 150_000))
        cases.append({
            "kind": source.choice(KINDS), "seed": seed, "height": height, "width": width,
            "mode": source.choice(("L", "RGB", "RGB", "RGB", "RGBA")), "budget": budget,
            "patch_size": source.choice((14, 14, 14, 4)),
        })  # fmt: skip
    return cases


def table_cases() -> list[dict]:
    return [
        {"kind": KINDS[seed % len(KINDS)], "seed": 100 + seed, "height": height, "width": width, "mode": "RGB",
         "budget": HUB, "patch_size": 14}
        for seed, (height, width) in enumerate(TABLE)
    ]  # fmt: skip


def entry(case: dict) -> dict:
    height, width, (low, high) = case["height"], case["width"], case["budget"]
    pixels = formula_image(case["kind"], case["seed"], height, width, CHANNELS[case["mode"]])
    image = Image.fromarray(pixels[:, :, 0] if case["mode"] == "L" else pixels)
    assert image.mode == case["mode"]
    size = smart_resize(height, width, case["patch_size"] * 2, low, high)
    resized = image.convert("RGB").resize(size[::-1], resample=Image.Resampling.BICUBIC)
    result = {**case, "resized": list(size), "resized_sha256": sha256(np.asarray(resized))}
    if height * width > LARGEST_PATCHED:
        return result
    processor = Qwen2VLImageProcessorPil(
        patch_size=case["patch_size"], size={"shortest_edge": low, "longest_edge": high}
    )
    output = processor([image], return_tensors="np")
    values = output["pixel_values"]
    assert values.dtype == np.float32
    return {
        **result, "image_grid_thw": output["image_grid_thw"].tolist()[0], "sha256": sha256(values),
        "first": values.reshape(-1)[:4].tolist(),
    }  # fmt: skip


def main() -> None:
    prepare()
    entries = [entry(case) for case in [*random_cases(), *table_cases()]]
    path = IMAGES / "random.json"
    write_json(path, {f"{index}": value for index, value in enumerate(entries)} | {"versions": versions()})


if __name__ == "__main__":
    main()
