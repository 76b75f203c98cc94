"""Pictures that are a formula of position and seed, written alike in `qwen-vl/test/support/formula-image.ts`.

So goldens can hold digests of what became of a picture, and neither side stores pixels. Shared part, writes nothing.
"""

import hashlib

import numpy as np

KINDS = ("noise", "gradient", "blocks", "extremes")


def hashed(index: np.ndarray, seed: int) -> np.ndarray:
    """A byte for every index, as good as random: multiply and shift in 32 bits."""
    value = index.astype(np.uint32) * np.uint32(0x9E3779B1) + np.uint32((seed * 0x85EBCA6B) & 0xFFFFFFFF)
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        value ^= value >> np.uint32(shift)
        value *= np.uint32(factor)
    return ((value ^ (value >> np.uint32(15))) >> np.uint32(24)).astype(np.uint8)


def formula_image(kind: str, seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """uint8 [height, width, channels]."""
    rows, columns, channel = np.ogrid[0:height, 0:width, 0:channels]
    shape = (height, width, channels)
    if kind == "noise":
        return hashed((rows * width + columns) * channels + channel, seed)
    if kind == "gradient":
        value = rows * (seed % 7 + 1) + columns * (seed % 5 + 1) + channel * 37 + seed
        return np.broadcast_to(value % 256, shape).astype(np.uint8)
    if kind == "blocks":
        return np.broadcast_to(hashed((rows // 7 * 4096 + columns // 5) * channels + channel, seed), shape)
    assert kind == "extremes"
    return np.where(hashed((rows * width + columns) * channels + channel, seed) < 128, 0, 255).astype(np.uint8)


def sha256(array: np.ndarray) -> str:
    """Of the bytes, row-major, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
