"""Padded batches, a second turn on a kept cache, a prompt in chunks: `qwen-vl/test/golden/cases/<model>.<case>`.

`batch-*`: rows of different lengths, padded on the left with id 0. `logits` and `language.norm` are of some real
tokens, `kept_rows` has their flat index row * width + position; `generated_logits` [steps, rows, vocab] are raw.

`two-turns`: turn 2 brings a new picture and continues from the positions of the whole conversation. Its ids and logits
are those of a fresh run over all tokens, since `generate` of transformers gives the picture of a continued turn plain
text positions. `turn.<i>.logits` [steps, vocab] are raw; `continued_difference` is what transformers itself differs by
when it continues a cache with the right positions.

`chunked-prefill`: logits of the whole prompt; `chunked_difference` is that of transformers run over the chunks.
"""

import torch
from transformers import DynamicCache

from case_inputs import IMAGE_PAD, VIDEO_PAD, Item, Picture, Prompter, Row, Video, batch_inputs
from case_table import DEEP, TIED, UNTIED, WIDE
from common import prepare, write_golden
from model_cases import CASES, KEPT, MINIMUM_MARGIN, forward, greedy, keep_rows, positions
from tiny_models import NAMES, load

STEPS = 8
TWO_PICTURES = ("<|im_start|>user\n@ and @Which?<|im_end|>\n", [Picture(16, 24), Picture(9, 41)])
ONE_PICTURE = ("user\n@How many?<|im_end|>\n", [Picture(8, 8)])
TEXT = ("<|im_start|>user\nHow many?<|im_end|>\n", [])
VIDEO_AND_PICTURE = ("<|im_start|>user\n@ then @Which?<|im_end|>\n", [Video(4, 16, 16, 1.0), Picture(24, 16)])
BATCHES: dict[str, tuple[tuple[str, ...], list[tuple[str, list[Item]]]]] = {
    "batch-of-two": ((TIED, UNTIED), [TWO_PICTURES, ONE_PICTURE]),
    "batch-of-three": ((WIDE, DEEP), [ONE_PICTURE, TEXT, VIDEO_AND_PICTURE]),
}
TURNS = {
    model: [
        ("<|im_start|>user\n@How many?<|im_end|>\n<|im_start|>assistant\n", [Picture(16, 40)]),
        ("<|im_end|>\n<|im_start|>user\nAnd here? @<|im_end|>\n<|im_start|>assistant\n", [Picture(40, 24)]),
    ]
    for model in (TIED, WIDE)
}
CHUNKED = {model: TWO_PICTURES for model in (UNTIED, WIDE)}
CHUNKS = [1, 7, 2, 11]


def pictures_of(prompter: Prompter) -> dict:
    return {f"images.{index}": array for index, array in enumerate(prompter.pictures)}


def checked(model_name: str, case: str, result: dict) -> dict:
    assert result["margin"] > MINIMUM_MARGIN, (model_name, case, result["margin"])
    return result


def write_batch(model: torch.nn.Module, model_name: str, case: str) -> None:
    prompter = Prompter(model_name)
    rows = [prompter.row(*prompt) for prompt in BATCHES[case][1]]
    inputs = batch_inputs(rows)
    real = inputs["attention_mask"].flatten().nonzero().flatten().tolist()
    states = {name: tensor for name, tensor in forward(model, inputs).items() if name in ("logits", "language.norm")}
    tensors, kept = keep_rows(states, {**KEPT, "tokens": 24, "logits": 8}, real)
    position_ids, deltas = positions(model, inputs)
    result = checked(model_name, case, greedy(model, inputs, 1.0, STEPS))
    if model_name in (TIED, DEEP):
        tensors["generated_logits"] = result["logits"]
    manifest = {
        "model": model_name,
        "case": case,
        "input_ids": inputs["input_ids"].tolist(),
        "attention_mask": inputs["attention_mask"].tolist(),
        "rows": [row.entries for row in rows],
        "position_ids": position_ids,
        "rope_deltas": deltas,
        "generated_ids": result["ids"],
        "generated_margin": round(result["margin"], 5),
        "kept_rows": kept,
    }
    write_golden(CASES, f"{model_name}.{case}", {**tensors, **pictures_of(prompter)}, manifest)


