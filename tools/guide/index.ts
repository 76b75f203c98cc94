export { type GuideFiles } from './install.ts';
export { type OutputUnder, describeGuide } from './describe.ts';
