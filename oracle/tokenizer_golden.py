"""Ids and decoded text of 200 strings: `qwen-vl/test/golden/tokenizer/{tokenizer.json,strings.json}`.

`tokenizer.json` is the tokenizer of `tiny-tied` with merges written as strings, as Qwen2.5 ships them.
"""

import random

from transformers import AutoTokenizer

from common import QWEN_VL, prepare, versions, write_json
from tiny_models import MODELS
from tiny_tokenizer import ADDED_NOT_SPECIAL, SPECIAL, build_tokenizer, write_tokenizer

FOLDER = QWEN_VL / "tokenizer"
COUNT = 200
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
WRITTEN = [
    "", " ", "  ", "   \t ", "\n", "\r\n", "\r", "\n\n\n", " \n \n", "a\r\nb\r\n\r\nc", "tab\tand  two spaces",
    "How many red circles are there in the image?", " leading", "   three leading", "trailing   ",
    "in  the   middle", "it's we're I'M YOU'LL they'd he've 's't", "don\u2019t", "IT'\u017f", "x'S", "1", "12",
    "1080", "3.14159", "1,000,000", "a1b2", "\u0661\u0662\u0663", "\u2167 \u00bd \u00b2", "fran\u00e7ais",
    "franc\u0327ais", "e\u0301 \u00e9", "\u1e9b\u0323", "\u212b \u00c5 A\u030a", "\uac00 \u1100\u1161",
    "\u0915\u094d\u0937\u093f", "\u0e01\u0e33", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",
    "\u0645\u0631\u062d\u0628\u0627", "数一数图像中有多少个红色的圆。", "日本語のテキストとカタカナ",
    "한국어 텍스트", "中文 and English 混合", "ｆｕｌｌｗｉｄｔｈ １２３", "㍿ ﬁ", FAMILY, f"a {FAMILY} family",
    "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "❤️ ❤", "☃\ufe0e", "\U00020000\U0001f600",
    "next\u0085line", " \u0085 ", "\ufeffbom", "a\ufeffb", "\ufeff", "nb\u00a0space", "thin\u2009space",
    "\u3000ideographic", "\u2028line\u2029para", "zero\u200bwidth", "\u200d", "\u0000nul\u0001", "\x1b[0m", "\x7f",
    "soft\u00adhyphen", "for (let i = 0; i < 10; i++) {\n  x += 1;\n}\n", "a_b-c.d/e\\f", "!!!???...", " !\n\n",
    "(a) [b] {c}", "#$%&*+=<>@^`|~", "--- \n---\n", "\"quoted\" 'single'", "https://example.org/a?b=c&d=1",
    "<|im_start|>user\nhi<|im_end|>\n", "<|vision_start|><|image_pad|><|image_pad|><|vision_end|>",
    "a<|endoftext|>b", "<|im_start", "|im_end|>", "<|IM_START|>", "<| im_start |>", "<tool_call>{}</tool_call>",
    "<|fim_prefix|>a<|fim_suffix|>", " <|im_end|> ", "\u00a0<|image_pad|>\u00a0", "<|im_<|im_end|>",
    "e<|im_end|>\u0301", "<|vision_pad|><|video_pad|>", "<tool_call", "the the the the", "thethethethe",
    "THE The tHE", "ZZZZqqqq", "aaaaaaaaaaaaaaaaaaaaaaaa", "ⅫXII", "ǅ ǆ", "straße STRASSE", "İstanbul ıI",
    "\u0301\u0301alone", "\U0001d11e clef", "\ue000 private", "\ufffd",
]  # fmt: skip
PIECES = (
    "the image circle red 7 42 , . ? ! \n \r\n \t \u0085 \u00a0 é e\u0301 数 图像 圆 \U0001f600 \u200d 's 're ' _ - "
    "( ) <|im_end|> <|image_pad|> <tool_call> Straße Ω ß \ufeff"
).split(" ") + ["", " ", "  "]


def strings() -> list[str]:
    """The written ones, every added token by itself, then seeded mixtures of pieces up to 200."""
    result = [*WRITTEN, *(token for token in SPECIAL + ADDED_NOT_SPECIAL if token not in WRITTEN)]
    source = random.Random(11)
    while len(result) < COUNT:
        mixture = "".join(source.choice(PIECES) for _ in range(source.randint(3, 14)))
        if mixture not in result:
            result.append(mixture)
    assert len(result) == COUNT, len(result)
    return result


def main() -> None:
    prepare()
    tokenizer = build_tokenizer()
    auto = AutoTokenizer.from_pretrained(MODELS / "tiny-tied")
    entries = []
    for text in strings():
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert auto(text, add_special_tokens=False)["input_ids"] == ids, text
        half = ids[: len(ids) // 2]
        entries.append({
            "text": text,
            "ids": ids,
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
            "decoded_skip_special": tokenizer.decode(ids, skip_special_tokens=True),
            "decoded_half": tokenizer.decode(half, skip_special_tokens=False),
        })  # fmt: skip
    write_tokenizer(FOLDER / "tokenizer.json", tokenizer, merges_as_strings=True)
    note = "decoded_half: the first floor(n/2) ids, which may end inside a character (U+FFFD then)"
    write_json(FOLDER / "strings.json", {"note": note, "entries": entries, "versions": versions()})


if __name__ == "__main__":
    main()
