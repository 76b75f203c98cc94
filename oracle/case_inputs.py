"""The prompts of the model cases as model inputs: pictures, patches, ids with expanded placeholders.

A prompt is text with one `@` per item. An item is a picture (height, width), a stored file, or a video: frames of one
size and the seconds from one temporal patch to the next. Pictures are numbered through the whole case, the frames of
videos included, and stored as `images.<number>`.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from common import QWEN_VL
from tiny_models import MODELS
from tiny_tokenizer import IDS, build_tokenizer

IMAGE_PAD, VIDEO_PAD = IDS["<|image_pad|>"], IDS["<|video_pad|>"]
FILES = QWEN_VL / "images/files"


@dataclass(frozen=True)
class Picture:
    height: int
    width: int


@dataclass(frozen=True)
class File:
    """A file under `images/files`, decoded by Pillow."""

    name: str


@dataclass(frozen=True)
class Video:
    frames: int
    height: int
    width: int
    seconds: float


Item = Picture | File | Video


@dataclass(frozen=True)
class Row:
    """One prompt; `patches` and `entries` (what the manifest says) are of its items in order."""

    ids: list[int]
    patches: list[torch.Tensor]
    entries: list[dict]


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth ramps plus noise, so that neighbouring patches differ and resampling has something to do."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.RandomState(seed).randint(0, 96, (height, width, 3))
    ramps = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) * 7 % 256], axis=-1)
    return ((ramps + noise) % 256).astype(np.uint8)


def image_patches(model_name: str, image: Image.Image) -> tuple[torch.Tensor, list[int]]:
    processor = Qwen2VLImageProcessorPil.from_pretrained(MODELS / model_name)
    output = processor([image], return_tensors="pt")
    return output["pixel_values"], output["image_grid_thw"][0].tolist()


def video_patches(model_name: str, frames: list[np.ndarray]) -> tuple[torch.Tensor, list[int]]:
    """Patches of a video from those of its frames as stills: the first of each pair gives the first temporal slice,
    the second the second; an odd last frame is repeated. The temporal slice is the second axis of [C, T, P, P]."""
    frames = frames + frames[-1:] * (len(frames) % 2)
    stills = [image_patches(model_name, Image.fromarray(frame)) for frame in frames]
    grid = [len(frames) // 2, *stills[0][1][1:]]
    slices = [patches.view(len(patches), 3, 2, -1) for patches, _ in stills]
    pairs = zip(slices[::2], slices[1::2], strict=True)
    joined = [torch.stack([first[:, :, 0], second[:, :, 1]], dim=2).flatten(1) for first, second in pairs]
    return torch.cat(joined), grid


class Prompter:
    """Makes rows of one case and keeps its pictures."""

    def __init__(self, model_name: str):
        self.model_name = model_name
        self.tokenizer = build_tokenizer()
        self.pictures: list[np.ndarray] = []

    def _picture(self, height: int, width: int) -> np.ndarray:
        self.pictures.append(picture(height, width, seed=len(self.pictures)))
        return self.pictures[-1]

    def _item(self, item: Item) -> tuple[torch.Tensor, dict]:
        first = len(self.pictures)
        if isinstance(item, Video):
            frames = [self._picture(item.height, item.width) for _ in range(item.frames)]
            patches, grid = video_patches(self.model_name, frames)
            numbers = list(range(first, first + len(frames)))
            entry = {"kind": "video", "grid": grid, "seconds": item.seconds, "pictures": numbers}
        elif isinstance(item, File):
            patches, grid = image_patches(self.model_name, Image.open(FILES / item.name))
            entry = {"kind": "image", "grid": grid, "file": item.name}
        else:
            patches, grid = image_patches(self.model_name, Image.fromarray(self._picture(item.height, item.width)))
            entry = {"kind": "image", "grid": grid, "pictures": [first]}
        digest = hashlib.sha256(np.ascontiguousarray(patches.numpy()).tobytes()).hexdigest()
        return patches, {**entry, "pixel_values_sha256": digest}

    def row(self, prompt: str, items: list[Item]) -> Row:
        """Ids of the prompt with one pad per merged token of each item, between vision_start and vision_end."""
        parts = prompt.split("@")
        ids = self.tokenizer.encode(parts[0]).ids
        made = [self._item(item) for item in items]
        for (_, entry), part in zip(made, parts[1:], strict=True):
            frames, rows, columns = entry["grid"]
            pad = VIDEO_PAD if entry["kind"] == "video" else IMAGE_PAD
            pads = [pad] * (frames * rows * columns // 4)
            ids = ids + [IDS["<|vision_start|>"], *pads, IDS["<|vision_end|>"]] + self.tokenizer.encode(part).ids
        return Row(ids, [patches for patches, _ in made], [entry for _, entry in made])


def batch_inputs(rows: list[Row]) -> dict:
    """Keyword arguments of the model's forward; rows are padded on the left with id 0."""
    width = max(len(row.ids) for row in rows)
    padding = [width - len(row.ids) for row in rows]
    ids = torch.tensor([[0] * count + row.ids for count, row in zip(padding, rows, strict=True)])
    inputs = {"input_ids": ids}
    if any(padding):
        inputs["attention_mask"] = torch.tensor([[0] * count + [1] * (width - count) for count in padding])
    found = [(patches, entry) for row in rows for patches, entry in zip(row.patches, row.entries, strict=True)]
    for kind, suffix in (("image", ""), ("video", "_videos")):
        own = [(patches, entry) for patches, entry in found if entry["kind"] == kind]
        if own:
            inputs[f"pixel_values{suffix}"] = torch.cat([patches for patches, _ in own])
            inputs[f"{kind}_grid_thw"] = torch.tensor([entry["grid"] for _, entry in own])
        if own and kind == "video":
            inputs["second_per_grid_ts"] = torch.tensor([entry["seconds"] for _, entry in own])
    if found:
        inputs["mm_token_type_ids"] = ((ids == IMAGE_PAD) + 2 * (ids == VIDEO_PAD)).int()
    return inputs
