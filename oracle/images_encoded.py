"""Files of every kind with what Pillow decodes: `qwen-vl/test/golden/images/encoded.*`.

The tensors are the bytes of the files. `rgb` is the digest of `Image.open(file).convert("RGB")`, `upright` that of the
same after `ImageOps.exif_transpose`. All must be met to the byte, JPEG and lossy WebP too.
"""

import io

import numpy as np
from PIL import Image, ImageOps

from common import prepare, write_golden
from images_encode import ORIENTATION, all_files
from images_formula import sha256
from images_resize import IMAGES


def entry(name: str, data: bytes) -> dict:
    opened = Image.open(io.BytesIO(data))
    rgb = np.asarray(opened.convert("RGB"))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    return {
        "file": name, "mode": opened.mode, "size": list(opened.size),
        "lossless": not name.endswith(("jpg", "lossy.webp")),
        "orientation": opened.getexif().get(ORIENTATION, 1), "first": rgb.reshape(-1)[:6].tolist(), "rgb": sha256(rgb),
        "upright_size": list(upright.shape[1::-1]), "upright": sha256(upright),
    }  # fmt: skip


def main() -> None:
    prepare()
    files = all_files()
    entries = [entry(name, data) for name, data in files.items()]
    tensors = {name: np.frombuffer(data, np.uint8) for name, data in files.items()}
    note = "sizes are [width, height]; `size` as stored"
    write_golden(IMAGES, "encoded", tensors, {"note": note, "entries": entries})


if __name__ == "__main__":
    main()
