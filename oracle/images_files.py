"""Small PNG and JPEG files by Pillow, with what Pillow decodes: `qwen-vl/test/golden/images/files/` and `files.*`.

`<file>.rgb` is `Image.open(file).convert("RGB")`: alpha is dropped, the palette expanded, orientation is not applied.
`<file>.upright` is the same after `ImageOps.exif_transpose`. PNG must match exactly, JPEG within the decoder's
rounding.
"""

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from common import prepare, write_golden
from images_resize import IMAGES, gradient, noise
from model_cases import picture

ORIENTATION = 0x0112
FILES = IMAGES / "files"


def smooth(height: int, width: int) -> Image.Image:
    """A picture that JPEG keeps well."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = [
        rows * 200 // height + 20,
        columns * 200 // width + 20,
        230 - (rows + columns) * 200 // (height + width),
    ]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def comment() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "kept out of the picture")
    return info


def files() -> dict[str, tuple[Image.Image, dict]]:
    transparent = Image.fromarray(picture(12, 10, 41)).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    transparent.info["transparency"] = 3
    return {
        "rgb.png": (Image.fromarray(picture(15, 22, 40)), {"pnginfo": comment()}),
        "grey.png": (Image.fromarray(gradient(13, 18)), {}),
        "grey-alpha.png": (Image.fromarray(noise(9, 7, 2, 42)), {}),
        "rgba.png": (Image.fromarray(noise(11, 14, 4, 43)), {}),
        "palette.png": (transparent, {}),
        "one-bit.png": (Image.fromarray(gradient(10, 19)).convert("1"), {}),
        "rgb.jpg": (smooth(20, 30), {"quality": 95}),
        "grey.jpg": (smooth(17, 23).convert("L"), {"quality": 95}),
        "rotated.jpg": (smooth(16, 24), {"quality": 95, "exif": exif(6)}),
        "subsampled.jpg": (smooth(21, 33), {"quality": 90, "subsampling": "4:2:0"}),
        "progressive.jpg": (smooth(24, 24), {"quality": 90, "progressive": True}),
    }


def main() -> None:
    prepare()
    FILES.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, np.ndarray] = {}
    entries = []
    for name, (image, options) in files().items():
        image.save(FILES / name, **options)
        opened = Image.open(FILES / name)
        orientation = opened.getexif().get(ORIENTATION, 1)
        tensors[f"{name}.rgb"] = np.asarray(opened.convert("RGB"))
        if orientation != 1:
            tensors[f"{name}.upright"] = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        entries.append({"file": name, "mode": opened.mode, "size": list(opened.size), "orientation": orientation})
    write_golden(IMAGES, "files", tensors, {"note": "size is [width, height] as stored", "entries": entries})


if __name__ == "__main__":
    main()
