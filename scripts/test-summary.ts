/**
 * Adds up the results that each workspace's test run left in .test-results/results.json (Vitest's JSON reporter; restored
 * by turbo when the run came from its cache) and ends with the one line `N passed, N failed`.
 *
 * Exits 1 when a test failed, a file could not be loaded, or a workspace that has a test script left no results: a run
 * that tested nothing must not look like one in which all went well.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { workspaces } from './workspaces.ts';

/** The fields of Vitest's JSON report that are read here. */
interface Report {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
}

let passed = 0;
let failed = 0;
const problems: string[] = [];

for (const { folder, name, scripts } of workspaces()) {
  if (!scripts['test']) continue;
  const file = path.join(folder, '.test-results', 'results.json');
  if (!existsSync(file)) {
    problems.push(`${name}: no test results at ${file}; run its tests`);
    continue;
  }
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  if (report.numPassedTests === 0) problems.push(`${name}: no test passed`);
  else if (!report.success && report.numFailedTests === 0) problems.push(`${name}: a test file or hook failed`);
  const skipped = report.numPendingTests > 0 ? `, ${report.numPendingTests} not for this platform` : '';
  console.log(`${name.padEnd(30)} ${report.numPassedTests} passed, ${report.numFailedTests} failed${skipped}`);
}

for (const problem of problems) console.error(problem);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || problems.length > 0 ? 1 : 0;
