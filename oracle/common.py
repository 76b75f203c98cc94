"""Shared by all oracle scripts: where goldens go, how they are written, and which versions made them.

A golden is a pair of files with one stem: `<stem>.safetensors` holds tensors (float32 or uint8), `<stem>.json` holds
everything else (ids, positions, strings, shapes and notes) and the versions of the libraries that computed it.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parent.parent
QWEN_VL = ROOT / "packages/qwen-vl/test/golden"
LATENT_REASONING = ROOT / "packages/latent-reasoning/test/golden"
TENSOR_CORE = ROOT / "packages/tensor-core/test/golden"

LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "pillow", "numpy")


def prepare() -> None:
    """One thread and deterministic kernels: the same machine writes the same bytes again."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)


def versions() -> dict[str, str]:
    return {"python": ".".join(map(str, sys.version_info[:3])), **{name: version(name) for name in LIBRARIES}}


def to_numpy(value: "torch.Tensor | np.ndarray") -> np.ndarray:
    """A contiguous array; floats become float32, the only float format stored."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return np.array(array, dtype=np.float32 if array.dtype.kind == "f" else array.dtype, order="C")


def write_json(path: Path, value: object) -> None:
    """Compact enough to commit, one top-level entry per line so that a diff can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]\n"
    path.write_text(text, encoding="utf-8")


def save_tensors(path: Path, tensors: dict) -> None:
    """A safetensors file as transformers saves it, readable by everybody (the library writes mode 600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: to_numpy(tensor) for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)


def write_golden(folder: Path, stem: str, tensors: dict, manifest: dict) -> None:
    """Writes `<stem>.safetensors` and `<stem>.json`; the manifest gains the versions and the tensor table."""
    arrays = {name: to_numpy(value) for name, value in sorted(tensors.items())}
    save_tensors(folder / f"{stem}.safetensors", arrays)
    table = {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}
    write_json(folder / f"{stem}.json", {**manifest, "tensors": table, "versions": versions()})


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
