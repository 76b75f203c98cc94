"""Files of every kind the decoders must read, made by Pillow or, where Pillow cannot, byte by byte. Shared part."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from images_formula import formula_image

ORIENTATION = 0x0112
PNG_COLOURS = {"grey": (0, 1), "rgb": (2, 3), "palette": (3, 1), "grey-alpha": (4, 2), "rgba": (6, 4)}
# x offset, y offset, x step, y step of the seven passes of an interlaced PNG.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples: np.ndarray, depth: int) -> bytes:
    """[height, width, channels] as PNG rows without filter: samples of `depth` bits, most significant first."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        else:
            bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
            data = np.packbits(bits.reshape(-1)).tobytes()
        rows.append(b"\x00" + data)
    return b"".join(rows)


def png(colour: str, depth: int, samples: np.ndarray, palette: bytes = b"", trns: bytes = b"", adam7=False) -> bytes:
    """samples: [height, width, channels], each below 2^depth."""
    height, width, channels = samples.shape
    kind, expected = PNG_COLOURS[colour]
    assert channels == expected
    if adam7:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        data = b"".join(packed_rows(part, depth) for part in passes if part.size)
    else:
        data = packed_rows(samples, depth)
    return b"".join([
        b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(adam7))),
        *([chunk(b"PLTE", palette)] if palette else []), *([chunk(b"tRNS", trns)] if trns else []),
        chunk(b"IDAT", zlib.compress(data, 9)), chunk(b"IEND", b""),
    ])  # fmt: skip


def samples(depth: int, height: int, width: int, channels: int, seed: int) -> np.ndarray:
    high = formula_image("noise", seed, height, width, channels).astype(np.uint32)
    low = formula_image("noise", seed + 1, height, width, channels).astype(np.uint32)
    return (high * 256 + low) >> (16 - depth)


