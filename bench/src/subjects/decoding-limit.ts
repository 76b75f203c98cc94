/**
 * What a token of the model of true shape would take if decoding only read its weights once: the decoder's matrices and the
 * head. The cache and all activations are left out.
 */
import { readThreads } from '../limits/read-threads.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { matrixBytesByPart } from '../scale/random-weights.ts';
import { DECODING, type ScaleOptions, shapeOf } from './scale.ts';

type LimitOptions = ScaleOptions & {
  readonly [key: string]: Json;
  readonly threads: number;
  readonly readBytes: number;
};

export const open: OpenSubject<LimitOptions> = async (options) => {
  const { decoder, table } = matrixBytesByPart(shapeOf(options), options.storage);
  const weightBytes = decoder + table;
  const limit = await readThreads(options.readBytes, options.threads);
  let bytesPerMillisecond = 0;
  return {
    async sample() {
      bytesPerMillisecond = options.readBytes / (await limit.pass());
      return { [DECODING]: weightBytes / bytesPerMillisecond };
    },
    details: () =>
      Promise.resolve({ threads: options.threads, weightBytes, gigabytesPerSecond: bytesPerMillisecond / 1e6 }),
  };
};
