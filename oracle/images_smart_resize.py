"""`smart_resize` of transformers for 60 sizes: `qwen-vl/test/golden/images/smart-resize.json`."""

from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from common import prepare, versions, write_json
from images_resize import IMAGES

HUB = (28, 3136, 12845056)
STORY = (28, 256 * 784, 1280 * 784)
QWEN3 = (32, 65536, 16777216)
EVAL = (28, 3136, 1003520)
TINY = (8, 64, 4096)
FIXED = (28, 12544, 12544)

# (height, width) per (factor, min_pixels, max_pixels); 42, 70, 98 and 126 are ties of round() at factor 28.
SIZES = {
    HUB: [
        (224, 224), (480, 640), (1080, 1920), (2160, 3840), (4320, 7680), (14, 14), (42, 70), (98, 210), (20, 2000),
        (1365, 2048), (1, 1), (1, 200), (70, 70), (126, 42), (154, 98), (13, 41), (27, 29), (55, 57),
    ],
    STORY: [(480, 640), (1080, 1920), (42, 70), (336, 336), (784, 1300), (3000, 200)],
    QWEN3: [(224, 224), (480, 640), (2160, 3840), (42, 70), (20, 2000), (1365, 2048), (48, 80), (16, 16)],
    EVAL: [
        (100, 175), (28, 28), (27, 500), (1024, 1536), (333, 500), (2160, 3840), (56, 3000), (14, 1400), (5, 900),
        (900, 5),
    ],
    TINY: [(4, 4), (12, 20), (13, 27), (17, 23), (9, 41), (3, 500), (1, 7), (100, 100), (64, 64), (20, 28), (65, 66)],
    FIXED: [(112, 112), (100, 130), (640, 480), (57, 57), (500, 90), (84, 112), (126, 98)],
}  # fmt: skip
REFUSED = [(1, 201), (2000, 9)]


def main() -> None:
    prepare()
    table = []
    for (factor, low, high), sizes in SIZES.items():
        for height, width in sizes:
            table.append([height, width, factor, low, high, *smart_resize(height, width, factor, low, high)])
    refused = []
    for height, width in REFUSED:
        try:
            smart_resize(height, width, *HUB)
        except ValueError:
            refused.append([height, width, *HUB])
    assert len(refused) == len(REFUSED)
    columns = ["height", "width", "factor", "min_pixels", "max_pixels", "resized_height", "resized_width"]
    manifest = {"columns": columns, "rows": table, "refused": refused, "versions": versions()}
    write_json(IMAGES / "smart-resize.json", manifest)


if __name__ == "__main__":
    main()
