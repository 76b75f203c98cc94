/** A worker whose answers the test gives, one call at a time. */
import { StoppedError } from '../../src/worker/client.js';
import type { ModelWorker } from '../../src/state/actions.js';
import type { CallName, Calls } from '../../src/worker/protocol.js';

interface OpenCall {
  readonly call: CallName;
  readonly request: unknown;
  readonly onEvent: (event: never) => void;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

export class ScriptedWorker implements ModelWorker {
  isStopped = false;
  readonly #open: OpenCall[] = [];

  call<K extends CallName>(
    call: K,
    request: Calls[K]['request'],
    onEvent: (event: Calls[K]['event']) => void = () => undefined,
  ): Promise<Calls[K]['result']> {
    return new Promise((resolve, reject) => this.#open.push({ call, request, onEvent, resolve, reject }));
  }

  stop(): void {
    this.isStopped = true;
    for (const { reject } of this.#open.splice(0)) reject(new StoppedError('stopped'));
  }

  /** Calls that wait for an answer. */
  get waiting(): readonly CallName[] {
    return this.#open.map(({ call }) => call);
  }

  requestOf<K extends CallName>(call: K): Calls[K]['request'] {
    return this.#first(call).request as Calls[K]['request'];
  }

  async emit<K extends CallName>(call: K, event: Calls[K]['event']): Promise<void> {
    this.#first(call).onEvent(event as never);
    await settled();
  }

  async resolve<K extends CallName>(call: K, result: Calls[K]['result']): Promise<void> {
    this.#take(call).resolve(result as never);
    await settled();
  }

  async reject(call: CallName, message: string): Promise<void> {
    this.#take(call).reject(new Error(message));
    await settled();
  }

  #first(call: CallName): OpenCall {
    const found = this.#open.find((open) => open.call === call);
    if (!found) throw new Error(`no call ${call} waits; waiting: ${this.waiting.join(', ')}`);
    return found;
  }

  #take(call: CallName): OpenCall {
    const found = this.#first(call);
    this.#open.splice(this.#open.indexOf(found), 1);
    return found;
  }
}

/** Lets everything run that waits for a promise alone. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
