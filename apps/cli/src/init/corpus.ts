/** The text that a tokenizer for a model from nothing is trained on: what the tasks ask and answer, and the chat's own words. */
import { tasks } from '@mindseye/eval';

const SAMPLES_PER_TASK = 300;

const CHAT: readonly string[] = ['system', 'user', 'assistant', 'You are a helpful assistant.'];

/** Lines of text; the same each time. */
export function* tokenizerCorpus(): Generator<string, void> {
  for (const task of Object.values(tasks)) {
    for (let index = 0; index < Math.min(SAMPLES_PER_TASK, task.splits.train); index++) {
      const { question, answer } = task.describe('train', index);
      yield question;
      yield answer;
      yield* CHAT;
    }
  }
}
