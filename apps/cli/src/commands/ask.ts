/** `mindseye ask`: answers a question about images, and shows where the latents looked. */
import { CONDITIONS, type Condition } from '@mindseye/eval';
import { readImage } from '@mindseye/qwen-vl/node';
import { Command, Option } from 'commander';
import { writeHeatMaps } from '../heat-map/write.js';
import { openNamedDevice } from '../shared/device.js';
import { UsageError } from '../shared/errors.js';
import { outputFileExists } from '../shared/folder.js';
import { examplesOf } from '../shared/help.js';
import { openLatentModel } from '../shared/model.js';
import { collect, deviceOption, integer, jsonOption } from '../shared/options.js';
import type { Terminal } from '../shared/terminal.js';

interface AskOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly image: readonly string[];
  readonly heatmap?: string;
  readonly maxNewTokens: number;
  readonly condition: Condition;
  readonly device: string;
  readonly json?: true;
}

export function askCommand(terminal: Terminal): Command {
  return new Command('ask')
    .description('answer a question about images')
    .argument('[question]', 'what you want to know')
    .requiredOption('--model <folder>', 'checkpoint folder')
    .option('--adapter <folder>', 'PEFT adapter folder, as `mindseye train` writes it')
    .option('--image <file>', 'image the question is about; may be given several times', collect, [])
    .option('--heatmap <file.png>', 'write where the latents looked, drawn over the image')
    .option('--max-new-tokens <n>', 'longest answer', integer(1, 65536), 16)
    .addOption(new Option('--condition <name>', 'restriction to answer under').choices(CONDITIONS).default('standard'))
    .addOption(deviceOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examplesOf(
        'mindseye ask --model seen --adapter counter --image photo.png "How many red circles are there in the image?"',
        'mindseye ask --model seen --adapter counter --image photo.png --heatmap looked.png --json "How many?"',
      ),
    )
    .action(async (question: string | undefined, options: AskOptions) => {
      const onText = options.json ? () => {} : terminal.write;
      const result = await ask(checkedQuestion(question, options), options, onText);
      terminal.print(options.json ? JSON.stringify(result) : '');
      if (!options.json) for (const file of result.heatmaps) terminal.note(`heat map: ${file}`);
    });
}

/** Refuses a question without an image, an image without a question, and neither, before anything is read. */
function checkedQuestion(question: string | undefined, { image }: AskOptions): string {
  if (image.length === 0) throw new UsageError('there is no image to ask about; name one with --image <file>');
  if (question === undefined || question.trim() === '')
    throw new UsageError('the question is empty; write it, in quotes, as the last argument');
  return question;
}

interface AskResult {
  readonly question: string;
  readonly answer: string;
  readonly images: readonly string[];
  readonly condition: Condition;
  readonly heatmaps: readonly string[];
}

/** @param onText told each piece of the answer as it is decoded */
async function ask(question: string, options: AskOptions, onText: (text: string) => void): Promise<AskResult> {
  const { condition, maxNewTokens, heatmap } = options;
  if (heatmap !== undefined) await outputFileExists(heatmap);
  // Images first: they are the quickest to be found wrong.
  const images = await Promise.all(options.image.map((file) => readImage(file)));
  const { model } = await openLatentModel(options.model, options.adapter, await openNamedDevice(options.device));
  const decoder = model.processor.tokenizer.decodeStream({ skipSpecialTokens: true });
  let answer = '';
  const add = (piece: string): void => {
    answer += piece;
    onText(piece);
  };
  for await (const id of model.generate({ question, images, condition, maxNewTokens })) add(decoder.push(id));
  add(decoder.end());
  const heatmaps = heatmap === undefined ? [] : await writeHeatMaps(model, { question, images, condition }, heatmap);
  return { question, answer, images: options.image, condition, heatmaps };
}
