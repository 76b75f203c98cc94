/** `mindseye ask`: answers a question about images or a video, and shows where the latents looked. */
import { CONDITIONS, type Condition } from '@mindseye/eval';
import type { Question } from '@mindseye/latent-reasoning';
import { type Grounding, type PixelBudget, parseGrounding } from '@mindseye/qwen-vl';
import { readImage, readVideoFrames } from '@mindseye/qwen-vl/node';
import { Command, Option } from 'commander';
import { describeGrounding } from '../ask/describe-grounding.js';
import { writeHeatMaps } from '../heat-map/write.js';
import { type DeviceChoice, openNamedDevice } from '../shared/device.js';
import { UsageError } from '../shared/errors.js';
import { outputFileExists } from '../shared/folder.js';
import { type GenerationFlags, addGenerationOptions, answerOptions, answerText } from '../shared/generation.js';
import { examplesOf } from '../shared/help.js';
import { openLatentModel } from '../shared/model.js';
import { MODEL_ARGUMENT, type ModelSourceOptions, addModelSourceOptions } from '../shared/model-files.js';
import {
  collect,
  deviceOption,
  dtypeOption,
  integer,
  jsonOption,
  number,
  threadsOption,
  tierOption,
  type WeightDType,
} from '../shared/options.js';
import type { Terminal } from '../shared/terminal.js';

interface AskOptions extends ModelSourceOptions, GenerationFlags, DeviceChoice {
  readonly model: string;
  readonly adapter?: string;
  readonly image: readonly string[];
  readonly video: readonly string[];
  readonly fps?: number;
  readonly minPixels?: number;
  readonly maxPixels?: number;
  readonly maxVisualTokens?: number;
  readonly heatmap?: string;
  readonly condition: Condition;
  readonly dtype: WeightDType;
  readonly json?: true;
}

export function askCommand(terminal: Terminal): Command {
  const command = new Command('ask')
    .description('answer a question about images or a video')
    .argument('[question]', 'what you want to know')
    .requiredOption('--model <model>', MODEL_ARGUMENT)
    .option('--adapter <folder>', 'PEFT adapter folder, as `mindseye train` writes it')
    .option('--image <file>', 'image the question is about; may be given several times', collect, [])
    .option('--video <path>', 'animated GIF or WebP, or a folder of frames; may be given several times', collect, [])
    .option('--fps <n>', "the video's frames per second, in place of its own timing", number(1e-3, 1000))
    .option('--min-pixels <n>', 'smallest area an image is brought to', integer(1))
    .option('--max-pixels <n>', 'largest area an image is brought to', integer(1))
    .option('--max-visual-tokens <n>', 'most tokens an image may take', integer(1))
    .option('--heatmap <file.png>', 'write where the latents looked, drawn over the image')
    .addOption(new Option('--condition <name>', 'restriction to answer under').choices(CONDITIONS).default('standard'));
  return addGenerationOptions(addModelSourceOptions(command))
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(tierOption())
    .addOption(dtypeOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examplesOf(
        'mindseye ask --model Qwen/Qwen2.5-VL-3B-Instruct --image street.jpg "Give the bounding box of every car as JSON."',
        'mindseye ask --model seen --adapter counter --image photo.png "How many red circles are there in the image?"',
        'mindseye ask --model seen --adapter counter --image photo.png --heatmap looked.png --json "How many?"',
        'mindseye ask --model qwen --video clip.gif --max-visual-tokens 256 --temperature 0.7 --seed 3 "What happens?"',
      ),
    )
    .action(async (question: string | undefined, options: AskOptions) => {
      const onText = options.json ? () => {} : terminal.write;
      const result = await ask(checkedQuestion(question, options), options, terminal, onText);
      terminal.print(options.json ? JSON.stringify(result) : '');
      if (options.json) return;
      for (const line of result.grounding.map(describeGrounding)) terminal.note(line);
      for (const file of result.heatmaps) terminal.note(`heat map: ${file}`);
    });
}

/** Refuses a question without a picture, a picture without a question, and neither, before anything is read. */
function checkedQuestion(question: string | undefined, { image, video, heatmap }: AskOptions): string {
  if (image.length + video.length === 0)
    throw new UsageError('there is no image to ask about; name one with --image <file>');
  if (heatmap !== undefined && image.length === 0)
    throw new UsageError('--heatmap draws over an image; name one with --image <file>');
  if (question === undefined || question.trim() === '')
    throw new UsageError('the question is empty; write it, in quotes, as the last argument');
  return question;
}

interface AskResult {
  readonly question: string;
  readonly answer: string;
  readonly images: readonly string[];
  readonly videos: readonly string[];
  readonly condition: Condition;
  /** Tokens of the answer. */
  readonly tokens: number;
  /** Boxes and points that the answer names, where it is about one image. */
  readonly grounding: readonly Grounding[];
  readonly heatmaps: readonly string[];
}

/** @param onText told each piece of the answer as it is decoded */
async function ask(
  question: string,
  options: AskOptions,
  terminal: Terminal,
  onText: (text: string) => void,
): Promise<AskResult> {
  const { condition, heatmap, fps: framesPerSecond } = options;
  if (heatmap !== undefined) await outputFileExists(heatmap);
  // Pictures first: they are the quickest to be found wrong.
  const images = await Promise.all(options.image.map((file) => readImage(file)));
  const reading = { sampling: {}, ...(framesPerSecond !== undefined && { framesPerSecond }) };
  const videos = await Promise.all(options.video.map((path) => readVideoFrames(path, reading)));
  const device = await openNamedDevice(options);
  const { model, generation } = await openLatentModel(options.model, options.adapter, device, { ...options, terminal });
  const { tokenizer, imageProcessor } = model.processor;

  const text = answerText(tokenizer, options.stop);
  const asked: Question = {
    question,
    images,
    videos,
    condition,
    budget: budgetOf(options),
    ...answerOptions(options, generation),
  };
  let answer = '';
  let tokens = 0;
  const add = (piece: string): void => {
    answer += piece;
    if (piece !== '') onText(piece);
  };
  for await (const id of model.generate(asked)) {
    tokens++;
    const { text: piece, stopped } = text.push(id);
    add(piece);
    if (stopped) break;
  }
  add(text.end().text);
  const [only] = images.length + videos.length === 1 ? images : [];
  const grounding = only
    ? parseGrounding(answer, imageProcessor.geometry(only.height, only.width, budgetOf(options)), { clamp: true })
    : [];
  const heatmaps = heatmap === undefined ? [] : await writeHeatMaps(model, { ...asked, images }, heatmap);
  return { question, answer, images: options.image, videos: options.video, condition, tokens, grounding, heatmaps };
}

function budgetOf({ minPixels, maxPixels, maxVisualTokens }: AskOptions): PixelBudget {
  return {
    ...(minPixels !== undefined && { minPixels }),
    ...(maxPixels !== undefined && { maxPixels }),
    ...(maxVisualTokens !== undefined && { maxVisualTokens }),
  };
}
