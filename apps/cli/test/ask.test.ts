import { copyFile, mkdir } from 'node:fs/promises';
import { counting } from '@mindseye/eval';
import { readImage, writePng } from '@mindseye/qwen-vl/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { refuse, succeed } from './support/command.js';
import { useWorkspace } from './support/workspace.js';

const QUESTION = 'How many red circles are there in the image?';

describe('ask and demo', () => {
  const { at } = useWorkspace();
  const ask = (...more: string[]): string[] => ['ask', '--model', at('model'), '--adapter', at('adapter'), ...more];

  beforeAll(async () => {
    const livr = [
      '--task',
      'counting',
      '--examples',
      '2',
      '--batch-size',
      '2',
      '--epochs',
      '1,1',
      '--latents',
      '3',
      '--lora-rank',
      '2',
    ];
    await succeed('train', '--model', at('model'), '--output', at('adapter'), ...livr);
    await writePng(at('scene.png'), { ...counting.generate('test', 2).image, channels: 3 });
  });

  test('answers, always the same, under every condition', async () => {
    const answer = await succeed(...ask('--image', at('scene.png'), QUESTION));
    expect(await succeed(...ask('--image', at('scene.png'), QUESTION))).toBe(answer);
    for (const condition of ['no-latents', 'bottleneck', 'bottleneck-no-latents']) {
      const result = JSON.parse(
        await succeed(
          ...ask('--image', at('scene.png'), '--max-new-tokens', '6', '--condition', condition, '--json', QUESTION),
        ),
      );
      expect(result).toEqual({
        question: QUESTION,
        answer: expect.any(String),
        images: [at('scene.png')],
        videos: [],
        condition,
        tokens: 6,
        grounding: [],
        heatmaps: [],
      });
    }
  });

  const asked = async (...more: string[]): Promise<{ answer: string; tokens: number }> =>
    JSON.parse(await succeed(...ask('--image', at('scene.png'), '--json', ...more, QUESTION)));

  test('threads and tiers of the CPU device change no answer', async () => {
    const asked = ['ask', '--model', at('model'), '--image', at('scene.png'), 'How many circles are there?'];
    const expected = await succeed(...asked);
    for (const options of [
      ['--threads', '1'],
      ['--threads', '3', '--device', 'wasm'],
      ['--tier', 'simd128'],
    ])
      expect(await succeed(...asked, ...options)).toBe(expected);
  });

  test('samples when a setting of sampling is given; one seed, one answer', async () => {
    const drawn = ['--temperature', '3', '--max-new-tokens', '12'];
    const first = await asked(...drawn, '--seed', '1');
    expect(await asked(...drawn, '--seed', '1')).toEqual(first);
    expect((await asked(...drawn, '--seed', '2')).answer).not.toBe(first.answer);
    // One candidate is left, whatever the seed.
    const greedy = await asked('--greedy', '--max-new-tokens', '12');
    expect(await asked('--top-k', '1', '--seed', '7', '--max-new-tokens', '12')).toEqual(greedy);
    expect(await asked('--cache-dtype', 'f16', '--max-new-tokens', '1')).toMatchObject({ tokens: 1 });
    await refuse(
      ask('--image', at('scene.png'), '--greedy', '--top-p', '0.5', QUESTION),
      2,
      /--greedy takes the most likely token/,
    );
    await refuse(ask('--image', at('scene.png'), '--temperature', '0', QUESTION), 2, /Give a number from/);
  });

  test('ends at a stop text, which is not shown', async () => {
    const { answer } = await asked('--max-new-tokens', '30', '--repetition-penalty', '1.5');
    const stop = answer.slice(3, 5);
    const stopped = await asked('--max-new-tokens', '30', '--repetition-penalty', '1.5', '--stop', stop);
    expect(stopped.answer).toBe(answer.slice(0, answer.indexOf(stop)));
    expect(stopped.tokens).toBeLessThan(30);
    await refuse(ask('--image', at('scene.png'), '--stop', '', QUESTION), 1, /stop string must have 1 to/);
  });

  test('a folder of frames is a video', async () => {
    await mkdir(at('film'));
    for (const frame of [1, 2, 3]) await copyFile(at('scene.png'), at('film', `frame-${frame}.png`));
    const result = JSON.parse(
      await succeed(...ask('--video', at('film'), '--fps', '1', '--max-new-tokens', '3', '--json', QUESTION)),
    );
    expect(result).toMatchObject({ images: [], videos: [at('film')], tokens: 3 });
    await refuse(ask('--video', at('nothing'), QUESTION), 1, /nothing/);
  });

  test('an image within a budget', async () => {
    expect(await asked('--max-visual-tokens', '4', '--max-new-tokens', '2')).toMatchObject({ tokens: 2 });
    await refuse(ask('--image', at('scene.png'), '--max-visual-tokens', '0', QUESTION), 2, /of at least 1/);
  });

  test('draws a heat map as wide as the image, one per image', async () => {
    await copyFile(at('scene.png'), at('second.png'));
    const images = ['--image', at('scene.png'), '--image', at('second.png')];
    const { heatmaps } = JSON.parse(
      await succeed(...ask(...images, '--heatmap', at('map.png'), '--json', 'Are they equal?')),
    );
    expect(heatmaps).toEqual([at('map-1.png'), at('map-2.png')]);
    for (const file of heatmaps) expect((await readImage(file)).width).toBe(112);
  });

  test('demo answers about a picture of the user, and says where the heat map is', async () => {
    const demo = [
      'demo',
      at('scene.png'),
      QUESTION,
      '--model',
      at('model'),
      '--adapter',
      at('adapter'),
      '--heatmap',
      at('demo.png'),
    ];
    expect(await succeed(...demo)).toMatch(/scene\.png {2}How many red circles.*through the latents alone.*demo\.png/s);
    const { answers } = JSON.parse(await succeed(...demo, '--json'));
    expect(answers).toEqual([expect.objectContaining({ question: QUESTION, image: at('scene.png') })]);
  });

  test('demo asks about the example pictures, whose right answers it knows', async () => {
    const { answers } = JSON.parse(
      await succeed('demo', '--model', at('model'), '--heatmap', at('examples.png'), '--json'),
    );
    expect(answers.map(({ question, gold }: { question: string; gold: string }) => [question, gold])).toEqual([
      ['How many red circles are there in the image?', '6'],
      ['How many green squares are there in the image?', '5'],
    ]);
  });

  test('a question needs an image, an image a question', async () => {
    await refuse(ask(QUESTION), 2, /there is no image to ask about; name one with --image/);
    await refuse(ask('--image', at('scene.png')), 2, /the question is empty; write it, in quotes/);
    await refuse(ask('--image', at('scene.png'), '  '), 2, /the question is empty/);
    await refuse(['demo', at('scene.png')], 2, /there is no question to ask about/);
  });

  test('a heat map goes nowhere but into a regular file of a folder that is there', async () => {
    await refuse(
      ask('--image', at('scene.png'), '--heatmap', at('no', 'map.png'), QUESTION),
      1,
      /there is no folder .*create it first/,
    );
    await refuse(ask('--image', at('scene.png'), '--heatmap', '/dev/null', QUESTION), 1, /not a regular file/);
  });
});
