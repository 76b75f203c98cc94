"""Videos through transformers: `qwen-vl/test/golden/images/videos.json` and `images/frame-sampling.json`.

Frames are formulas (`images_formula.py`), `pixel_values_videos` are digests. Five videos by `Qwen2VLVideoProcessor`,
with and without the cap per frame, pictures by its sibling on tensors `Qwen2VLImageProcessor`, whole conversations of
text, images and videos by `Qwen2_5_VLProcessor`, and frame indices by its `sample_frames` and by the rule of
qwen_vl_utils.

Needs torchvision (see README.md); without it, nothing is written.
"""

import math

import torchvision_cpu  # before transformers

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil

from common import ROOT, prepare, versions, write_json
from images_formula import KINDS, formula_image, sha256
from images_resize import IMAGES
from tiny_models import MODELS

QUESTION = {"type": "text", "text": "How many red circles are there?"}
IMAGE = {"type": "image"}
VIDEO = {"type": "video"}
SETTINGS = {"patch_size": 14, "size": {"shortest_edge": 3136, "longest_edge": 50176}}
TINY = {"patch_size": 4, "size": {"shortest_edge": 64, "longest_edge": 1024}}

# name, frames, height, width, frames per second, settings
VIDEOS = [
    ("odd count, resized", 5, 60, 85, 2.0, SETTINGS),
    ("no resize", 4, 56, 84, 0.5, SETTINGS),
    ("one frame", 1, 40, 90, 24.0, TINY),
    ("patch 4, lowered to the maximum", 6, 61, 47, 3.7, TINY),
    ("a share per frame", 7, 130, 200, 1.25, {**SETTINGS, "cap_pixels_per_frame": True, "max_video_tokens": 400}),
]
PICTURES = [(37, 55), (9, 20), (120, 91), (300, 17), (1, 64), (64, 1), (224, 224), (111, 260)]


def frames_of(seed: int, count: int, height: int, width: int) -> np.ndarray:
    """uint8 [count, height, width, 3]; frame i is the picture of seed + i."""
    return np.stack([formula_image(KINDS[(seed + i) % len(KINDS)], seed + i, height, width) for i in range(count)])


def digest(values: "np.ndarray") -> dict:
    values = np.asarray(values)
    assert values.dtype == np.float32
    return {"sha256": sha256(values), "first": values.reshape(-1)[:4].tolist()}


def video_entries() -> list[dict]:
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    entries = []
    for index, (name, count, height, width, rate, settings) in enumerate(VIDEOS):
        seed = 200 + 10 * index
        processor = Qwen2VLVideoProcessor(**{"cap_pixels_per_frame": False, **settings})
        frames = torch.from_numpy(frames_of(seed, count, height, width)).permute(0, 3, 1, 2)
        output = processor([frames], return_tensors="pt")
        entries.append({
            "name": name, "seed": seed, "frames": count, "height": height, "width": width, "fps": rate, **settings,
            "video_grid_thw": output["video_grid_thw"].tolist(),
            "second_per_grid_ts": processor.temporal_patch_size / rate,
            **digest(output["pixel_values_videos"].numpy()),
        })  # fmt: skip
    return entries


def picture_entries() -> list[dict]:
    from transformers import Qwen2VLImageProcessor

    entries = []
    for index, (height, width) in enumerate(PICTURES):
        seed = 300 + index
        processor = Qwen2VLImageProcessor(**SETTINGS)
        image = Image.fromarray(formula_image(KINDS[seed % len(KINDS)], seed, height, width))
        output = processor([image], return_tensors="pt")
        entries.append({
            "seed": seed, "height": height, "width": width, **SETTINGS,
            "image_grid_thw": output["image_grid_thw"].tolist(), **digest(output["pixel_values"].numpy()),
        })  # fmt: skip
    return entries


def picture_of(image: dict) -> Image.Image:
    return Image.fromarray(formula_image("noise", image["seed"], image["height"], image["width"]))


def user(*parts: dict) -> dict:
    return {"role": "user", "content": list(parts)}


CONVERSATIONS = {
    "a video": [user(VIDEO, QUESTION)],
    "two images and a video": [user(IMAGE, {"type": "text", "text": " then "}, IMAGE, VIDEO, QUESTION)],
    "a video between images, two turns": [
        user(IMAGE, VIDEO, {"type": "text", "text": "?"}, IMAGE), {"role": "assistant", "content": "5"},
        user(VIDEO, QUESTION),
    ],
}  # fmt: skip


