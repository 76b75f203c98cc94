/**
 * Lets the event loop turn. Computation on the CPU resolves promises without ever waiting, so that, without a pause now and
 * then, no signal is heard and no collected tensor gives its memory back.
 */
import { setImmediate } from 'node:timers/promises';

export const breathe = (): Promise<void> => setImmediate(undefined);
