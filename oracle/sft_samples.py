"""Eight fixed conversations about pictures on `tiny-tied`, and batches of them as transformers takes them.

Labels are those of Qwen's own fine-tuning code: -100 but for each assistant turn, from its first token through its
<|im_end|> and the line break after it. Lengths differ, so batches are padded on the right.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from model_cases import picture
from tiny_models import MODELS
from tiny_tokenizer import IDS, build_tokenizer

MODEL = "tiny-tied"
IGNORED = -100
END = "<|im_end|>"
# (height, width) of each picture, then question and answer of each turn; `@` stands for one picture.
CONVERSATIONS = [
    ([(16, 16)], [("@How many?", "3")]),
    ([(24, 16)], [("@How many red circles are there?", "10"), ("And blue?", "2")]),
    ([(8, 24)], [("Count the stars. @", "seven")]),
    ([(16, 8), (8, 8)], [("@ or @?", "the first")]),
    ([(24, 24)], [("@Are there more red than blue?", "no")]),
    ([(8, 8)], [("@?", "A circle.")]),
    ([(16, 32)], [("@Which is larger?", "left"), ("Why?", "It is."), ("Sure?", "yes")]),
    ([(13, 27)], [("@How many blue stars are there in the image?", "12")]),
]


@dataclass
class Conversation:
    pictures: list[np.ndarray]
    pixel_values: torch.Tensor
    image_grid_thw: torch.Tensor
    input_ids: list[int]
    labels: list[int]

    def manifest(self) -> dict:
        return {
            "input_ids": self.input_ids, "labels": self.labels, "image_grid_thw": self.image_grid_thw.tolist(),
        }  # fmt: skip


def build_conversation(index: int) -> Conversation:
    sizes, turns = CONVERSATIONS[index]
    tokenizer = build_tokenizer()
    processor = Qwen2VLImageProcessorPil.from_pretrained(MODELS / MODEL)
    pictures = [picture(*size, seed=100 + 10 * index + number) for number, size in enumerate(sizes)]
    images = processor([Image.fromarray(each) for each in pictures], return_tensors="pt")
    pads = iter("<|image_pad|>" * (grid.prod().item() // 4) for grid in images["image_grid_thw"])
    ids: list[int] = []
    labels: list[int] = []
    for question, answer in turns:
        parts = question.split("@")
        question = parts[0] + "".join(f"<|vision_start|>{next(pads)}<|vision_end|>{part}" for part in parts[1:])
        prompt = tokenizer.encode(f"<|im_start|>user\n{question}{END}\n<|im_start|>assistant\n").ids
        target = tokenizer.encode(f"{answer}{END}\n").ids
        ids += prompt + target
        labels += [IGNORED] * len(prompt) + target
    return Conversation(pictures, images["pixel_values"], images["image_grid_thw"], ids, labels)


def build_conversations() -> list[Conversation]:
    return [build_conversation(index) for index in range(len(CONVERSATIONS))]


def batch(conversations: list[Conversation]) -> dict[str, torch.Tensor]:
    """Arguments of the model's forward, padded on the right."""
    length = max(len(each.input_ids) for each in conversations)

    def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (length - len(row)) for row in rows])

    input_ids = padded([each.input_ids for each in conversations], IDS["<|endoftext|>"])
    return {
        "input_ids": input_ids,
        "attention_mask": padded([[1] * len(each.input_ids) for each in conversations], 0),
        "mm_token_type_ids": (input_ids == IDS["<|image_pad|>"]).int(),
        "pixel_values": torch.cat([each.pixel_values for each in conversations]),
        "image_grid_thw": torch.cat([each.image_grid_thw for each in conversations]),
        "labels": padded([each.labels for each in conversations], IGNORED),
    }
