"""LIVR's two attention stages on the bare base model: `latent-reasoning/test/golden/livr-forward.*` and the samples.

Keys: `<sample>.image` (uint8), `<sample>.stage<1|2>.layers.0`, `.norm` and `.logits`; logits from the first latent on.
"""

import torch

from common import LATENT_REASONING, prepare, write_golden
from livr_samples import LATENT, LATENTS, MODEL, PROMPT, Sample, build_samples
from model_cases import recorded
from tiny_models import load


def stage_states(model: torch.nn.Module, sample: Sample, stage: int) -> dict[str, torch.Tensor]:
    modules = {"layers.0": "model.language_model.layers.0", "norm": "model.language_model.norm"}
    with torch.no_grad(), recorded(model, modules) as kept:
        logits = model(**sample.inputs(stage)).logits
    first_latent = sample.roles.tolist().index(LATENT)
    return {**kept, "logits": logits[:, first_latent:]}


def check_isolation(model: torch.nn.Module, sample: Sample) -> None:
    """In stage 1 other pixels must leave every prompt token before the latents unchanged, and must reach the logits."""
    other = Sample(**{**vars(sample), "pixel_values": -sample.pixel_values})
    one, two = (stage_states(model, item, 1) for item in (sample, other))
    roles = sample.roles.tolist()
    before = [index for index in range(roles.index(LATENT)) if roles[index] == PROMPT]
    assert torch.equal(one["norm"][0, before], two["norm"][0, before])
    assert not torch.equal(one["logits"][0, -1], two["logits"][0, -1])


def main() -> None:
    prepare()
    model = load(MODEL)
    tensors: dict[str, torch.Tensor] = {}
    samples = build_samples(model)
    for index, sample in enumerate(samples):
        check_isolation(model, sample)
        tensors[f"{index}.image"] = torch.from_numpy(sample.picture)
        for stage in (1, 2):
            states = stage_states(model, sample, stage)
            tensors |= {f"{index}.stage{stage}.{key}": value for key, value in states.items()}
    manifest = {
        "model": f"packages/qwen-vl/test/golden/models/{MODEL}",
        "latent_ids": LATENTS,
        "roles": {"image": 0, "prompt": 1, "latent": 2, "answer": 3},
        "note": "labels are not shifted: the logits at p - 1 predict position p; logits start at the first latent",
        "samples": [sample.manifest() for sample in samples],
    }
    write_golden(LATENT_REASONING, "livr-forward", tensors, manifest)


if __name__ == "__main__":
    main()
