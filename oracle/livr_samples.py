"""Two fixed LIVR samples on `tiny-tied`: image, question, K latents at the end of the user turn, answer.

Roles per position: 0 image token, 1 any other prompt token (chat and vision markers too), 2 latent, 3 answer (through
its <|im_end|>). Stage 1 (bottleneck): a query may see keys at or before itself, except that roles 1 and 3 may not see
role 0. Stage 2 is plain causal.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from model_cases import picture
from tiny_models import MODELS
from tiny_tokenizer import FIRST_ADDED_ID, IDS, build_tokenizer

MODEL = "tiny-tied"
K = 4
LATENTS = [FIRST_ADDED_ID + len(IDS) + index for index in range(K)]
IMAGE, PROMPT, LATENT, ANSWER = range(4)
IGNORED = -100
# (height, width) of the picture, question, answer
SPECIFICATIONS = [
    ((24, 24), "How many red circles are there in the image?", "3"),
    ((16, 32), "How many blue stars are there?", "10"),
]


@dataclass
class Sample:
    picture: np.ndarray
    pixel_values: torch.Tensor
    image_grid_thw: torch.Tensor
    input_ids: torch.Tensor
    roles: torch.Tensor
    labels: torch.Tensor
    position_ids: torch.Tensor

    def allowed(self, stage: int) -> torch.Tensor:
        """Boolean [query, key]."""
        length = len(self.roles)
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        if stage == 2:
            return causal
        blind = (self.roles == PROMPT) | (self.roles == ANSWER)
        return causal & ~(blind[:, None] & (self.roles == IMAGE)[None, :])

    def inputs(self, stage: int) -> dict[str, torch.Tensor]:
        """Arguments of the model's forward; the mask is additive, [1, 1, query, key]."""
        mask = torch.zeros(self.allowed(stage).shape).masked_fill(~self.allowed(stage), torch.finfo(torch.float32).min)
        return {
            "input_ids": self.input_ids,
            "pixel_values": self.pixel_values,
            "image_grid_thw": self.image_grid_thw,
            "position_ids": self.position_ids,
            "attention_mask": mask[None, None],
            "use_cache": False,
        }

    def manifest(self) -> dict:
        rows = ["".join(str(int(cell)) for cell in row) for row in self.allowed(1)]
        return {
            "input_ids": self.input_ids.tolist(), "image_grid_thw": self.image_grid_thw.tolist(),
            "roles": self.roles.tolist(), "labels": self.labels.tolist(), "position_ids": self.position_ids.tolist(),
            "allowed_stage_1": rows,
        }  # fmt: skip


def build_sample(model: torch.nn.Module, index: int) -> Sample:
    size, question, answer = SPECIFICATIONS[index]
    tokenizer = build_tokenizer()
    source = picture(*size, seed=50 + index)
    processor = Qwen2VLImageProcessorPil.from_pretrained(MODELS / MODEL)
    image = processor([Image.fromarray(source)], return_tensors="pt")
    pads = [IDS["<|image_pad|>"]] * (image["image_grid_thw"].prod().item() // 4)
    segments = [
        (PROMPT, tokenizer.encode("<|im_start|>user\n<|vision_start|>").ids),
        (IMAGE, pads),
        (PROMPT, tokenizer.encode("<|vision_end|>" + question).ids),
        (LATENT, LATENTS),
        (PROMPT, tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n").ids),
        (ANSWER, tokenizer.encode(answer + "<|im_end|>").ids),
    ]
    ids = torch.tensor([id for _, part in segments for id in part])
    roles = torch.tensor([role for role, part in segments for _ in part])
    types = (roles == IMAGE).int()
    positions, _ = model.model.get_rope_index(ids[None], types[None], image_grid_thw=image["image_grid_thw"])
    labels = torch.where(roles == ANSWER, ids, IGNORED)
    return Sample(source, image["pixel_values"], image["image_grid_thw"], ids[None], roles, labels[None], positions)


def build_samples(model: torch.nn.Module) -> list[Sample]:
    return [build_sample(model, index) for index in range(len(SPECIFICATIONS))]