def in_parts(model: torch.nn.Module, inputs: dict, lengths: list[int]) -> torch.Tensor:
    """Logits of a prompt run in parts over one cache, each token at its position in the whole."""
    embeds = forward(model, inputs)["language.inputs_embeds"]
    position_ids = torch.tensor(positions(model, inputs)[0])
    cache = DynamicCache(config=model.config)
    logits = []
    for part, places in zip(embeds.split(lengths, dim=1), position_ids.split(lengths, dim=2), strict=True):
        with torch.no_grad():
            output = model(inputs_embeds=part, position_ids=places, past_key_values=cache, use_cache=True)
        logits.append(output.logits)
    return torch.cat(logits, dim=1)


def write_turns(model: torch.nn.Module, model_name: str) -> None:
    prompter = Prompter(model_name)
    so_far = Row([], [], [])
    turns: list[dict] = []
    tensors: dict[str, torch.Tensor] = {}
    for index, prompt in enumerate(TURNS[model_name]):
        new = prompter.row(*prompt)
        so_far = Row(so_far.ids + new.ids, so_far.patches + new.patches, so_far.entries + new.entries)
        inputs = batch_inputs([so_far])
        result = checked(model_name, "two-turns", greedy(model, inputs, 1.0, STEPS))
        (generated,) = result["ids"]
        assert not {IMAGE_PAD, VIDEO_PAD} & set(generated), generated
        tensors[f"turn.{index}.logits"] = result["logits"][:, 0]
        turns.append({"new_ids": new.ids, "items": new.entries, "generated_ids": generated})
        length = len(so_far.ids)
        so_far = Row(so_far.ids + generated, so_far.patches, so_far.entries)
    # Turn 1 leaves all but the last token of its answer in the cache.
    kept = len(turns[0]["new_ids"]) + STEPS - 1
    difference = (in_parts(model, inputs, [kept, length - kept])[:, -1] - tensors["turn.1.logits"][0]).abs().max()
    position_ids, deltas = positions(model, inputs)
    manifest = {
        "model": model_name,
        "case": "two-turns",
        "turns": turns,
        "input_ids": inputs["input_ids"].tolist(),
        "rows": [so_far.entries],
        "position_ids": position_ids,
        "rope_delta": deltas[0],
        "continued_difference": float(f"{difference.item():.1e}"),
    }
    write_golden(CASES, f"{model_name}.two-turns", {**tensors, **pictures_of(prompter)}, manifest)


def write_chunked(model: torch.nn.Module, model_name: str) -> None:
    prompter = Prompter(model_name)
    row = prompter.row(*CHUNKED[model_name])
    inputs = batch_inputs([row])
    chunks = [*CHUNKS, len(row.ids) - sum(CHUNKS)]
    states = forward(model, inputs)
    difference = (in_parts(model, inputs, chunks) - states["logits"]).abs().max()
    tensors, kept = keep_rows({name: states[name] for name in ("logits", "language.norm")}, KEPT)
    position_ids, deltas = positions(model, inputs)
    result = checked(model_name, "chunked-prefill", greedy(model, inputs, 1.0, STEPS))
    manifest = {
        "model": model_name,
        "case": "chunked-prefill",
        "chunks": chunks,
        "input_ids": inputs["input_ids"].tolist(),
        "rows": [row.entries],
        "position_ids": position_ids,
        "rope_delta": deltas[0],
        "generated_ids": result["ids"][0],
        "generated_margin": round(result["margin"], 5),
        "chunked_difference": float(f"{difference.item():.1e}"),
        "kept_rows": kept,
    }
    write_golden(CASES, f"{model_name}.chunked-prefill", {**tensors, **pictures_of(prompter)}, manifest)


def main() -> None:
    prepare()
    for model_name in NAMES:
        model = load(model_name)
        for case, (models, _) in BATCHES.items():
            if model_name in models:
                write_batch(model, model_name, case)
        if model_name in TURNS:
            write_turns(model, model_name)
        if model_name in CHUNKED:
            write_chunked(model, model_name)


if __name__ == "__main__":
    main()
