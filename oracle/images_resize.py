"""Bicubic resizing as Pillow does it on uint8: `qwen-vl/test/golden/images/resize.*`, to be met byte for byte."""

import numpy as np
from PIL import Image

from common import QWEN_VL, prepare, write_golden

IMAGES = QWEN_VL / "images"


def gradient(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return ((rows * 255 // max(1, height - 1) + columns * 255 // max(1, width - 1)) // 2).astype(np.uint8)


def noise(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def checkerboard(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[:, :, None], 3, axis=2)


# name, mode, source, (height, width) of the result
CASES = [
    ("grey row, 8 to 4", "L", np.array([[0, 50, 100, 150, 200, 250, 255, 255]], np.uint8), (1, 4)),
    ("grey row, 5 to 8", "L", np.array([[0, 255, 0, 255, 0]], np.uint8), (1, 8)),
    ("grey gradient, down", "L", gradient(31, 19), (12, 9)),
    ("grey gradient, up", "L", gradient(7, 5), (20, 13)),
    ("noise, down by 3", "RGB", noise(33, 45, 3, 1), (11, 15)),
    ("noise, odd down", "RGB", noise(29, 37, 3, 2), (17, 20)),
    ("noise, up", "RGB", noise(13, 17, 3, 3), (28, 28)),
    ("checkerboard, up and down", "RGB", checkerboard(16, 9), (5, 23)),
    ("one pixel high", "RGB", noise(1, 23, 3, 4), (8, 8)),
    ("one pixel wide", "RGB", noise(19, 1, 3, 5), (8, 16)),
    ("one pixel", "RGB", noise(1, 1, 3, 6), (4, 4)),
    ("only the width changes", "RGB", noise(12, 21, 3, 7), (12, 8)),
    ("only the height changes", "RGB", noise(21, 12, 3, 8), (32, 12)),
    ("same size", "RGB", noise(6, 6, 3, 9), (6, 6)),
    ("RGBA converted to RGB first", "RGBA", noise(14, 11, 4, 10), (21, 8)),
    ("grey converted to RGB first", "L", noise(15, 10, 1, 11)[:, :, 0], (8, 8)),
]


def main() -> None:
    prepare()
    tensors: dict[str, np.ndarray] = {}
    entries = []
    for index, (name, mode, source, (height, width)) in enumerate(CASES):
        image = Image.fromarray(source)
        assert image.mode == mode, (name, image.mode)
        converted = image.convert("RGB") if "converted" in name else image
        result = np.asarray(converted.resize((width, height), resample=Image.Resampling.BICUBIC))
        tensors[f"{index}.source"] = source
        tensors[f"{index}.result"] = result
        entries.append(
            {"index": index, "name": name, "mode": mode, "source": list(source.shape), "result": list(result.shape)}
        )
    note = "[height, width] or [height, width, channels]; `converted` in the name: Image.convert('RGB') comes first"
    write_golden(IMAGES, "resize", tensors, {"filter": "bicubic", "note": note, "entries": entries})


if __name__ == "__main__":
    main()
