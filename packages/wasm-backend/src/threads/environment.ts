/**
 * What the JavaScript host offers around WebAssembly: processors, threads, and V8's switches.
 *
 * Node's built-in modules are asked for at run time, so that this file has no imports and a browser's bundle nothing of Node.
 * What a host lacks is undefined here, and callers do without.
 */

/** A thread that runs a script. */
export interface Thread {
  post(message: unknown): void;
  /** Ends it now. */
  end(): void;
}

export interface ThreadEvents {
  /** The thread could not start, failed, or ended before `end` was called. */
  readonly ended: (reason: string) => void;
}

interface NodeWorker {
  postMessage(message: unknown): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'exit', listener: (code: number) => void): void;
  unref(): void;
  terminate(): Promise<number>;
}

interface NodeModules {
  readonly worker_threads: {
    readonly Worker: new (source: string, options: { eval: true; name: string; execArgv: string[] }) => NodeWorker;
  };
  readonly v8: { setFlagsFromString(flag: string): void };
  readonly buffer: { isUtf8(bytes: Uint8Array): boolean };
}

interface NodeProcess {
  readonly arch: string;
  readonly execArgv: readonly string[];
  getBuiltinModule?<Name extends keyof NodeModules>(name: Name): NodeModules[Name] | undefined;
}

const nodeProcess = (globalThis as { readonly process?: NodeProcess }).process;

const builtin = <Name extends keyof NodeModules>(name: Name): NodeModules[Name] | undefined =>
  nodeProcess?.getBuiltinModule?.(name);

/** Whether memory can be shared between threads: everywhere in Node, in browsers on isolated pages. */
export const canShareMemory = (): boolean => typeof SharedArrayBuffer !== 'undefined';

/**
 * Whether this thread may block on `Atomics.wait`. The main thread of a page may not, nor may service workers; Node's threads
 * and the workers of pages may.
 */
export function canBlock(): boolean {
  if (typeof document !== 'undefined' || !canShareMemory()) return false;
  try {
    // The word is not 1, so this never waits; where waiting is forbidden it throws before it looks.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

/** Whether threads start while the one that wants them is blocked: Node's do, a page's need its event loop. */
export const startsWhileBlocked = (): boolean => builtin('worker_threads') !== undefined;

/** Processors that this process may use; 1 where the host does not say. */
export const processors = (): number =>
  (globalThis as { readonly navigator?: { readonly hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ??
  1;

/** What threads are called in the tools of the host. */
const NAME = 'mindseye-wasm';

/** Statements with which a thread's script receives messages as `receive(message)`. */
const LISTENING = {
  node: `require('worker_threads').parentPort.on('message', receive);`,
  browser: `self.onmessage = ({ data }) => receive(data);`,
} as const;

/**
 * Starts a thread; undefined where the host has none or refuses. It does not keep the process alive.
 *
 * @param source a script that declares a function `receive(message)`.
 */
export function startThread(source: string, events: ThreadEvents): Thread | undefined {
  try {
    return builtin('worker_threads') ? nodeThread(source, events) : browserThread(source, events);
  } catch (error) {
    // Permissions of the process, the limit of threads, or a page's policy.
    events.ended(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function nodeThread(source: string, { ended }: ThreadEvents): Thread {
  const { Worker: NodeThread } = builtin('worker_threads')!;
  const worker = new NodeThread(`${source}\n${LISTENING.node}`, { eval: true, name: NAME, execArgv: [] });
  worker.on('error', (error) => ended(error.message));
  worker.on('exit', (code) => ended(`exit code ${code}`));
  worker.unref();
  return { post: (message) => worker.postMessage(message), end: () => void worker.terminate() };
}

function browserThread(source: string, { ended }: ThreadEvents): Thread | undefined {
  if (typeof Worker === 'undefined' || typeof URL.createObjectURL !== 'function') return undefined;
  const url = URL.createObjectURL(new Blob([`${source}\n${LISTENING.browser}`], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: NAME });
  // A page's content security policy may forbid scripts from blobs; that arrives here too.
  worker.addEventListener('error', (event) => ended(event.message || 'the script of a thread could not be started'));
  return {
    post: (message) => worker.postMessage(message),
    end() {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
}

/**
 * Runs `body` with V8 switches set, and resets them. A switch is the pair of its setting and its default.
 *
 * @returns undefined where the host cannot set switches: `body` has not run then.
 */
export function withEngineSwitches<Result>(
  switches: readonly (readonly [set: string, reset: string])[],
  body: () => Result,
): Result | undefined {
  const v8 = builtin('v8');
  if (!v8 || nodeProcess?.arch !== 'x64') return undefined;
  // A switch that the user has set on the command line stays as it is.
  const own = switches.filter(([set]) => !nodeProcess.execArgv.includes(set));
  for (const [set] of own) v8.setFlagsFromString(set);
  try {
    return body();
  } finally {
    for (const [, reset] of own) v8.setFlagsFromString(reset);
  }
}

const NOTHING = new Uint8Array(8);

/**
 * Clears the upper halves of the vector registers; undefined where that is not needed.
 *
 * V8 does not clear them when 256-bit WebAssembly returns, and on Intel processors every switch from such code to the engine's own,
 * which is compiled for 128 bits, then costs some hundred nanoseconds. A native function of Node's that ends with clean
 * registers costs thirty.
 */
export function registerCleaner(): (() => void) | undefined {
  const buffer = nodeProcess?.arch === 'x64' ? builtin('buffer') : undefined;
  return buffer && (() => void buffer.isUtf8(NOTHING));
}
