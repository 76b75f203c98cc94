/** `mindseye demo`: the trained example model answers questions about pictures, and shows where its latents looked. */
import path from 'node:path';
import { readImage } from '@mindseye/qwen-vl/node';
import type { LatentModel } from '@mindseye/latent-reasoning';
import { Command } from 'commander';
import {
  type DemoQuestion,
  type ModelFolders,
  exampleModel,
  exampleQuestions,
  examplesFolder,
} from '../demo/pictures.js';
import { writeHeatMaps } from '../heat-map/write.js';
import { type DeviceChoice, openNamedDevice } from '../shared/device.js';
import { UsageError } from '../shared/errors.js';
import { outputFileExists } from '../shared/folder.js';
import { examplesOf } from '../shared/help.js';
import { openLatentModel } from '../shared/model.js';
import { deviceOption, jsonOption, threadsOption, tierOption } from '../shared/options.js';
import type { Colors, Terminal } from '../shared/terminal.js';

interface DemoOptions extends DeviceChoice {
  readonly model?: string;
  readonly adapter?: string;
  readonly heatmap: string;
  readonly json?: true;
}

export function demoCommand(terminal: Terminal): Command {
  return new Command('demo')
    .description('see a trained model answer questions about pictures through its latents')
    .argument('[image]', 'your own picture (default: the example pictures)')
    .argument('[question]', 'what you want to know about it')
    .option('--model <folder>', 'checkpoint folder (default: the trained example)')
    .option('--adapter <folder>', 'PEFT adapter folder (default: the trained example, unless --model is given)')
    .option(
      '--heatmap <file.png>',
      'where the latents looked, drawn over the first picture',
      'mindseye-demo-heatmap.png',
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(tierOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examplesOf('mindseye demo', 'mindseye demo photo.png "How many red circles are there in the image?"'),
    )
    .action(async (image: string | undefined, question: string | undefined, options: DemoOptions) => {
      await outputFileExists(options.heatmap);
      const questions = await questionsOf(image, question);
      const folders = await foldersOf(options);
      const device = await openNamedDevice(options);
      const { model } = await openLatentModel(folders.model, folders.adapter, device, { terminal });
      const answers: DemoAnswer[] = [];
      for (const asked of questions) {
        const answer = await answerOne(model, asked);
        answers.push(answer);
        if (!options.json) terminal.print(answerText(answer, terminal.colors));
      }
      const [first] = questions;
      const [heatmap] = await writeHeatMaps(
        model,
        { question: first!.question, images: [await readImage(first!.image)] },
        path.resolve(options.heatmap),
      );
      terminal.print(
        options.json
          ? JSON.stringify({ ...folders, answers, heatmap })
          : `Where the latents looked in ${path.basename(first!.image)}: ${heatmap}`,
      );
    });
}

async function questionsOf(image: string | undefined, question: string | undefined): Promise<readonly DemoQuestion[]> {
  if (image === undefined) return exampleQuestions(await examplesFolder());
  if (question === undefined || question.trim() === '')
    throw new UsageError(`there is no question to ask about ${image}; write it, in quotes, after the image`);
  return [{ image, question }];
}

async function foldersOf({ model, adapter }: DemoOptions): Promise<Partial<ModelFolders> & { readonly model: string }> {
  if (model !== undefined) return { model, ...(adapter !== undefined && { adapter }) };
  const example = await exampleModel(await examplesFolder());
  return { model: example.model, adapter: adapter ?? example.adapter };
}

interface DemoAnswer extends DemoQuestion {
  readonly answer: string;
  /** With the image hidden from everything but the latents. */
  readonly throughLatents: string;
  readonly milliseconds: number;
}

async function answerOne(model: LatentModel, { image, question, gold }: DemoQuestion): Promise<DemoAnswer> {
  const images = [await readImage(image)];
  const start = performance.now();
  const answer = await model.answer({ question, images });
  const milliseconds = Math.round(performance.now() - start);
  const throughLatents = await model.answer({ question, images, condition: 'bottleneck' });
  return { image, question, ...(gold !== undefined && { gold }), answer, throughLatents, milliseconds };
}

function answerText(
  { image, question, gold, answer, throughLatents, milliseconds }: DemoAnswer,
  colors: Colors,
): string {
  const right = gold === undefined || gold === answer.trim();
  return [
    colors.bold(`${path.basename(image)}  ${question}`),
    `  answer                     ${(right ? colors.green : colors.red)(answer)}${gold === undefined ? '' : `   (right: ${gold})`}   ${milliseconds} ms`,
    `  through the latents alone  ${throughLatents}`,
    '',
  ].join('\n');
}
