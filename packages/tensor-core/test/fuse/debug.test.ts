import { it } from 'vitest';
import { lowerGraph } from '../../src/plan/lower.js';
import { fuseProgram } from '../../src/fuse/fuse.js';
import { explainExpression } from '../../src/fuse/explain.js';
import { placeholder } from '../../src/tensor.js';
import { add, slice, vectorJacobianProduct, full, Tensor, neg, broadcastTo, rmsNorm, checkpoint } from '../../src/index.js';
import { graphLoss, buildGraph, seededValue } from '../../src/testing/index.js';
import { peakOf } from '../../src/plan/schedule.js';
import { lifetimesOf, storageOf, byteLengthOf } from '../../src/plan/storage.js';
import { graphRules } from '../../src/testing/graph-rules.js';
import { runProgram } from './support.js';
const R = (name: string) => graphRules.findIndex((r) => r.name === name);
const show = (p: any) => {
  const st = storageOf(p); const { born, dies } = lifetimesOf(p, st);
  const sp = (v: number) => `%${v}:${p.values[v].dtype}[${p.values[v].shape}]${st[v]!.owner !== v ? '@' + st[v]!.owner : ''}`;
  p.steps.forEach((s: any, i: number) => {
    let live = 0; p.values.forEach((v: any, k: number) => { if (born[k]! >= 0 && born[k]! <= i && dies[k]! >= i) live += byteLengthOf(v); });
    console.log(i, s.outputs.map(sp).join(), '=', s.op.name === 'fusedExpression' ? explainExpression(s.attributes) : s.op.name, s.inputs.map(sp).join(' '), s.recomputed ? 'R' : '', 'live', live);
  });
  console.log('out', p.outputs.join(), peakOf(p));
};
it('a', () => {
  const recipe: any = { inputs: [seededValue([4], 'f32', 'ordinary', 1)], steps: [
    { rule: R('slice'), operands: [0,0,0], choice: 3 }, { rule: R('add'), operands: [3,0,0], choice: 0 }, { rule: R('add'), operands: [5,10,0], choice: 0 }] };
  const inputs = [placeholder({ shape: [4], dtype: 'f32' })];
  const values = buildGraph(recipe, inputs);
  const loss = graphLoss(values);
  const outputs = [values.at(-1)!, loss, ...vectorJacobianProduct([loss], inputs, [full([], 1)])];
  const device = { name: 't', supports: (op: any) => op.name === 'fusedExpression' || op.decompose === undefined };
  const program = lowerGraph({ outputs, inputs, device, simplifies: false });
  show(program);
  show(fuseProgram(program, device));
});
it('b', () => {
  const recipe: any = { inputs: [seededValue([], 'f32', 'ordinary', 1), seededValue([], 'f32', 'ordinary', 2)], steps: [
    { block: [{ rule: R('broadcastTo'), operands: [0,0,0], choice: 0 }], operands: [0,0,0] }, { rule: R('neg'), operands: [1,0,0], choice: 0 }, { rule: R('neg'), operands: [0,0,0], choice: 0 },
   { rule: R('rmsNorm'), operands: [0,12,0], choice: 0 }, { rule: R('neg'), operands: [0,0,0], choice: 0 }] };
  const inputs = recipe.inputs.map(() => placeholder({ shape: [], dtype: 'f32' }));
  const values = buildGraph(recipe, inputs);
  const loss = graphLoss(values);
  const outputs = [values.at(-1)!, loss, ...vectorJacobianProduct([loss], inputs, [full([], 1)])];
  const device = { name: 't', supports: (op: any, _: any, a: any) => op.name === 'fusedExpression' ? a.map.length % 2 !== 1 : op.decompose === undefined };
  const program = lowerGraph({ outputs, inputs, device });
  show(program);
  const fused = fuseProgram(program, device);
  show(fused);
  console.log(runProgram(program, recipe.inputs).map((x) => x.data), runProgram(fused, recipe.inputs).map((x) => x.data));
});
