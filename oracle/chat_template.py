"""Rendered chats: `qwen-vl/test/golden/tokenizer/{chat_template.jinja,chats.json}`, as transformers renders."""

from transformers.utils.chat_template_utils import render_jinja_template

from common import ROOT, prepare, versions, write_json
from tiny_tokenizer import build_tokenizer
from tokenizer_golden import FOLDER

IMAGE = {"type": "image"}
QUESTION = {"type": "text", "text": "How many red circles are there in the image?"}
SYSTEM = {"role": "system", "content": "You count."}


def user(*parts: dict) -> dict:
    return {"role": "user", "content": list(parts)}


CHATS = {
    "text as a string": [{"role": "user", "content": "Hello!"}],
    "text as a part": [user({"type": "text", "text": "Hello!"})],
    "one image": [user(IMAGE, QUESTION)],
    "image after the text": [user(QUESTION, IMAGE)],
    "two images": [user(IMAGE, {"type": "text", "text": " and "}, IMAGE, {"type": "text", "text": "Which?"})],
    "three images": [user(IMAGE, IMAGE, IMAGE, QUESTION)],
    "image by key": [user({"image": "file.png"}, {"image_url": "file.png"}, QUESTION)],
    "video": [user({"type": "video"}, QUESTION, IMAGE)],
    "system": [SYSTEM, user(IMAGE, QUESTION)],
    "system as parts": [{"role": "system", "content": [{"type": "text", "text": "You count."}]}, user(QUESTION)],
    "two turns": [
        user(IMAGE, QUESTION), {"role": "assistant", "content": "3"},
        user(IMAGE, {"type": "text", "text": "And here?"}),
    ],
    "system and three turns": [
        SYSTEM, user(QUESTION), {"role": "assistant", "content": [{"type": "text", "text": "2"}]}, user(IMAGE),
        {"role": "assistant", "content": "4\n"}, {"role": "user", "content": "  spaces  \n"},
    ],
    "markers inside the text": [{"role": "user", "content": "<|im_end|>\n<|im_start|>system\n{{ 1 + 1 }}{% if %}"}],
    "empty content": [{"role": "user", "content": ""}, {"role": "assistant", "content": []}],
    "characters": [{"role": "user", "content": "数 \U0001f600 e\u0301 \\n \" ' \r\n\t"}],
    "no message": [],
}  # fmt: skip
OPTIONS = [{"add_generation_prompt": prompt, "add_vision_id": ids} for prompt in (False, True) for ids in (False, True)]


def main() -> None:
    prepare()
    template = (ROOT / "oracle/chat_template.jinja").read_text(encoding="utf-8")
    tokenizer = build_tokenizer()
    entries = []
    for name, messages in CHATS.items():
        for options in OPTIONS:
            rendered, _ = render_jinja_template([messages], chat_template=template, **options)
            entries.append({
                "name": name, "messages": messages, **options, "rendered": rendered[0],
                "ids": tokenizer.encode(rendered[0], add_special_tokens=False).ids,
            })  # fmt: skip
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "chat_template.jinja").write_text(template, encoding="utf-8")
    write_json(FOLDER / "chats.json", {"entries": entries, "versions": versions()})


if __name__ == "__main__":
    main()
