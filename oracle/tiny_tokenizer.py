"""A small byte-level BPE tokenizer in the form of Qwen2.5's tokenizer.json: NFC, the Qwen2 regex, ByteLevel.

Vocabulary: 256 byte symbols, 200 merges, then the 22 added tokens of Qwen2.5 by their own names, at ids 456 to 477. A
model with 512 rows thus has 34 spare rows (478 to 511) for new tokens. Merges are learnt from the text below, written
for this file.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from common import ROOT

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = [
    f"<|{name}|>"
    for name in (
        "endoftext im_start im_end object_ref_start object_ref_end box_start box_end quad_start quad_end "
        "vision_start vision_end vision_pad image_pad video_pad"
    ).split()
]
ADDED_NOT_SPECIAL = ["<tool_call>", "</tool_call>"] + [
    f"<|{name}|>" for name in "fim_prefix fim_middle fim_suffix fim_pad repo_name file_sep".split()
]
MERGES = 200
BYTE_SYMBOLS = 256
FIRST_ADDED_ID = BYTE_SYMBOLS + MERGES
IDS = {token: FIRST_ADDED_ID + index for index, token in enumerate(SPECIAL + ADDED_NOT_SPECIAL)}

SHAPES = "circle square triangle star diamond cross ring heart".split()
COLOURS = "red green blue yellow purple orange cyan white".split()
TEXT = [f"How many {colour} {shape}s are there in the image?" for colour in COLOURS for shape in SHAPES] + [
    "system\nYou are a helpful assistant.",
    "user\nWhich of the two pictures shows more of them, the first or the second?",
    "assistant\nThere are three in the upper row and one that touches the border, so the answer is 4.",
    "She said that it isn't where we've looked; they'll count again, and I'm sure you're right.",
    "Picture 1: a window, a door and another thing that nobody had named before the morning.",
    "数一数图像中有多少个红色的圆。图像中有多少个方块？",
    "Où est l'élève? Größe über Straße. Сколько кругов на картинке?",
    "for (let i = 0; i < 10; i++) {\n  total += row[i];\n}\n",
]


def build_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=FIRST_ADDED_ID, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in ADDED_NOT_SPECIAL])
    for token, index in IDS.items():
        assert tokenizer.token_to_id(token) == index, token
    return tokenizer


def write_tokenizer(path: Path, tokenizer: Tokenizer, merges_as_strings: bool) -> None:
    """tokenizer.json in UTF-8. Qwen2.5 ships each merge as one string with a space, newer files as a pair."""
    content = json.loads(tokenizer.to_str())
    content["model"].update(continuing_subword_prefix="", end_of_word_suffix="")
    if merges_as_strings:
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def tokenizer_config() -> dict:
    added = {
        str(index): {
            "content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": token in SPECIAL,
        }
        for token, index in IDS.items()
    }  # fmt: skip
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": SPECIAL[1:],
        "bos_token": None,
        "chat_template": (ROOT / "oracle/chat_template.jinja").read_text(encoding="utf-8"),
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 4096,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
