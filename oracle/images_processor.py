"""The whole image processor, Pillow path: raw picture to pixel_values, `qwen-vl/test/golden/images/processor.*`.

The arithmetic that gives the exact float32 (transformers 5.18, `Qwen2VLImageProcessorPil`): float64 product with
1/255, one rounding to float32, float32 minus the float32 mean, divided by the float32 std, each rounded. Then
patches, each repeated `temporal_patch_size` times along time.
"""

import numpy as np
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from common import prepare, write_golden
from images_resize import IMAGES, noise
from model_cases import picture

REAL = {"patch_size": 14, "size": {"shortest_edge": 784, "longest_edge": 12845056}}
TINY = {"patch_size": 4, "size": {"shortest_edge": 64, "longest_edge": 1024}}
# name, image mode, source, processor settings
CASES = [
    ("patch 14, rounded to 28x56", "RGB", picture(37, 55, 21), REAL),
    ("patch 14, raised to the minimum", "RGBA", noise(9, 20, 4, 22), REAL),
    ("patch 4, rounded", "RGB", picture(21, 27, 23), TINY),
    ("patch 4, lowered to the maximum", "L", noise(90, 61, 1, 24)[:, :, 0], TINY),
    ("patch 4, no resize", "RGB", picture(16, 8, 25), TINY),
]
ARITHMETIC = [
    "rescaled = float32(float64(byte) * (1/255))",
    "value = float32(float32(rescaled - float32(mean)) / float32(std))",
]


def main() -> None:
    prepare()
    tensors: dict[str, np.ndarray] = {}
    entries = []
    for index, (name, mode, source, settings) in enumerate(CASES):
        image = Image.fromarray(source)
        assert image.mode == mode, (name, image.mode)
        processor = Qwen2VLImageProcessorPil(**settings)
        output = processor([image], return_tensors="np")
        tensors[f"{index}.source"] = source
        tensors[f"{index}.pixel_values"] = output["pixel_values"]
        entries.append({
            "index": index, "name": name, "mode": mode, **settings, "merge_size": processor.merge_size,
            "temporal_patch_size": processor.temporal_patch_size, "image_mean": processor.image_mean,
            "image_std": processor.image_std, "image_grid_thw": output["image_grid_thw"].tolist(),
        })  # fmt: skip
    write_golden(IMAGES, "processor", tensors, {"arithmetic": ARITHMETIC, "entries": entries})


if __name__ == "__main__":
    main()
