import type { Method } from '../method.js';
import { livr } from './livr.js';
import { sft } from './sft.js';

/** Every method by name. A new one is a file beside these and a row here. */
export const methods: Readonly<Record<string, Method>> = { livr, sft };
