import type { Device } from '../device.js';
import type { LoweredProgram } from './lower.js';

export const recognise = (program: LoweredProgram, _device: Pick<Device, 'supports'>): LoweredProgram => program;
