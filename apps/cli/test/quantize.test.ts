import { cp, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeFolder } from '../src/shared/staging.js';
import { mindseye, refuse, succeed } from './support/command.js';
import { contentOf, useWorkspace } from './support/workspace.js';

describe('quantize', () => {
  const { at } = useWorkspace();
  const quantization = (out: string, ...more: string[]): string[] => [
    'quantize',
    '--model',
    at('tiny'),
    '--out',
    at(out),
    '--group-size',
    '32',
    ...more,
  ];

  // Widths of whole groups, which the smaller preset does not have.
  beforeAll(async () => {
    await succeed('init', at('tiny'), '--preset', 'tiny');
  });

  test('writes a folder that answers, with everything else of the source, and a report', async () => {
    const text = await succeed(...quantization('mixed'));
    expect(text).toMatch(/mixed, groups of 32.*times smaller.*28 in 4.*perplexity before.*text.*image.*all/s);
    const names = await readdir(at('tiny'));
    expect((await readdir(at('mixed'))).sort()).toEqual([...names, 'quantization_report.json'].sort());
    const [before, after] = await Promise.all([contentOf(at('tiny')), contentOf(at('mixed'))]);
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'preprocessor_config.json', 'chat_template.jinja'])
      expect(after[name]).toEqual(before[name]);
    const config = JSON.parse(after['config.json']!.toString());
    expect(config).toMatchObject({
      ...JSON.parse(before['config.json']!.toString()),
      quantization: {
        group_size: 32,
        bits: 4,
        mode: 'affine',
        'model.language_model.embed_tokens': { group_size: 32, bits: 8 },
      },
    });
    expect(config.quantization_config).toEqual(config.quantization);

    const report = JSON.parse(after['quantization_report.json']!.toString());
    expect(report).toMatchObject({
      model: 'tiny',
      format: 'mixed',
      groupSize: 32,
      vision: false,
      tensors: { int8: 1, int4: 28, copied: expect.any(Number) },
      leftDense: [],
      evaluation: { byKind: { text: { tokens: expect.any(Number) }, image: { tokens: expect.any(Number) } } },
    });
    // Half of the model is its vision tower, which stays f32.
    expect(report.bytes.before).toBeGreaterThan(1.5 * report.bytes.after);
    expect(report.bytes.ratio).toBeCloseTo(report.bytes.before / report.bytes.after, 10);
    const { size } = await stat(at('mixed', 'model.safetensors'));
    expect(size - report.bytes.after).toBeLessThan(40_000);
    const { evaluation } = report;
    expect(evaluation.bySample.map(({ name }: { name: string }) => name)).toHaveLength(14);
    expect(evaluation.reference.perplexity).toBeGreaterThan(1);
    // By chance it were one of 512.
    expect(evaluation.top1AgreementPercent).toBeGreaterThan(20);
    expect(evaluation.meanDivergence).toBeGreaterThan(0);

    await succeed('ask', '--model', at('mixed'), '--image', await picture(), 'How many?', '--max-new-tokens', '2');
  });

  test('8 bits cost less than 4, in --json too; a vision tower that does not fit stays dense and is named', async () => {
    const [eight, four] = await Promise.all(
      ['int8', 'int4'].map(async (format) =>
        JSON.parse(await succeed(...quantization(format, '--format', format, '--vision', '--json'))),
      ),
    );
    expect(eight.evaluation.meanDivergence).toBeLessThan(four.evaluation.meanDivergence);
    expect(eight.evaluation.top1AgreementPercent).toBeGreaterThan(80);
    expect(eight.bytes.after).toBeGreaterThan(four.bytes.after);
    expect(four).toMatchObject({ vision: true, tensors: { int8: 0 }, leftDense: [] });
    const wide = JSON.parse(
      await succeed(...quantization('wide').slice(0, -1), '64', '--format', 'int4', '--no-evaluate', '--json'),
    );
    expect(wide.evaluation).toBeNull();
    expect(wide.leftDense[0]).toMatchObject({ reason: 'its 96 columns are not a multiple of the group of 64' });
  });

  test('refuses what cannot be: a quantised model, a folder with files, itself, and wrong options', async () => {
    await succeed(...quantization('once', '--no-evaluate'));
    await refuse(
      ['quantize', '--model', at('once'), '--out', at('twice')],
      1,
      /it is quantised already \(config\.json has "quantization"\); start from the original checkpoint/,
    );
    await expect(stat(at('twice'))).rejects.toThrow(/ENOENT/);
    await refuse(quantization('once'), 1, /once is not empty; choose another folder, or --force to write into it/);
    await refuse(
      ['quantize', '--model', at('tiny'), '--out', at('tiny'), '--force'],
      2,
      /is the model itself; name another folder/,
    );
    await refuse(quantization('bad', '--format', 'int3'), 2, /Allowed choices are int8, int4, mixed/);
    await refuse(['quantize', '--model', at('nowhere'), '--out', at('bad')], 1, /nowhere/);
    const files = await readdir(at());
    expect(files.filter((name) => name.startsWith('.') || name === 'bad')).toEqual([]);
  });

  test('--force replaces the weights of a folder and leaves its other files', async () => {
    await mkdir(at('used'));
    await writeFile(at('used', 'notes.txt'), 'mine');
    await cp(at('tiny', 'model.safetensors'), at('used', 'model-00001-of-00001.safetensors'));
    await succeed(...quantization('used', '--force', '--no-evaluate'));
    const names = await readdir(at('used'));
    expect(names).toContain('notes.txt');
    expect(names.filter((name) => name.endsWith('.safetensors'))).toEqual(['model.safetensors']);
    await succeed('ask', '--model', at('used'), '--image', await picture(), 'How many?', '--max-new-tokens', '1');
  });

  test('an interrupt leaves nothing behind', async () => {
    const { code, stderr } = await mindseye(quantization('stopped'), { interruptAt: 'quantising' });
    expect({ code, stderr }).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(/stopped was not written/) as string,
    });
    expect((await readdir(at())).filter((name) => name.includes('stopped'))).toEqual([]);
  });

  test('what stops the measuring leaves a whole model, and says so', async () => {
    const { code, stderr } = await mindseye(quantization('unmeasured'), { interruptAt: 'measuring' });
    expect({ code, stderr }).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(/unmeasured is complete, and was not measured/) as string,
    });
    expect(JSON.parse(await readFile(at('unmeasured', 'quantization_report.json'), 'utf8')).evaluation).toBeNull();
    await cp(at('tiny'), at('odd'), { recursive: true });
    await writeFile(at('odd', 'tokenizer.json'), '{}');
    const { code: failed, stderr: reason } = await mindseye([
      'quantize',
      '--model',
      at('odd'),
      '--out',
      at('odd-mixed'),
    ]);
    expect({ failed, reason }).toMatchObject({
      failed: 1,
      reason: expect.stringMatching(
        /odd-mixed is complete, and could not be measured \(--no-evaluate\): .*tokenizer/,
      ) as string,
    });
    expect(await readdir(at('odd-mixed'))).toContain('model.safetensors');
  });

  test('a model without a tokenizer is quantised and not measured', async () => {
    await cp(at('tiny'), at('mute'), { recursive: true });
    await rm(at('mute', 'tokenizer.json'));
    const { stdout, stderr, code } = await mindseye(['quantize', '--model', at('mute'), '--out', at('mute-int8')]);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.not.stringContaining('perplexity') as string });
    expect(stderr).toMatch(/has no tokenizer or image processor: the result was not measured/);
    expect(JSON.parse(await readFile(at('mute-int8', 'quantization_report.json'), 'utf8')).evaluation).toBeNull();
  });

  test('a folder that is being filled is hidden, and gone when that fails', async () => {
    const target = at('deep', 'folder');
    await expect(
      writeFolder(target, async (staging) => {
        await writeFile(path.join(staging, 'a'), '1');
        expect(path.basename(staging)).toMatch(/^\.folder\./);
        throw new Error('full');
      }),
    ).rejects.toThrow('full');
    expect(await readdir(at('deep'))).toEqual([]);
    await writeFolder(target, (staging) => writeFile(path.join(staging, 'a'), '1'));
    expect(await readdir(target)).toEqual(['a']);
  });

  const picture = (): Promise<string> =>
    Promise.resolve(path.join(import.meta.dirname, '..', '..', '..', 'examples', 'counting.png'));
});
