/**
 * `pnpm mindseye …`: builds the command quietly, then runs it as the user typed it.
 *
 * The command runs in the directory the user was in (pnpm moves to the repository root and keeps the original in
 * INIT_CWD), owns stdout (build output is shown only when the build fails), and its exit code is passed on.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const build = spawnSync('turbo', ['run', 'build', '--filter=@mindseye/cli', '--output-logs=errors-only'], {
  cwd: root,
  encoding: 'utf8',
  shell: process.platform === 'win32',
});
if (build.status !== 0) {
  process.stderr.write(
    build.error
      ? `mindseye: cannot run turbo (${build.error.message}); run it through pnpm\n`
      : build.stdout + build.stderr,
  );
  process.exit(1);
}

const main = path.join(root, 'apps/cli/dist/main.js');
const cwd = process.env['INIT_CWD'] ?? process.cwd();
const run = spawnSync(process.execPath, [main, ...process.argv.slice(2)], { cwd, stdio: 'inherit' });
process.exit(run.status ?? 1);
