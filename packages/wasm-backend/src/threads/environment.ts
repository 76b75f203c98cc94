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

/** Whether this thread may block on `Atomics.wait`: the main thread of a page may not. */
export const canBlock = (): boolean => nodeProcess?.getBuiltinModule !== undefined || typeof document === 'undefined';

/** Processors that this process may use; 1 where the host does not say. */
export const processors = (): number =>
  (globalThis as { readonly navigator?: { readonly hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ??
  1;

/** Statements with which a thread's script receives messages as `receive(message)`. */
const LISTENING = {
  node: `require('worker_threads').parentPort.on('message', receive);`,
  browser: `self.onmessage = ({ data }) => receive(data);`,
} as const;

/**
 * Starts a thread; undefined where the host has none. It does not keep the process alive.
 *
 * @param source a script that declares a function `receive(message)`.
 */
export function startThread(source: string, { ended }: ThreadEvents): Thread | undefined {
  const node = builtin('worker_threads');
  if (node) {
    const worker = new node.Worker(`${source}\n${LISTENING.node}`, {
      eval: true,
      name: 'mindseye-wasm',
      execArgv: [],
    });
    worker.on('error', (error) => ended(error.message));
    worker.on('exit', (code) => ended(`exit code ${code}`));
    worker.unref();
    return { post: (message) => worker.postMessage(message), end: () => void worker.terminate() };
  }
  if (typeof Worker === 'undefined' || typeof URL.createObjectURL !== 'function') return undefined;
  const url = URL.createObjectURL(new Blob([`${source}\n${LISTENING.browser}`], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'mindseye-wasm' });
  // A page's content security policy may forbid scripts from blobs; that arrives here too.
  worker.addEventListener('error', (event) => ended(event.message || 'the script could not be started'));
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
