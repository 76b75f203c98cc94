/** Placeholder of the fusion pass until it lands: the program as it is. */
import type { Device } from '../device.js';
import type { Program } from '../plan/program.js';

export const fuseProgram = (program: Program, _device: Pick<Device, 'supports' | 'limits'>): Program => program;
