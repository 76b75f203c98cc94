/** docs/guide/tensor-core.md: its programs run, and learn what they say. */
import { describeGuide } from '@mindseye/guide';
import { describe, expect, it } from 'vitest';

describe('the guide', () => {
  const { outputUnder } = describeGuide('tensor-core.md', { packages: ['tensor-core'], loadsSetup: true });

  const lastLoss = (output: string): number => Number([...output.matchAll(/loss (\S+)$/gm)].at(-1)![1]);

  it('learns XOR: a loss below 0.001 and the right answers', async () => {
    const output = await outputUnder('XOR');
    expect(lastLoss(output)).toBeLessThan(0.001);
    expect(
      output
        .trim()
        .split('\n')
        .at(-1)!
        .split(' ')
        .map((answer) => Math.round(Number(answer))),
    ).toEqual([0, 1, 1, 0]);
  });

  it('finds the weights of the ridge regression', async () => {
    expect(await outputUnder('Ridge regression')).toContain('they differ by less than 1e-6: true');
  });

  it('teaches a transformer a sentence: a loss below 0.1, and the sentence', async () => {
    const output = await outputUnder('A transformer that learns a sentence');
    expect(lastLoss(output)).toBeLessThan(0.1);
    expect(output.trim().split('\n').at(-1)).toBe('a lazy graph holds no bytes;');
  });
});
