/** The page's end of the worker: calls as promises. */
import type { CallName, Calls, ReplyMessage } from './protocol.js';

/** The worker was stopped before it answered. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';
}

interface Pending {
  readonly event: (event: never) => void;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerClient {
  readonly #worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'model' });
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;

  constructor() {
    this.#worker.addEventListener('message', ({ data }: MessageEvent<ReplyMessage>) => this.#receive(data));
    this.#worker.addEventListener('error', ({ message }) => {
      this.#rejectAll(new Error(`the worker failed: ${message || 'its script could not be loaded'}; reload the page`));
    });
  }

  /** @param onEvent told of each event before the result */
  call<K extends CallName>(
    call: K,
    request: Calls[K]['request'],
    onEvent: (event: Calls[K]['event']) => void = () => undefined,
  ): Promise<Calls[K]['result']> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { event: onEvent, resolve, reject });
      this.#worker.postMessage({ id, call, request });
    });
  }

  /** Ends the worker, and all that it holds, at once. Calls under way reject with `StoppedError`. */
  stop(): void {
    this.#worker.terminate();
    this.#rejectAll(new StoppedError('stopped'));
  }

  #receive(message: ReplyMessage): void {
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    if ('event' in message) return pending.event(message.event as never);
    this.#pending.delete(message.id);
    if ('result' in message) pending.resolve(message.result as never);
    else pending.reject(new Error(message.error));
  }

  #rejectAll(error: Error): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) reject(error);
  }
}
