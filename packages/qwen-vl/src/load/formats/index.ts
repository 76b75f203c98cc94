/** The formats of packed matrices that are read, in the order they are recognised. */
import { awqFormat } from './awq.js';
import { compressedTensorsFormat } from './compressed-tensors.js';
import type { PackedFormat } from './format.js';
import { gptqFormat } from './gptq.js';
import { mlxFormat } from './mlx.js';

export const packedFormats: readonly PackedFormat[] = [awqFormat, gptqFormat, compressedTensorsFormat, mlxFormat];
