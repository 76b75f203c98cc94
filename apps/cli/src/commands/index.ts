/** The table of commands, in the order of the help text. Adding one is adding a file and a row. */
import type { Command } from 'commander';
import type { Terminal } from '../shared/terminal.js';
import { askCommand } from './ask.js';
import { demoCommand } from './demo.js';
import { doctorCommand } from './doctor.js';
import { evalCommand } from './eval.js';
import { initCommand } from './init.js';
import { mergeCommand } from './merge.js';
import { quantizeCommand } from './quantize.js';
import { inspectCommand } from './inspect.js';
import { trainCommand } from './train.js';

export const commands: readonly ((terminal: Terminal) => Command)[] = [
  demoCommand,
  askCommand,
  trainCommand,
  evalCommand,
  mergeCommand,
  quantizeCommand,
  initCommand,
  inspectCommand,
  doctorCommand,
];
