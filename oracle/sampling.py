"""Logits processors of transformers on random logits: `tensor-core/test/golden/sampling.*`.

`<case>.scores` is what the processors of the case's options make of `logits` with `ids` as the tokens so far. The list of
processors and its order come from `generate` itself. Keys of the options are those of `generation_config.json`.
"""

import torch
from transformers import GenerationConfig, LogitsProcessorList, Qwen2Config, Qwen2ForCausalLM

from common import TENSOR_CORE, generator, prepare, write_golden

ROWS, CLASSES, LENGTH = 6, 40, 9

CASES: dict[str, dict] = {
    "temperature": {"do_sample": True, "temperature": 0.7},
    "repetition_penalty": {"do_sample": False, "repetition_penalty": 1.3},
    "encouraged_repetition": {"do_sample": False, "repetition_penalty": 0.8},
    "top_k_1": {"do_sample": True, "top_k": 1},
    "top_k_7": {"do_sample": True, "top_k": 7},
    "top_k_all": {"do_sample": True, "top_k": 1000},
    "top_p_tiny": {"do_sample": True, "top_p": 0.001},
    "top_p_half": {"do_sample": True, "top_p": 0.5},
    "top_p_most": {"do_sample": True, "top_p": 0.97},
    "min_p": {"do_sample": True, "min_p": 0.05},
    "min_p_1": {"do_sample": True, "min_p": 1.0},
    "qwen2_5_vl": {"do_sample": True, "temperature": 0.1, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.05},
    "qwen2_5_vl_greedy": {"do_sample": False, "repetition_penalty": 1.05},
    "qwen3_vl_instruct": {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8},
    "qwen3_vl_thinking": {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95},
    "everything": {
        "do_sample": True, "temperature": 1.7, "top_k": 12, "top_p": 0.9, "min_p": 0.08, "repetition_penalty": 1.2,
    },
}  # fmt: skip


def tiny_model() -> Qwen2ForCausalLM:
    """Only asked for its list of processors."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=CLASSES, num_key_value_heads=1, **sizes))


def processors(model: Qwen2ForCausalLM, options: dict) -> LogitsProcessorList:
    """What `generate` would use; numbers left out are set to change nothing, not to a default."""
    neutral = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    config = GenerationConfig(**{**neutral, **options})
    return model._get_logits_processor(generation_config=config, input_ids_seq_length=LENGTH)


def main() -> None:
    prepare()
    source = generator(21)
    logits = 3 * torch.randn((ROWS, CLASSES), generator=source)
    # Ties at and around the k-th largest, a nearly certain row, a nearly flat row, and places ruled out already.
    logits[1] = torch.randint(-2, 3, (CLASSES,), generator=source).float()
    logits[2, 5] = 60.0
    logits[3] *= 0.01
    logits[4, ::3] = -torch.inf
    ids = torch.randint(0, CLASSES, (ROWS, LENGTH), generator=source)
    ids[0, 3:6] = ids[0, 0]
    model = tiny_model()
    tensors = {"logits": logits, "ids": ids.to(torch.int32)}
    names: dict[str, list[str]] = {}
    for name, options in CASES.items():
        chain = processors(model, options)
        names[name] = [type(processor).__name__ for processor in chain]
        tensors[f"{name}.scores"] = chain(ids, logits.clone())
    # Equal logits at the edge of a nucleus: transformers keeps what its sort puts last, so those rows are not compared.
    tied = [1]
    write_golden(TENSOR_CORE, "sampling", tensors, {"cases": CASES, "processors": names, "tied_rows": tied})


if __name__ == "__main__":
    main()
