/**
 * The script of a thread. It is text because it runs where nothing of this package is loaded: all it needs comes in messages.
 *
 * Its first message holds the shared words, each later one a module to instantiate; the exported functions of all modules, in
 * order, are the kernels. Between messages it serves: it waits for a job, draws parts until none is left, and waits again.
 * While it waits it spins for some microseconds and then sleeps. To receive a message it returns to its event loop.
 */
import { WORD } from './control.js';

/** How long a thread looks for the next job before it sleeps, in milliseconds: steps of a plan follow each other sooner. */
const SPIN_MILLISECONDS = 0.05;

export interface InstallMessage {
  readonly module: WebAssembly.Module;
  readonly imports: Readonly<Record<string, WebAssembly.Memory>>;
}

export const threadSource: string = `
'use strict';
const WORD = ${JSON.stringify(WORD)};
const kernels = [];
let words, values, received = 0, ready = false;

function receive(message) {
  if (message.words) ({ words, values } = message);
  else install(message);
  received += 1;
  // Others are on their way.
  if (received < Atomics.load(words, WORD.messages)) return;
  if (!ready) Atomics.add(words, WORD.ready, 1);
  ready = true;
  serve();
}

function install({ module, imports }) {
  const env = { ...imports, sin: Math.sin, cos: Math.cos };
  const { exports } = new WebAssembly.Instance(module, { env });
  for (const { name, kind } of WebAssembly.Module.exports(module)) if (kind === 'function') kernels.push(exports[name]);
}

function serve() {
  let seen = -1;
  for (;;) {
    const generation = awaitChange(seen);
    if (Atomics.load(words, WORD.messages) !== received) return;
    seen = generation;
    Atomics.add(words, WORD.active, 1);
    work();
    Atomics.sub(words, WORD.active, 1);
  }
}

function awaitChange(seen) {
  const until = performance.now() + ${SPIN_MILLISECONDS};
  do {
    const generation = Atomics.load(words, WORD.generation);
    if (generation !== seen) return generation;
  } while (performance.now() < until);
  Atomics.wait(words, WORD.generation, seen);
  return Atomics.load(words, WORD.generation);
}

function work() {
  // The words of a job do not change while a thread is active, so these belong to any part drawn below.
  const kernel = kernels[Atomics.load(words, WORD.kernel)];
  // Its module is in a message that has not been received.
  if (!kernel) return;
  const parts = Atomics.load(words, WORD.parts);
  const count = Atomics.load(words, WORD.values);
  for (;;) {
    const part = Atomics.add(words, WORD.next, 1);
    if (part >= parts) return;
    try {
      Reflect.apply(kernel, undefined, values.subarray(part * count, (part + 1) * count));
    } catch {
      Atomics.store(words, WORD.failed, 1);
    }
    if (Atomics.add(words, WORD.finished, 1) + 1 === parts) Atomics.notify(words, WORD.finished);
  }
}
`;
