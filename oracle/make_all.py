"""Writes every golden file of the repository: `python oracle/make_all.py`. Under a minute, no network."""

import sys

sys.dont_write_bytecode = True

import torchvision_cpu  # before transformers, which imports torchvision if it is there

import chat_template
import functions
import generation_cases
import gradient_clipping
import images_encoded
import images_files
import images_processor
import images_random
import images_resize
import images_smart_resize
import index_tables
import large_activations
import layer_gradients
import livr_adapter
import livr_adapters
import livr_forward
import livr_targets
import livr_training
import model_cases
import operations
import optimiser
import quantized_layouts
import sampling
import schedules
import sft_adapter
import sft_training
import tiny_models
import tokenizer_golden
import tokenizer_real
import video_processor

# Later ones read what earlier ones wrote: models and image files first, the adapter before the training.
STEPS = (
    tiny_models, images_files, model_cases, generation_cases, large_activations, layer_gradients, index_tables,
    images_resize, images_smart_resize, images_processor,
    images_random, images_encoded, video_processor, tokenizer_golden, tokenizer_real, chat_template, optimiser,
    gradient_clipping, schedules, operations, functions, sampling, livr_forward, livr_adapter, livr_training,
    livr_adapters, livr_targets, sft_training, sft_adapter,
    quantized_layouts,
)  # fmt: skip


def main() -> None:
    for step in STEPS:
        print(f"{step.__name__}: {step.__doc__.strip().splitlines()[0]}", flush=True)
        step.main()


if __name__ == "__main__":
    main()
