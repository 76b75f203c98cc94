/** The table of commands. Adding one is adding a file and a row. */
import type { Command } from 'commander';
import type { Terminal } from '../shared/terminal.js';
import { initCommand } from './init.js';
import { trainCommand } from './train.js';

export const commands: readonly ((terminal: Terminal) => Command)[] = [initCommand, trainCommand];
