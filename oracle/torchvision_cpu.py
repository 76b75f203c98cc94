"""torchvision beside a CPU build of torch, for the scripts that need transformers' processors on tensors.

Import it before transformers. The wheel brings compiled operators for a CUDA build, which do not load here. None of
them resizes or normalises: that is torch itself. So their names are declared, without code, and the rest of the package
works. `VERSION` is None where torchvision is not installed.
"""

import importlib.util

import torch

VERSION: str | None = None

if importlib.util.find_spec("torchvision") is not None:
    _declared = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _declared.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    VERSION = torchvision.__version__.split("+")[0]
