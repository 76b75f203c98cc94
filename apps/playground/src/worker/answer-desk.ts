/** What the worker holds, a model and a picture, and what it does with them. */
import type { LatentModel } from '@mindseye/latent-reasoning';
import { InvalidInputError, type RasterImage, parameterCount } from '@mindseye/qwen-vl';
import { openNamedDevice } from './devices.js';
import { loadModel } from './load-model.js';
import { type ModelParts, assembleModel } from './model-parts.js';
import { openPicture } from './open-picture.js';
import type { AnswerSummary, Calls, LoadProgress, ModelSummary, PictureSource, PictureSummary } from './protocol.js';
import { randomModel } from './random-model.js';

/** Longest answer, where the model's own files do not say. */
const MAX_NEW_TOKENS = 16;

export class AnswerDesk {
  #model: { readonly parts: ModelParts; readonly latent: LatentModel } | undefined;
  #image: RasterImage | undefined;

  async openModel(
    { source, device: name }: Calls['openModel']['request'],
    onProgress: (progress: LoadProgress) => void,
  ): Promise<ModelSummary> {
    const start = performance.now();
    const device = await openNamedDevice(name);
    const parts =
      source.kind === 'random' ? await randomModel(source.seed) : await loadModel(source, device, onProgress);
    this.#model = { parts, latent: assembleModel(parts, device) };
    const { config, trained, latentIds } = parts;
    const adapter = [
      ...Object.values(trained.lora).flatMap(({ a, b }) => [a, b]),
      ...(trained.rows ? [trained.rows] : []),
    ];
    return {
      device: device.name,
      parameters: parameterCount(config),
      adapterParameters: elements(adapter),
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
    const images = [this.#image];
    const { maxNewTokens, eosTokenIds: stopIds } = parts.generation;

    const start = performance.now();
    const decoder = parts.processor.tokenizer.decodeStream({ skipSpecialTokens: true });
    let text = '';
    let tokens = 0;
    const add = (piece: string): void => {
      text += piece;
      if (piece !== '') onText(piece);
    };
    const request = { question, images, condition, stopIds, maxNewTokens: maxNewTokens ?? MAX_NEW_TOKENS };
    for await (const id of latent.generate(request)) {
      tokens++;
      add(decoder.push(id));
    }
    add(decoder.end());
    const milliseconds = performance.now() - start;

    // Without latents the map would be that of the last prompt token.
    const [map] = condition === 'no-latents' ? [] : await latent.attentionMaps({ question, images, condition });
    return { text, tokens, milliseconds, map: map ?? null };
  }
}

const elements = (tensors: readonly { readonly size: number }[]): number =>
  tensors.reduce((sum, { size }) => sum + size, 0);
