/** Forms kept beside roots: made at the second run, gone with the value, never more than their share. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WasmBuffer } from '../../src/device/device-memory.js';
import { Heap } from '../../src/device/heap.js';
import { KeptForms } from '../../src/device/kept-forms.js';
import { boundedMemory } from './support.js';

const root = (): WasmBuffer => new WasmBuffer(0, 64);

/** One run that asks for a form of 100 bytes of each root. */
function run(forms: KeptForms, roots: readonly WasmBuffer[], succeeds = true): ReturnType<KeptForms['ask']>[] {
  forms.beginRun();
  const given = roots.map((each) => forms.ask(each, 'packed', 100));
  forms.endRun(succeeds);
  return given;
}

test('nothing for a value that is used once; then a room to write, then what was written', () => {
  const forms = new KeptForms(new Heap(boundedMemory(2 ** 20)), 1000);
  const weight = root();
  expect(run(forms, [weight, weight])).toEqual([undefined, undefined]);
  const [fresh] = run(forms, [weight]);
  expect(fresh).toMatchObject({ fresh: true });
  expect(run(forms, [weight])).toEqual([{ pointer: fresh!.pointer, fresh: false }]);
  forms.drop(weight);
  expect(forms.byteLength).toBe(0);
  expect(run(forms, [weight])).toEqual([undefined]);
});

test('what a failed run may not have written is fresh again', () => {
  const forms = new KeptForms(new Heap(boundedMemory(2 ** 20)), 1000);
  const weight = root();
  run(forms, [weight]);
  expect(run(forms, [weight], false)[0]).toMatchObject({ fresh: true });
  expect(run(forms, [weight])[0]).toMatchObject({ fresh: true });
  expect(run(forms, [weight])[0]).toMatchObject({ fresh: false });
});

test('in any order of runs, forms of one run lie apart and all forms within their share; the heap gets all back', () => {
  const runs = fc.array(fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 5 }), { maxLength: 40 });
  const property = fc.property(runs, (list) => {
    const heap = new Heap(boundedMemory(2 ** 20));
    const forms = new KeptForms(heap, 350);
    const roots = Array.from({ length: 10 }, root);
    for (const asked of list) {
      const given = run(
        forms,
        asked.map((i) => roots[i]!),
      ).flatMap((form) => (form ? [form.pointer] : []));
      expect(new Set(given).size).toBe(given.length);
      expect(forms.byteLength).toBeLessThanOrEqual(350);
    }
    for (const each of roots) forms.drop(each);
    expect(heap.usedBytes).toBe(0);
  });
  fc.assert(property);
});