def conversation_entries() -> list[dict]:
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    template = (ROOT / "oracle/chat_template.jinja").read_text(encoding="utf-8")
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessorPil.from_pretrained(MODELS / "tiny-tied"),
        tokenizer=AutoTokenizer.from_pretrained(MODELS / "tiny-tied"),
        video_processor=Qwen2VLVideoProcessor(**TINY, cap_pixels_per_frame=False),
        chat_template=template,
    )
    entries = []
    for name, messages in CONVERSATIONS.items():
        for add_vision_id in (False, True):
            text = processor.apply_chat_template(messages, add_generation_prompt=True, add_vision_id=add_vision_id)
            kinds = [part["type"] for message in messages for part in message["content"] if isinstance(part, dict)]
            images = [
                {"seed": 400 + i, "height": 17 + 9 * i, "width": 30 - 5 * i} for i in range(kinds.count("image"))
            ]
            videos = [
                {"seed": 450 + 10 * i, "frames": 5 - 2 * i, "height": 19 + 8 * i, "width": 26, "fps": 2.0 + 2.5 * i}
                for i in range(kinds.count("video"))
            ]
            output = processor(
                text=[text],
                images=[picture_of(image) for image in images] or None,
                videos=[frames_of(v["seed"], v["frames"], v["height"], v["width"]) for v in videos],
                video_metadata=[{"total_num_frames": v["frames"], "fps": v["fps"]} for v in videos],
                return_tensors="pt",
            )
            entries.append({
                "name": name, "messages": messages, "add_vision_id": add_vision_id, "images": images, "videos": videos,
                **TINY, "input_ids": output["input_ids"][0].tolist(),
                "mm_token_type_ids": output["mm_token_type_ids"][0].tolist(),
                "image_grid_thw": output["image_grid_thw"].tolist() if images else [],
                "video_grid_thw": output["video_grid_thw"].tolist(),
                "second_per_grid_ts": [float(value) for value in output["second_per_grid_ts"]],
                "images_digest": digest(output["pixel_values"].numpy()) if images else None,
                "videos_digest": digest(output["pixel_values_videos"].numpy()),
            })  # fmt: skip
    return entries


def utils_sampling(total: int, source_rate: float, rate: float, low: int, high: int, factor: int = 2) -> list[int]:
    """`smart_nframes` and the indices that follow it, as qwen_vl_utils has them."""
    least = math.ceil(low / factor) * factor
    most = math.floor(min(high, total) / factor) * factor
    count = min(min(max(total / source_rate * rate, least), most), total)
    count = math.floor(count / factor) * factor
    return torch.linspace(0, total - 1, count).round().long().tolist() if factor <= count <= total else []


def sampling_entries() -> list[dict]:
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
    from transformers.video_utils import VideoMetadata

    entries = []
    for total, source_rate, rate, low, high in [
        (2, 24.0, 2, 4, 768), (3, 24.0, 2, 4, 768), (5, 30.0, 2, 4, 768), (24, 24.0, 2, 4, 768), (25, 25.0, 2, 4, 768),
        (100, 29.97, 2, 4, 768), (101, 29.97, 1, 4, 768), (300, 30.0, 2, 4, 768), (1000, 23.976, 2, 4, 768),
        (999, 10.0, 10, 4, 768), (1234, 12.5, 4, 4, 768), (40, 2.0, 2, 4, 768), (41, 2.0, 2, 4, 768),
        (5000, 30.0, 30, 4, 768), (77, 7.0, 0.1, 6, 20), (5003, 60.0, 2, 4, 100), (11, 11.0, 10, 4, 768),
        (13, 1.0, 3, 4, 768), (3601, 25.0, 2, 4, 768), (10, 5.0, 4.9, 4, 768),
    ]:  # fmt: skip
        metadata = VideoMetadata(total_num_frames=total, fps=source_rate)
        processor = Qwen2VLVideoProcessor(min_frames=low, max_frames=high)
        metadata.frames_indices = processor.sample_frames(metadata, fps=rate).tolist()
        utils = utils_sampling(total, source_rate, rate, low, high)
        entries.append({
            "total": total, "source_fps": source_rate, "fps": rate, "min_frames": low, "max_frames": high,
            "qwen-vl-utils": utils, "transformers": metadata.frames_indices,
            "transformers_fps": metadata.sampled_fps, "qwen-vl-utils_fps": len(utils) / total * source_rate,
        })  # fmt: skip
    return entries


def main() -> None:
    if torchvision_cpu.VERSION is None:
        print("  not written: torchvision is not installed (see README.md)")
        return
    prepare()
    made_by = {**versions(), "torchvision": torchvision_cpu.VERSION}
    write_json(IMAGES / "videos.json", {
        "videos": video_entries(), "pictures": picture_entries(), "conversations": conversation_entries(),
        "versions": made_by,
    })  # fmt: skip
    write_json(IMAGES / "frame-sampling.json", {"entries": sampling_entries(), "versions": made_by})


if __name__ == "__main__":
    main()
