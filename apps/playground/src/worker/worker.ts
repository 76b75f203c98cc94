/** The worker: takes calls off its queue one after another and answers each with a result or one line of error. */
import { AnswerDesk } from './answer-desk.js';
import { errorLine } from './error-line.js';
import { lookUp } from './look-up.js';
import type { CallMessage, CallName, Handlers, ReplyMessage } from './protocol.js';
import { throttled } from './throttled.js';

const desk = new AnswerDesk();

const handlers: Handlers = {
  lookUp: (request) => lookUp(request),
  openModel: (request, emit) => desk.openModel(request, throttled(emit)),
  openPicture: (request) => desk.openPicture(request),
  ask: (request, emit) => desk.ask(request, emit),
};

const reply = (message: ReplyMessage): void => self.postMessage(message);

async function handle<K extends CallName>({ id, call, request }: CallMessage<K>): Promise<void> {
  try {
    reply({ id, result: await handlers[call](request, (event) => reply({ id, event })) });
  } catch (error) {
    reply({ id, error: errorLine(error) });
  }
}

let queue: Promise<void> = Promise.resolve();

self.addEventListener('message', ({ data }: MessageEvent<CallMessage>) => {
  queue = queue.then(() => handle(data));
});
