/** `mindseye eval`: accuracy on a task with its interval, per-sample records, and the audit of the latents. */
import {
  CONDITIONS,
  type Condition,
  type EvaluationSummary,
  SPLITS,
  type Shard,
  type Split,
  evaluate,
  runHeader,
  tasks,
} from '@mindseye/eval';
import { type RecordLog, openRecordLog } from '@mindseye/eval/node';
import { Command, Option } from 'commander';
import { audit } from '../eval/audit.js';
import { openNewRecords } from '../eval/records.js';
import { breathe } from '../shared/breathe.js';
import { openNamedDevice } from '../shared/device.js';
import { InterruptedError, UsageError } from '../shared/errors.js';
import { examplesOf } from '../shared/help.js';
import { openLatentModel } from '../shared/model.js';
import { deviceOption, integer, jsonOption, shard } from '../shared/options.js';
import { startProgress } from '../shared/progress.js';
import { answerBudget, latentSolver } from '../shared/solver.js';
import type { Terminal } from '../shared/terminal.js';
