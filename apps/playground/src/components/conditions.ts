/** The ways to answer, in the order of the switch. */
import type { Condition } from '../worker/protocol.js';

export interface ConditionText {
  readonly condition: Condition;
  readonly label: string;
  readonly explanation: string;
  readonly hasMap: boolean;
  /** What is said of the heat map. */
  readonly map: string;
}

export const conditions: readonly ConditionText[] = [
  {
    condition: 'standard',
    label: 'Standard',
    explanation: 'The latents stand after the question, and the answer sees everything.',
    hasMap: true,
    map: 'Where the latents looked',
  },
  {
    condition: 'no-latents',
    label: 'Latents removed',
    explanation: 'The answer has to do without the latents; every other token keeps its position.',
    hasMap: false,
    map: 'Without latents there is no map',
  },
  {
    condition: 'bottleneck',
    label: 'Bottleneck',
    explanation: 'Only the latents see the picture; the answer knows of it through them alone.',
    hasMap: true,
    map: 'Where the latents looked',
  },
];
