"""Integer tables that need no weights: multimodal rope positions and the window permutation, for many grids.

`cases/rope-index.json`: position ids and deltas of `get_rope_index`, also for left-padded batches and for video.
`cases/window-index.json`: `window_index` and `cu_window_seqlens`, also for several images and several frames.
"""

import torch
from transformers.vision_utils import get_vision_window_index

from common import prepare, versions, write_json
from model_cases import CASES
from tiny_models import load

TEXT, IMAGE, VIDEO = 0, 1, 2

# name, batch of rows; a row is a list of text lengths (int) and vision items (kind, grid_t, grid_h, grid_w).
ROWS = {
    "text only": [[7]],
    "one image 1x4x6": [[3, (IMAGE, 1, 4, 6), 3]],
    "one image 1x10x14": [[2, (IMAGE, 1, 10, 14), 4]],
    "tall image": [[1, (IMAGE, 1, 34, 2), 2]],
    "wide strip": [[1, (IMAGE, 1, 2, 34), 2]],
    "two images": [[2, (IMAGE, 1, 4, 6), 2, (IMAGE, 1, 6, 2), 3]],
    "three images": [[1, (IMAGE, 1, 2, 2), 2, (IMAGE, 1, 2, 4), 2, (IMAGE, 1, 4, 4), 1]],
    "first and last token are image": [[(IMAGE, 1, 4, 4), 3, (IMAGE, 1, 2, 6)]],
    "latents after the image": [[4, (IMAGE, 1, 8, 8), 6 + 4 + 5]],
    "batch of two, left-padded": [[2, (IMAGE, 1, 4, 6), 9], [3, (IMAGE, 1, 2, 4), 2]],
    "batch with text only row": [[2, (IMAGE, 1, 4, 4), 3], [5]],
}
VIDEO_ROWS = {
    "video 3x4x4": ([[2, (VIDEO, 3, 4, 4), 2]], [1.0]),
    "video 3x4x4, half a second": ([[2, (VIDEO, 3, 4, 4), 2]], [0.5]),
    "video 3x4x6, three quarters": ([[2, (VIDEO, 3, 4, 6), 2]], [0.75]),
    "image then video": ([[2, (IMAGE, 1, 4, 6), 2, (VIDEO, 2, 4, 4), 2]], [1.0]),
    "two videos": ([[1, (VIDEO, 5, 2, 4), 2, (VIDEO, 4, 4, 2), 3]], [0.3, 1.1]),
    "video, image, video": ([[(VIDEO, 2, 4, 4), 2, (IMAGE, 1, 8, 2), 2, (VIDEO, 7, 2, 2), 1]], [2.0, 0.083]),
    "video last": ([[3, (VIDEO, 6, 2, 4)]], [1.0]),
    "seconds that float32 rounds": ([[1, (VIDEO, 23, 2, 2), 1]], [0.7]),
    "batch of three with videos": (
        [[2, (VIDEO, 3, 4, 4), 9], [5], [1, (IMAGE, 1, 4, 4), 1, (VIDEO, 2, 2, 4), 2]], [0.75, 1.5],
    ),
}
# window of w0 x w0 merged tokens: (window_size, patch_size), grids.
WINDOWS = [
    ((112, 14), [[1, 10, 14]]),
    ((112, 14), [[1, 24, 24]]),
    ((112, 14), [[1, 32, 32]]),
    ((112, 14), [[1, 2, 2]]),
    ((112, 14), [[1, 8, 8]]),
    ((112, 14), [[1, 2, 34]]),
    ((112, 14), [[1, 34, 2]]),
    ((112, 14), [[1, 14, 22], [1, 6, 10]]),
    ((56, 14), [[1, 4, 6], [2, 6, 4]]),
    ((56, 14), [[1, 8, 8]]),
    ((16, 4), [[1, 6, 10], [1, 2, 2], [1, 10, 6]]),
    ((32, 4), [[1, 10, 12]]),
    ((32, 4), [[1, 8, 32]]),
    ((24, 4), [[3, 10, 14], [1, 2, 6], [2, 8, 4]]),
]


def length(item: "int | tuple[int, int, int, int]") -> int:
    return item if isinstance(item, int) else item[1] * item[2] * item[3] // 4


def rope_entry(model: torch.nn.Module, name: str, rows: list, seconds: list[float]) -> dict:
    """Rows shorter than the longest are padded on the left; a padded position holds id 0 and type 0."""
    width = max(sum(map(length, row)) for row in rows)
    types = torch.zeros(len(rows), width, dtype=torch.int)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    grids: dict[int, list] = {IMAGE: [], VIDEO: []}
    for row, row_types, row_mask in zip(rows, types, mask, strict=True):
        start = width - sum(map(length, row))
        row_mask[start:] = 1
        for item in row:
            if not isinstance(item, int):
                row_types[start : start + length(item)] = item[0]
                grids[item[0]].append(list(item[1:]))
            start += length(item)
    ids, delta = model.model.get_rope_index(
        types.long(), types, image_grid_thw=torch.tensor(grids[IMAGE]) if grids[IMAGE] else None,
        video_grid_thw=torch.tensor(grids[VIDEO]) if grids[VIDEO] else None,
        second_per_grid_ts=torch.tensor(seconds) if seconds else None, attention_mask=mask,
    )  # fmt: skip
    return {
        "name": name, "token_types": types.tolist(), "attention_mask": mask.tolist(), "image_grid_thw": grids[IMAGE],
        "video_grid_thw": grids[VIDEO], "second_per_grid_ts": seconds,
        "tokens_per_second": model.config.vision_config.tokens_per_second, "position_ids": ids.tolist(),
        "rope_deltas": delta.flatten().tolist(),
    }  # fmt: skip


def window_entry(window_size: int, patch_size: int, grids: list) -> dict:
    index, cumulative = get_vision_window_index(torch.tensor(grids), 2, window_size, patch_size)
    return {
        "window_size": window_size, "patch_size": patch_size, "spatial_merge_size": 2, "grid_thw": grids,
        "window_index": index.tolist(), "cu_window_seqlens": cumulative.tolist(),
    }  # fmt: skip


def main() -> None:
    prepare()
    model = load("tiny-tied")
    note = "token_types: 0 text, 1 image, 2 video; merge 2; position_ids [3, batch, sequence]"
    rope = [rope_entry(model, name, rows, []) for name, rows in ROWS.items()]
    # Two and four positions per second.
    for timed in (model, load("tiny-deep")):
        rope += [rope_entry(timed, name, rows, seconds) for name, (rows, seconds) in VIDEO_ROWS.items()]
    write_json(CASES / "rope-index.json", {"note": note, "entries": rope, "versions": versions()})
    windows = [window_entry(*sizes, grids) for sizes, grids in WINDOWS]
    write_json(CASES / "window-index.json", {"entries": windows, "versions": versions()})


if __name__ == "__main__":
    main()
