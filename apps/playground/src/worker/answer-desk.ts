/** What the worker holds, a model and a picture, and what it does with them. */
import type { AttentionMap, LatentModel, Question } from '@mindseye/latent-reasoning';
import {
  InvalidInputError,
  type PixelBudget,
  type Qwen2_5_VLConfig,
  type RasterImage,
  parameterCount,
  samplingOf,
} from '@mindseye/qwen-vl';
import { flatten, weightBytes } from '@mindseye/tensor-core';
import { describeDevice, openNamedDevice, watchMemory } from './devices.js';
import { loadModel } from './load-model.js';
import { type ModelParts, assembleModel } from './model-parts.js';
import { openPicture } from './open-picture.js';
import type { AnswerSummary, Calls, LoadProgress, ModelSummary, PictureSource, PictureSummary } from './protocol.js';
import { randomModel } from './random-model.js';

/** Longest answer, where the model's own files do not say. */
const MAX_NEW_TOKENS = 512;

/** A photograph as the published models take it has up to 16,384 visual tokens, more than a tab should be asked for. */
const BUDGET: PixelBudget = { maxVisualTokens: 1024 };

/** A map needs the attention of all layers at once: beyond this many bytes it is left out. */
const MAP_BYTES = 2 ** 28;

export class AnswerDesk {
  #model: { readonly parts: ModelParts; readonly latent: LatentModel } | undefined;
  #image: RasterImage | undefined;

  async openModel(
    { source, ...choices }: Calls['openModel']['request'],
    onProgress: (progress: LoadProgress) => void,
  ): Promise<ModelSummary> {
    const start = performance.now();
    const device = await openNamedDevice(choices.device);
    const parts =
      source.kind === 'random' ? await randomModel(source.seed) : await loadModel(source, device, choices, onProgress);
    this.#model = { parts, latent: assembleModel(parts, device) };
    const { config, weights, adapter, latentIds } = parts;
    const { lora, tokenRows, headRows, saved } = adapter ?? {};
    const added = flatten([lora, tokenRows?.rows, headRows?.rows, saved]);
    const bytes = Object.values(weights).reduce((sum, weight) => sum + weightBytes(weight), 0);
    watchMemory(device, bytes);
    return {
      device: describeDevice(device),
      parameters: parameterCount(config),
      adapterParameters: added.reduce((sum, { size }) => sum + size, 0),
      weightBytes: bytes,
      latents: latentIds.length,
      milliseconds: performance.now() - start,
    };
  }

  async openPicture(source: PictureSource): Promise<PictureSummary> {
    const { image, summary } = await openPicture(source);
    this.#image = image;
    return summary;
  }

  async ask({ question, condition }: Calls['ask']['request'], onText: (text: string) => void): Promise<AnswerSummary> {
    if (!this.#model) throw new InvalidInputError('no model is open: choose one first');
    if (!this.#image) throw new InvalidInputError('no picture is open: choose one first');
    const { parts, latent } = this.#model;
    const asked = { question, images: [this.#image], budget: BUDGET, condition } as const;
    const { maxNewTokens, eosTokenIds: stopIds } = parts.generation;

    const start = performance.now();
    const decoder = parts.processor.tokenizer.decodeStream({ skipSpecialTokens: true });
    let text = '';
    let tokens = 0;
    const add = (piece: string): void => {
      text += piece;
      if (piece !== '') onText(piece);
    };
    const answer = latent.generate({
      ...asked,
      stopIds,
      maxNewTokens: maxNewTokens ?? MAX_NEW_TOKENS,
      sampling: samplingOf(parts.generation),
    });
    for await (const id of answer) {
      tokens++;
      add(decoder.push(id));
    }
    add(decoder.end());
    const milliseconds = performance.now() - start;
    return { text, tokens, milliseconds, map: await mapOf(this.#model, asked) };
  }
}

/** Where the latents looked. Without latents the map would be that of the last prompt token. */
async function mapOf(
  { parts, latent }: { readonly parts: ModelParts; readonly latent: LatentModel },
  asked: Question,
): Promise<AttentionMap | null> {
  if (asked.condition === 'no-latents') return null;
  const { imageProcessor } = parts.processor;
  const [image] = asked.images;
  const visual = imageProcessor.geometry(image!.height, image!.width, asked.budget).visualTokens;
  if (mapBytes(parts.config, visual + asked.question.length + parts.latentIds.length) > MAP_BYTES) return null;
  const [map] = await latent.attentionMaps(asked);
  return map ?? null;
}

/** f32 [layers, heads, tokens, tokens]. */
const mapBytes = ({ textConfig }: Qwen2_5_VLConfig, tokens: number): number =>
  4 * textConfig.numHiddenLayers * textConfig.numAttentionHeads * tokens ** 2;