def smooth(height: int, width: int, channels: int = 3) -> Image.Image:
    """A picture that JPEG keeps well."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [
        rows * 200 // height + 20, columns * 200 // width + 20, 230 - (rows + columns) * 200 // (height + width),
        (rows * 3 + columns * 5) % 120,
    ]  # fmt: skip
    data = np.stack(planes[:channels], axis=-1).astype(np.uint8)
    return Image.fromarray(data[:, :, 0] if channels == 1 else data, mode={1: "L", 3: "RGB", 4: "CMYK"}[channels])


def saved(image: Image.Image, format: str, **options) -> bytes:
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


def oriented(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def png_files() -> dict[str, bytes]:
    files = {}
    for depth in (1, 2, 4, 8, 16):
        files[f"grey-{depth}.png"] = png("grey", depth, samples(depth, 9, 13, 1, 500 + depth))
        key = struct.pack(">H", int(samples(depth, 9, 13, 1, 500 + depth)[2, 3, 0]))
        files[f"grey-{depth}-trns.png"] = png("grey", depth, samples(depth, 9, 13, 1, 500 + depth), trns=key)
    for depth in (1, 2, 4, 8):
        colours = formula_image("noise", 520, 1, 2**depth).tobytes()
        clear = formula_image("noise", 521, 1, 2**depth - 1, 1).tobytes()
        indices = samples(depth, 8, 11, 1, 520 + depth)
        files[f"palette-{depth}.png"] = png("palette", depth, indices, palette=colours)
        files[f"palette-{depth}-trns.png"] = png("palette", depth, indices, palette=colours, trns=clear)
    for depth in (8, 16):
        for colour, channels in (("rgb", 3), ("grey-alpha", 2), ("rgba", 4)):
            files[f"{colour}-{depth}.png"] = png(colour, depth, samples(depth, 7, 10, channels, 540 + depth))
        colour = samples(depth, 7, 10, 3, 540 + depth)
        files[f"rgb-{depth}-trns.png"] = png("rgb", depth, colour, trns=struct.pack(">3H", *map(int, colour[1, 1])))
        files[f"interlaced-{depth}.png"] = png("rgb", depth, colour, adam7=True)
    files["interlaced-1.png"] = png("grey", 1, samples(1, 9, 13, 1, 560), adam7=True)
    return files


def jpeg_files() -> dict[str, bytes]:
    cmyk = saved(smooth(15, 18, 4), "JPEG", quality=92)
    marker = cmyk.index(b"Adobe")
    assert cmyk[marker + 11] == 0, "the colour transform of a CMYK file"
    return {
        "cmyk.jpg": cmyk,
        "cmyk-progressive.jpg": saved(smooth(18, 15, 4), "JPEG", quality=90, progressive=True),
        # Same planes, said to be luma, two chromas and black.
        "ycck.jpg": cmyk[: marker + 11] + b"\x02" + cmyk[marker + 12 :],
        "baseline-444.jpg": saved(smooth(19, 26), "JPEG", quality=90, subsampling="4:4:4"),
        "baseline-422.jpg": saved(smooth(19, 27), "JPEG", quality=80, subsampling="4:2:2"),
        "grey-progressive.jpg": saved(smooth(21, 18, 1), "JPEG", quality=85, progressive=True),
        "restart.jpg": saved(smooth(33, 40), "JPEG", quality=75, restart_marker_blocks=2),
        **{
            f"orientation-{i}.jpg": saved(smooth(8, 16), "JPEG", quality=95, exif=oriented(i)) for i in range(1, 9)
        },
    }  # fmt: skip


def partial_gif(transparent: bool, own_palette: bool) -> bytes:
    """A GIF whose only picture covers part of the screen: the header of a larger screen before Pillow's own blocks."""
    options = {"transparency": 2} if transparent else {}
    data = saved(Image.fromarray(formula_image("blocks", 585, 8, 10)).quantize(8), "GIF", **options)
    table = 3 * 2 ** ((data[10] & 7) + 1)
    at = data.index(b"\x2c", 13 + table)
    packed = data[at + 9]
    assert packed & 0x80 == 0
    own = data[13 : 13 + table][::-1] if own_palette else b""
    descriptor = struct.pack("<HHHH", 3, 2, 10, 8) + bytes([packed | ((0x80 | data[10] & 7) if own_palette else 0)])
    screen = struct.pack("<HH", 15, 12)
    return data[:6] + screen + data[10 : at + 1] + descriptor + own + data[at + 10 :]


def other_files() -> dict[str, bytes]:
    rgba = Image.fromarray(formula_image("noise", 580, 9, 12, 4))
    blocks = Image.fromarray(formula_image("blocks", 581, 20, 24))
    frames = [Image.fromarray(formula_image("blocks", 590 + i, 12, 14)) for i in range(3)]
    palette = blocks.quantize(32)
    return {
        "lossless.webp": saved(blocks, "WEBP", lossless=True),
        "lossless-alpha.webp": saved(rgba, "WEBP", lossless=True, exact=True),
        "lossy.webp": saved(smooth(20, 30), "WEBP", quality=80),
        "lossy-alpha.webp": saved(rgba, "WEBP", quality=80, exact=True),
        "animated.webp": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=40),
        "plain.gif": saved(palette, "GIF"),
        "interlaced.gif": saved(palette, "GIF", interlace=1),
        "transparent.gif": saved(palette, "GIF", transparency=3),
        **{
            f"partial{'-transparent' * clear}{'-palette' * own}.gif": partial_gif(clear, own)
            for clear in (False, True) for own in (False, True)
        },
        "animated.gif": saved(
            frames[0].quantize(16), "GIF", save_all=True, duration=[100, 250, 50], loop=0,
            append_images=[frame.quantize(16) for frame in frames[1:]],
        ),
        "orientation-6.png": saved(blocks, "PNG", exif=oriented(6)),
        "orientation-8.webp": saved(blocks, "WEBP", lossless=True, exif=oriented(8)),
    }  # fmt: skip


def all_files() -> dict[str, bytes]:
    return {**png_files(), **jpeg_files(), **other_files()}
