/** The process of one subject: opens it, says so, then answers one request after another. */
import type { OpenSubject, Reply, Request, Subject } from './subject.ts';

const [module, options] = process.argv.slice(2) as [string, string];

const reply = (message: Reply): void => {
  process.send!(message);
};

async function answer(work: () => Promise<unknown>): Promise<void> {
  try {
    reply({ value: ((await work()) ?? null) as Extract<Reply, { value: unknown }>['value'] });
  } catch (error) {
    reply({ error: error instanceof Error ? error.message : String(error) });
  }
}

let subject: Subject | undefined;
await answer(async () => {
  const { open } = (await import(module)) as { open: OpenSubject };
  subject = await open(JSON.parse(options));
});

process.on('message', ({ call }: Request) => {
  void answer(() => subject![call]());
});
