"""The model cases: prompt and items per model. `@` in a prompt stands for one item; sizes are pixels, the model sees
multiples of 8."""

from dataclasses import dataclass

from case_inputs import File, Item, Picture, Video

TIED, UNTIED, WIDE, DEEP = "tiny-tied", "tiny-untied", "tiny-wide-heads", "tiny-deep"


@dataclass(frozen=True)
class Case:
    prompt: str
    # Model -> items in the order of the prompt; models not named do not run the case.
    items: dict[str, list[Item]]
    # "whole": every row of every tensor; "some": some rows; "logits": some rows of the logits alone.
    keep: str = "some"
    new_tokens: int = 10
    penalty: float = 1.05


def on(models: tuple[str, ...], *items: Item) -> dict[str, list[Item]]:
    return {model: list(items) for model in models}


QUESTION = "<|im_start|>user\n@How many?<|im_end|>\n"
COLOURS = "red green blue yellow purple orange cyan white".split()
LONG_TEXT = "".join(
    f"Picture {number}: {colour} {shape}s touch the border. "
    for number, (colour, shape) in enumerate(
        zip(COLOURS, "circle square triangle star".split() * 2, strict=True)
    )
)

CASES = {
    "text-only": Case(
        "<|im_start|>user\nHow many red circles are there?<|im_end|>\n<|im_start|>assistant\n",
        on((TIED, UNTIED, WIDE, DEEP)),
        keep="whole",
    ),
    "partial-windows": Case(
        "<|im_start|>user\n@How many?<|im_end|>\n<|im_start|>",
        {**on((TIED,), Picture(24, 40)), **on((UNTIED,), Picture(40, 48))},
        keep="whole",
    ),
    "two-images": Case(
        "<|im_start|>user\n@ and @Which?<|im_end|>\n",
        on((TIED, UNTIED), Picture(17, 23), Picture(9, 41)),
        keep="whole",
    ),
    "rounded-size": Case(QUESTION, on((TIED, UNTIED), Picture(13, 27)), keep="whole"),
    "image-first-and-last": Case(
        "@ are there more in @", on((TIED, UNTIED, DEEP), Picture(8, 16), Picture(16, 8)), keep="whole"
    ),
    "minimal-image": Case("user\n@?", on((TIED, UNTIED, WIDE, DEEP), Picture(8, 8)), keep="whole"),
    "right-and-bottom-windows": Case(
        QUESTION, {**on((WIDE,), Picture(40, 56)), **on((DEEP,), Picture(40, 56))}
    ),
    "strip": Case("<|im_start|>user\n@How many circles?<|im_end|>\n", on((UNTIED, DEEP), Picture(8, 136))),
    "sixteen-wide": Case(QUESTION, on((UNTIED,), Picture(32, 128))),
    "twelve-wide": Case(QUESTION, on((UNTIED, DEEP), Picture(40, 96))),
    "images-back-to-back": Case(
        "<|im_start|>user\n@@@Which?<|im_end|>\n", on((WIDE, DEEP), Picture(24, 16), Picture(16, 40), Picture(24, 16))
    ),
    "odd-sizes": Case(
        "<|im_start|>user\n@ @Which?<|im_end|>\n", on((TIED, WIDE), Picture(13, 17), Picture(20, 200))
    ),
    "one-pixel-sides": Case(
        "<|im_start|>user\n@ @ @Which?<|im_end|>\n", on((UNTIED, DEEP), Picture(1, 30), Picture(40, 1), Picture(1, 1))
    ),
    "alpha-and-grey": Case(
        "<|im_start|>user\n@ @ @Which?<|im_end|>\n",
        on((TIED, DEEP), File("rgba.png"), File("grey.png"), File("grey-alpha.png")),
    ),
    "video-one-second": Case(QUESTION, on((TIED, DEEP), Video(6, 16, 24, 1.0))),
    "video-half-second": Case(QUESTION, on((UNTIED, WIDE), Video(6, 16, 24, 0.5))),
    "video-three-quarters": Case(QUESTION, on((TIED, DEEP), Video(6, 16, 24, 0.75))),
    "video-odd-frames": Case(QUESTION, on((UNTIED, WIDE), Video(5, 24, 16, 1.0))),
    "video-partial-windows": Case(QUESTION, on((UNTIED, DEEP), Video(4, 40, 56, 1.5))),
    "image-and-video": Case(
        "<|im_start|>user\n@ and @Which one?<|im_end|>\n", on((TIED, WIDE), Picture(16, 24), Video(4, 16, 16, 1.0))
    ),
    "video-and-image": Case(
        "<|im_start|>user\n@ and @Which?<|im_end|>\n", on((UNTIED, DEEP), Video(4, 16, 16, 2.0), Picture(16, 24))
    ),
    "two-videos": Case(
        "<|im_start|>user\n@ and @Which?<|im_end|>\n",
        on((WIDE, DEEP), Video(4, 16, 24, 0.5), Video(6, 24, 16, 1.5)),
    ),
    "long-prompt": Case(
        "<|im_start|>user\n@" + LONG_TEXT + "Which?<|im_end|>\n", on((UNTIED, DEEP), Picture(24, 24)), keep="logits"
    ),
    "long-answer": Case(QUESTION, on((WIDE, DEEP), Picture(16, 24)), keep="logits", new_tokens=24),
    "repetition-penalty": Case(
        "<|im_start|>user\n@How many red circles are there? How many red squares?<|im_end|>\n",
        on((TIED, DEEP), Picture(16, 16)),
        keep="logits",
        new_tokens=12,
        penalty=1.3,
    ),
}
