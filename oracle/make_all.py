"""Writes every golden file of the repository: `python oracle/make_all.py`. Under a minute, no network."""

import sys

sys.dont_write_bytecode = True

import chat_template
import functions
import gradient_clipping
import images_files
import images_processor
import images_resize
import images_smart_resize
import index_tables
import layer_gradients
import livr_adapter
import livr_forward
import livr_training
import model_cases
import operations
import optimiser
import sampling
import schedules
import tiny_models
import tokenizer_golden

# Later ones read what earlier ones wrote: models first, the adapter before the training.
STEPS = (
    tiny_models, model_cases, layer_gradients, index_tables, images_resize, images_smart_resize, images_processor,
    images_files, tokenizer_golden, chat_template, optimiser, gradient_clipping, schedules, operations, functions,
    sampling, livr_forward, livr_adapter, livr_training,
)  # fmt: skip


def main() -> None:
    for step in STEPS:
        print(f"{step.__name__}: {step.__doc__.strip().splitlines()[0]}", flush=True)
        step.main()


if __name__ == "__main__":
    main()
