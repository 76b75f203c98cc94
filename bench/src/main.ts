/** `pnpm bench`: measures, prints tables on stdout and progress on stderr, and writes bench/results/<name>.json. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { benchmarks } from './benchmarks.ts';
import { describeResult, runBenchmark } from './run-benchmark.ts';

const HELP = `Usage: pnpm bench [--only <name>]... [--quick] [--json] [--no-write]

Benchmarks:
${Object.entries(benchmarks)
  .map(([name, { summary }]) => `  ${name.padEnd(18)} ${summary}`)
  .join('\n')}

Options:
  --only <name>   run this benchmark only; may be given several times
  --quick         one short round and no reference training: shows that it runs, not how fast
  --json          print the results as JSON instead of tables
  --no-write      leave bench/results as it is (so does --quick)
  --help          print this

Other engines are compared where bench/peers is installed: npm install --prefix bench/peers
`;

interface Options {
  readonly names: readonly string[];
  readonly quick: boolean;
  readonly json: boolean;
  readonly write: boolean;
}

function optionsOf(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      'no-write': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const names = values.only ?? Object.keys(benchmarks);
  const unknown = names.find((name) => !Object.hasOwn(benchmarks, name));
  if (unknown !== undefined)
    throw new RangeError(`there is no benchmark "${unknown}"; choose from ${Object.keys(benchmarks).join(', ')}`);
  return { names, quick: values.quick, json: values.json, write: !values['no-write'] && !values.quick };
}

async function main(options: Options): Promise<void> {
  const folder = new URL('../results/', import.meta.url);
  const results: object[] = [];
  for (const name of options.names) {
    const benchmark = benchmarks[name]!;
    const result = await runBenchmark(name, benchmark, options, (line) => void process.stderr.write(`${line}\n`));
    results.push(result);
    if (options.write) {
      await mkdir(folder, { recursive: true });
      const target = new URL(`${name}.json`, folder);
      await writeFile(`${target.pathname}.partial`, `${JSON.stringify(result, null, 2)}\n`);
      await rename(`${target.pathname}.partial`, target);
    }
    if (!options.json) process.stdout.write(`${describeResult(benchmark, result)}\n\n`);
  }
  if (options.json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
}

try {
  const options = optionsOf(process.argv.slice(2));
  if (options === 'help') process.stdout.write(HELP);
  else await main(options);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
