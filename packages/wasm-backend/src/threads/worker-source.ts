/**
 * The script of a thread. It is text because it runs where nothing of this package is loaded: all it needs comes in messages.
 *
 * Its first message holds the shared words, each later one a module to instantiate; the exported functions of all modules, in
 * order, are the kernels. Between messages it serves: it waits for a job, draws parts until none is left, and waits again.
 * While it waits it spins for some microseconds and then sleeps. To receive a message it returns to its event loop. A part of
 * a kernel whose message it has not received, it gives back.
 */
import { type Control, RETURNED, WORD } from './control.js';

/** How long a thread looks for the next job before it sleeps, in milliseconds: steps of a plan follow each other sooner. */
const SPIN_MILLISECONDS = 0.05;

/** The first message. */
export interface StartMessage extends Control {
  /** The thread's number among the helpers, from 0. */
  readonly slot: number;
}

export interface InstallMessage {
  readonly module: WebAssembly.Module;
  readonly imports: Readonly<Record<string, WebAssembly.Memory>>;
}

export const threadSource: string = `
'use strict';
const WORD = ${JSON.stringify(WORD)};
const kernels = [];
let words, values, reason, slot, received = 0, ready = false;

function receive(message) {
  if (message.words) ({ words, values, reason, slot } = message);
  else install(message);
  received += 1;
  // Others are on their way.
  if (received < Atomics.load(words, WORD.messages)) return;
  if (!ready) {
    Atomics.add(words, WORD.ready, 1);
    Atomics.notify(words, WORD.ready);
  }
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
    seen = awaitChange(seen);
    if (Atomics.load(words, WORD.messages) !== received) return;
    work();
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
  for (;;) {
    const left = Atomics.sub(words, WORD.left, 1);
    if (left <= 0) return;
    const parts = Atomics.load(words, WORD.parts);
    const part = parts - left;
    const kernel = kernels[Atomics.load(words, WORD.kernel)];
    if (!kernel) {
      Atomics.store(words, WORD.returned + slot, part + 1);
      Atomics.add(words, WORD.progress, ${RETURNED});
      Atomics.notify(words, WORD.progress);
      return;
    }
    const count = Atomics.load(words, WORD.values);
    try {
      Reflect.apply(kernel, undefined, values.subarray(part * count, (part + 1) * count));
    } catch (error) {
      if (Atomics.compareExchange(words, WORD.failed, 0, 1) === 0) describe(error);
    }
    const progress = Atomics.add(words, WORD.progress, 1) + 1;
    if (progress % ${RETURNED} === parts) {
      Atomics.notify(words, WORD.progress);
      return;
    }
  }
}

function describe(error) {
  const text = String(error);
  for (let i = 0; i < reason.length; i += 1) reason[i] = i < text.length ? text.charCodeAt(i) : 0;
}
`;
