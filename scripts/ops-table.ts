/**
 * docs/ops.md from the op table: `node scripts/ops-table.ts` writes it (`pnpm ops-table` builds first), `--check` exits 1 when
 * it is not what would be written. Reads the built packages, and the sources for what each op means.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { opTable } from '../packages/tensor-core/dist/index.js';
import { opCases } from '../packages/tensor-core/dist/testing/index.js';
import { createWasmDevice, kernelNames as wasmKernels } from '../packages/wasm-backend/dist/index.js';
import { kernelNames as webgpuKernels } from '../packages/webgpu-backend/dist/index.js';
import { opsPage } from './ops-table/page.ts';
import { type Backend, columns, rowOf } from './ops-table/rows.ts';
import { opSummaries } from './ops-table/summaries.ts';
import { ROOT } from './workspaces.ts';

const target = path.join(ROOT, 'docs/ops.md');
const sources = path.join(ROOT, 'packages/tensor-core/src');

/** Samples of each op: enough that every dtype and every optional operand of its case occurs. */
const sampling = { numRuns: 100, seed: 1 };

const wasm = createWasmDevice();
const backends: readonly Backend[] = [
  {
    name: 'WASM',
    kernelNames: new Set(wasmKernels),
    runsLoops: (op, { inputs, attributes }) => wasm.supports(op, inputs, attributes),
  },
  { name: 'WebGPU', kernelNames: new Set(webgpuKernels), runsLoops: () => false },
];

function page(): string {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .toSorted()
    .map((file) => ({ file, code: readFileSync(path.join(sources, file), 'utf8') }));
  const summaries = opSummaries(opTable.keys(), files);
  const rows = [...opTable.values()].map((op) => {
    const opCase = opCases[op.name];
    if (!opCase) throw new Error(`${op.name} has no case in testing/op-cases: add one`);
    const stem = op.name.replace(/Backward$/, '');
    return rowOf(
      {
        op,
        summary: summaries.get(op.name)!,
        applications: fc.sample(opCase.invocations({ values: 'ordinary', maxLength: 3 }), sampling),
        backwardOf: stem !== op.name && opTable.has(stem) ? stem : undefined,
      },
      backends,
    );
  });
  return opsPage(columns(backends), rows);
}

/** Says where the file differs, for a person who wonders why. */
function firstDifference(written: string, wanted: string): string {
  const [left, right] = [written.split('\n'), wanted.split('\n')];
  const line = right.findIndex((text, i) => text !== left[i]);
  const at = line < 0 ? right.length : line;
  return `line ${at + 1} is\n  ${left[at] ?? '(missing)'}\nand should be\n  ${right[at] ?? '(missing)'}`;
}

const [mode, ...others] = process.argv.slice(2);
if (others.length > 0 || (mode !== undefined && mode !== '--check')) {
  console.error('Usage: node scripts/ops-table.ts [--check]');
  process.exitCode = 2;
} else if (mode === undefined) {
  writeFileSync(target, page());
} else {
  const written = existsSync(target) ? readFileSync(target, 'utf8') : '';
  const wanted = page();
  if (written !== wanted) {
    console.error(`docs/ops.md is stale: \`pnpm ops-table\` writes it anew.\n${firstDifference(written, wanted)}`);
    process.exitCode = 1;
  }
}
