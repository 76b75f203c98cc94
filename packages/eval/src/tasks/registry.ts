/** The table of tasks. Adding a task is adding a file and a row. */
import { counting } from './counting.js';
import { perception, perceptionTasks } from './perception.js';
import type { TaskDefinition } from './task.js';

/** Every task by name. */
export const tasks: Readonly<Record<string, TaskDefinition>> = Object.fromEntries(
  [counting, perception, ...perceptionTasks].map((task) => [task.name, task]),
);

/** The task of that name. Throws a RangeError that lists the names there are. */
export function getTask(name: string): TaskDefinition {
  const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined;
  if (task === undefined) {
    throw new RangeError(`there is no task "${name}"; choose one of ${Object.keys(tasks).join(', ')}`);
  }
  return task;
}
