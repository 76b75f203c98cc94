/** A subject in its own process, driven over the process channel. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Json, Reply, Request, Sample, SubjectSpec } from './subject.ts';

/** Says what is missing or broken when a subject cannot be opened or fails at its work. */
export class SubjectError extends Error {
  override readonly name = 'SubjectError';
}

export class RemoteSubject {
  readonly name: string;
  readonly #child: ChildProcess;

  private constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#child = child;
  }

  /** @throws SubjectError when the subject's process cannot open it */
  static async open({ name, module, options }: SubjectSpec): Promise<RemoteSubject> {
    const child = fork(new URL('child.ts', import.meta.url), [module.href, JSON.stringify(options)], {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
      // Peers print banners; results go over the channel, so both streams are free for them.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const subject = new RemoteSubject(name, child);
    await subject.#reply();
    return subject;
  }

  async sample(): Promise<Sample> {
    return (await this.#call({ call: 'sample' })) as Sample;
  }

  async details(): Promise<Readonly<Record<string, Json>>> {
    return (await this.#call({ call: 'details' })) as Readonly<Record<string, Json>>;
  }

  close(): void {
    this.#child.kill();
  }

  async #call(request: Request): Promise<Json> {
    this.#child.send(request);
    return this.#reply();
  }

  async #reply(): Promise<Json> {
    const waiting = new AbortController();
    const ended = once(this.#child, 'exit', waiting).then(([code, signal]): Reply => ({
      error: `its process ended (${code ?? signal})`,
    }));
    const answered = once(this.#child, 'message', waiting).then(([message]) => message as Reply);
    const message = await Promise.race([answered, ended]);
    // The one that lost stops listening.
    waiting.abort();
    if ('value' in message) return message.value;
    this.close();
    throw new SubjectError(`${this.name}: ${message.error}`);
  }
}
