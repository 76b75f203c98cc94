/** The nest without a reduction: outer loops, then one pass over the innermost; outputs are written from front to back. */
import { forEachVector } from '../kernels/vector-loop.js';
import { walk } from './walk.js';
import {
  type Writing,
  innermostCount,
  levelsOf,
  passOver,
  positions,
  sectionPointers,
  storeAll,
  unrollOf,
  writerOf,
} from './writing.js';

export function writeMap(writing: Writing): void {
  const { map, results } = writing.expression;
  const pointers = sectionPointers(writing, 'map', map);
  const pass = passOver(writing, { pointers, outputs: positions(results), runsOn: true });
  const writer = writerOf(writing, 'map', pass.access);
  const loop = { ...pass.loop, count: innermostCount(writing), unroll: unrollOf(writing) };
  walk(writing.f, levelsOf(writing, 'kept', [pointers]), () => {
    pass.reset();
    writer.writeFixed();
    forEachVector(writing.f, loop, (lanes) => {
      writer.write(lanes);
      storeAll(writer, results, pass.outputs, lanes);
    });
  });
}
