/** Sequences and masks of LIVR: where latents go, what is labelled, and who can be reached by whom. */
import { InvalidInputError } from '@mindseye/qwen-vl';
import { ignoredLabel, maskTensor, splitMask, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MaskName, latentSequence, livr, maskTable, methods, role, sft } from '../src/index.js';

const [imageTokenId, endOfTurnId] = [90, 91];
const word = fc.integer({ min: 0, max: 80 });
/** A prompt with one user turn: text, images, a question, the end of the turn, the header of the answer. */
const prompts = fc
  .record({
    system: fc.array(fc.oneof(word, fc.constant(endOfTurnId)), { maxLength: 5 }),
    visual: fc.nat(6),
    question: fc.array(word, { minLength: 1, maxLength: 6 }),
    header: fc.array(word, { minLength: 1, maxLength: 4 }),
  })
  .map(({ system, visual, question, header }) => [
    ...system,
    ...Array.from({ length: visual }, () => imageTokenId),
    ...question,
    endOfTurnId,
    ...header,
  ]);
const latentIds = fc.nat(8).map((count) => Array.from({ length: count }, (_, i) => 100 + i));
const answers = fc.array(word, { minLength: 1, maxLength: 5 });

describe('a latent sequence', () => {
  test('is the prompt with latents at the end of the user turn, then the answer and its end of turn', () => {
    fc.assert(
      fc.property(prompts, latentIds, answers, (prompt, latents, answer) => {
        const { inputIds, roles, labels } = latentSequence(
          { inputIds: prompt, grids: [] },
          { imageTokenId, endOfTurnId, latentIds: latents },
          answer,
        );
        const at = [...inputIds.keys()];
        const idsOf = (which: number): number[] => at.filter((i) => roles[i] === which).map((i) => inputIds[i]!);
        expect(at.filter((i) => roles[i] !== role.latent).map((i) => inputIds[i])).toEqual([
          ...prompt,
          ...answer,
          endOfTurnId,
        ]);
        expect(idsOf(role.latent)).toEqual(latents);
        expect(idsOf(role.answer)).toEqual([...answer, endOfTurnId]);
        expect(idsOf(role.image)).toEqual(prompt.filter((id) => id === imageTokenId));
        // The token after the last latent ends the user turn, and none after it does until the answer's own.
        const end = prompt.lastIndexOf(endOfTurnId) + latents.length;
        expect(inputIds[end]).toBe(endOfTurnId);
        expect(Array.from(roles.subarray(end - latents.length, end)).every((each) => each === role.latent)).toBe(true);
        // Latents are inputs, never targets; the answer and its marker are all there is to predict.
        const labelled = at.filter((i) => labels[i] !== ignoredLabel);
        expect(labelled).toEqual(at.filter((i) => roles[i] === role.answer));
        expect(labelled.map((i) => labels[i])).toEqual([...answer, endOfTurnId]);
        expect(labelled.length).toBe(answer.length + 1);
      }),
    );
  });

  test('without an answer has no labels and ends with the header', () => {
    const { inputIds, labels } = latentSequence(
      { inputIds: [1, imageTokenId, 2, endOfTurnId, 3], grids: [] },
      { imageTokenId, endOfTurnId, latentIds: [100] },
    );
    expect([...inputIds]).toEqual([1, imageTokenId, 2, 100, endOfTurnId, 3]);
    expect([...labels].every((label) => label === ignoredLabel)).toBe(true);
  });

  test('needs an end of turn', () => {
    expect(() => latentSequence({ inputIds: [1, 2], grids: [] }, { imageTokenId, endOfTurnId, latentIds: [] })).toThrow(
      InvalidInputError,
    );
    expect(() => latentSequence({ inputIds: [1, 2], grids: [] }, { imageTokenId, endOfTurnId, latentIds: [] })).toThrow(
      'the prompt has no end-of-turn token 91',
    );
  });
});

describe('masks', () => {
  const device = createWasmDevice();
  const roleLists = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 24 });

  async function allowed(name: MaskName, roles: readonly number[]): Promise<(query: number, key: number) => boolean> {
    const { expression, operands } = splitMask(maskTable[name](tensor(Int32Array.from(roles), [1, roles.length])));
    const values = await maskTensor(expression, operands, roles.length, roles.length).data(device);
    return (query, key) => values[query * roles.length + key] === 1;
  }

  /** Positions that know of the image after any number of layers. */
  async function reached(name: MaskName, roles: readonly number[]): Promise<boolean[]> {
    const allow = await allowed(name, roles);
    const knows = roles.map((each) => each === role.image);
    for (let layer = 0; layer < roles.length; layer++)
      knows.forEach((_, query) => (knows[query] ||= knows.some((known, key) => known && allow(query, key))));
    return knows;
  }

  test.each(['causal', 'bottleneck', 'severed'] as const)(
    '%s: nobody sees what comes later, everybody sees itself',
    async (name) => {
      await fc.assert(
        fc.asyncProperty(roleLists, async (roles) => {
          const allow = await allowed(name, roles);
          roles.forEach((_, query) => {
            expect(allow(query, query)).toBe(true);
            for (let key = query + 1; key < roles.length; key++) expect(allow(query, key)).toBe(false);
          });
        }),
        { numRuns: 50 },
      );
    },
  );

  test('bottleneck: exactly the queries that are neither image nor latent miss exactly the image keys', async () => {
    await fc.assert(
      fc.asyncProperty(roleLists, async (roles) => {
        const allow = await allowed('bottleneck', roles);
        const seesImage = new Set<number>([role.image, role.latent]);
        roles.forEach((query, q) =>
          roles
            .slice(0, q + 1)
            .forEach((key, k) => expect(allow(q, k)).toBe(key !== role.image || seesImage.has(query))),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('bottleneck: without latents nothing of the image gets through; severed: never', async () => {
    await fc.assert(
      fc.asyncProperty(roleLists, async (roles) => {
        const others = (knows: readonly boolean[]): boolean =>
          knows.some((known, at) => known && roles[at] !== role.image);
        expect(others(await reached('severed', roles))).toBe(false);
        const firstLatent = roles.indexOf(role.latent);
        const knows = await reached('bottleneck', roles);
        knows.forEach((known, at) => {
          if (known && roles[at] !== role.image) expect(firstLatent >= 0 && at >= firstLatent).toBe(true);
        });
      }),
      { numRuns: 50 },
    );
  });
});

describe('recipes', () => {
  test('are listed under their own names and share one budget', () => {
    for (const [name, method] of Object.entries(methods)) expect(method.name).toBe(name);
    const epochs = ({ stages }: typeof livr): number => stages.reduce((sum, stage) => sum + stage.epochs, 0);
    expect(epochs(livr)).toBe(epochs(sft));
  });

  test('LIVR is the setting of its paper', () => {
    expect(livr).toMatchObject({
      latentTokens: 16,
      trains: 'lora',
      learningRate: 1e-4,
      weightDecay: 0.01,
      warmupRatio: 0.05,
      batchSize: 8,
    });
    expect(livr.lora).toMatchObject({ rank: 16, alpha: 32, dropout: 0.05 });
    expect(livr.stages.map(({ mask, epochs }) => [mask, epochs])).toEqual([
      ['bottleneck', 4],
      ['causal', 6],
    ]);
    expect(sft).toMatchObject({ latentTokens: 0, lora: livr.lora, stages: [{ mask: 'causal', epochs: 10 }] });
  });
});
