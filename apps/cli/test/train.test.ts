import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { loadAdapter } from '@mindseye/latent-reasoning/node';
import { openModelFolder } from '@mindseye/qwen-vl/node';
import { describe, expect, test } from 'vitest';
import { mindseye, refuse, succeed } from './support/command.js';
import { contentOf, useWorkspace } from './support/workspace.js';

const SMALL = [
  '--task',
  'counting',
  '--examples',
  '12',
  '--batch-size',
  '4',
  '--epochs',
  '1,2',
  '--latents',
  '4',
  '--lora-rank',
  '2',
];

const linesOf = async (file: string): Promise<{ kind: string; globalStep: number; loss: number }[]> =>
  (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('train', () => {
  const { at } = useWorkspace();
  const livr = (output: string, ...more: string[]): string[] => [
    'train',
    '--model',
    at('model'),
    '--output',
    at(output),
    ...SMALL,
    ...more,
  ];

  test('full training writes a complete model folder, from which training goes on', async () => {
    const sft = [
      '--task',
      'perception',
      '--method',
      'sft',
      '--trains',
      'full',
      '--examples',
      '8',
      '--epochs',
      '1',
      '--batch-size',
      '4',
    ];
    await succeed('train', '--model', at('model'), '--output', at('full'), ...sft);
    const folder = await openModelFolder(at('full'));
    expect(await folder.config()).toEqual(await (await openModelFolder(at('model'))).config());
    expect(await readFile(at('full', 'model.safetensors'))).not.toEqual(
      await readFile(at('model', 'model.safetensors')),
    );
    await succeed('train', '--model', at('full'), '--output', at('narrow'), ...sft, '--weights-dtype', 'BF16');
    const [wide, narrow] = [
      await readFile(at('full', 'model.safetensors')),
      await readFile(at('narrow', 'model.safetensors')),
    ];
    expect(narrow.length).toBeLessThan(0.6 * wide.length);
    expect(JSON.parse(await readFile(at('narrow', 'config.json'), 'utf8'))).toMatchObject({ torch_dtype: 'bfloat16' });
  });

  test('LIVR writes a PEFT adapter, a log and the record of the run, and nothing that only an unfinished run needs', async () => {
    const record = JSON.parse(await succeed(...livr('adapter', '--validate', '4', '--json')));
    expect(await readdir(at('adapter'))).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'log.jsonl',
      'tokenizer.json',
      'tokenizer_config.json',
      'training.json',
    ]);
    const adapter = await loadAdapter(at('adapter'));
    expect(adapter.tokenRows?.ids).toEqual([406, 407, 408, 409]);
    expect(record).toEqual(JSON.parse(await readFile(at('adapter', 'training.json'), 'utf8')));
    expect(record).toMatchObject({ latentIds: [406, 407, 408, 409], steps: 9, best: { stage: 'causal' } });
    expect(record.command).toBe(`mindseye ${livr('adapter', '--validate', '4', '--json').join(' ')}`);
    const lines = await linesOf(at('adapter', 'log.jsonl'));
    expect(lines.filter(({ kind }) => kind === 'step').map(({ globalStep }) => globalStep)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]);
    expect(
      record.validations.map(({ stage, condition }: { stage: string; condition: string }) => [stage, condition]),
    ).toEqual([
      ['bottleneck', 'bottleneck'],
      ['causal', 'standard'],
      ['causal', 'standard'],
    ]);
  });

  test('a full model with latents carries them in its tokenizer and its embedding table', async () => {
    await succeed(...livr('full-latents', '--trains', 'full', '--epochs', '1,0'));
    const answer = JSON.parse(
      await succeed('eval', '--model', at('full-latents'), '--task', 'counting', '--limit', '2', '--audit', '--json'),
    );
    expect(answer.audit.bottleneck.test).toBe('bottleneck');
  });

  test('a run that is interrupted and resumed ends in the same files as one that is not', async () => {
    await succeed(...livr('whole', '--validate', '4'));
    const stopped = await mindseye(livr('parts', '--validate', '4', '--save-every', '2'), { interruptAt: ' 5/9 ' });
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toMatch(/error: interrupted after step 5 of 9; the same command with --resume goes on/);
    expect(await readdir(at('parts'))).toEqual(['checkpoint.safetensors', 'log.jsonl']);
    await refuse(livr('parts', '--validate', '4'), 1, /--resume to go on with its run, --force to start afresh/);
    await refuse(
      livr('parts', '--validate', '4', '--learning-rate', '0.5', '--resume'),
      1,
      /learningRate 0.0001, this one 0.5/,
    );
    await succeed(...livr('parts', '--validate', '4', '--resume'));
    const [whole, parts] = [await contentOf(at('whole')), await contentOf(at('parts'))];
    const { 'training.json': recordOfWhole, ...filesOfWhole } = whole;
    const { 'training.json': recordOfParts, ...filesOfParts } = parts;
    expect(filesOfParts).toEqual(filesOfWhole);
    // The output folder and the spacing of checkpoints are all in which the two commands differ.
    const withoutCommand = (record: Buffer | undefined): object => ({ ...JSON.parse(String(record)), command: '' });
    expect(withoutCommand(recordOfParts)).toEqual(withoutCommand(recordOfWhole));
    await refuse(livr('parts', '--validate', '4', '--resume'), 1, /nothing to resume, its run is complete/);
  });

  test('micro-batches add up to the batch', async () => {
    const options = [
      '--task',
      'counting',
      '--method',
      'sft',
      '--trains',
      'full',
      '--examples',
      '4',
      '--batch-size',
      '4',
      '--epochs',
      '1',
    ];
    await succeed('train', '--model', at('model'), '--output', at('batch'), ...options);
    await succeed('train', '--model', at('model'), '--output', at('micro'), ...options, '--micro-batch-size', '1');
    const [[batch], [micro]] = [await linesOf(at('batch', 'log.jsonl')), await linesOf(at('micro', 'log.jsonl'))];
    expect(micro!.loss).toBeCloseTo(batch!.loss, 5);
  });

  test.each([
    [['--epochs', '1'], 2, /livr has 2 stages \(bottleneck, causal\); give as many numbers/],
    [['--epochs', '0,0'], 2, /at least one stage needs an epoch/],
    [['--epochs', '1,x'], 2, /--epochs <list>.*Give a whole number/],
    [['--method', 'sft', '--epochs', '1'], 2, /the method sft has no latent tokens/],
    [['--examples', '999999'], 2, /the training split of counting has 10000/],
    [['--validate', '999999'], 2, /the validation split of counting has 2000/],
    [['--task', 'chess'], 2, /--task <name>.*Allowed choices are counting, perception/],
    [['--latents', '200'], 1, /the embedding table has 512 rows; use fewer --latents/],
    [['--resume'], 1, /there is nothing to resume, it has no checkpoint.safetensors/],
  ] as const)('refuses %j', async (options, code, message) => {
    const folder = path.join('refused', String(message).replaceAll(/\W/g, ''));
    await refuse(livr(folder, ...options), code, message);
  });

  test('adapters train over weights in 4 and 8 bits; full training needs all of their digits', async () => {
    const losses: number[] = [];
    for (const dtype of ['auto', 'int8', 'mixed']) {
      await succeed(...livr(`stored-${dtype}`, '--dtype', dtype));
      const [first] = await linesOf(at(`stored-${dtype}`, 'log.jsonl'));
      losses.push(first!.loss);
    }
    const [exact, eight, four] = losses as [number, number, number];
    expect(Math.abs(eight - exact)).toBeLessThan(0.05);
    expect(Math.abs(four - exact)).toBeGreaterThan(Math.abs(eight - exact));
    await refuse(livr('full-int4', '--trains', 'full', '--epochs', '1,0', '--dtype', 'int4'), 1, /quantised/);
  });
});
