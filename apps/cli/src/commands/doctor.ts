/** `mindseye doctor`: what this machine has, and whether what it has computes right. */
import { Command } from 'commander';
import { findDevices, inspectMachine } from '../doctor/machine.js';
import { type SelfTestResult, selfTest } from '../doctor/self-test.js';
import { CommandError, oneLine } from '../shared/errors.js';
import { examplesOf } from '../shared/help.js';
import { jsonOption } from '../shared/options.js';
import type { Colors, Terminal } from '../shared/terminal.js';
import { version } from '../shared/version.js';

interface DeviceReport {
  readonly name: string;
  readonly found: boolean;
  readonly detail: string;
  /** Empty where there is no device. */
  readonly tests: readonly SelfTestResult[];
}

export function doctorCommand(terminal: Terminal): Command {
  return new Command('doctor')
    .description('look at this machine and test its devices')
    .addOption(jsonOption())
    .addHelpText('after', examplesOf('mindseye doctor', 'mindseye doctor --json'))
    .action(async ({ json }: { readonly json?: true }) => {
      const machine = await inspectMachine(version);
      const devices: DeviceReport[] = [];
      for (const { device, ...finding } of await findDevices())
        devices.push({ ...finding, tests: device ? await selfTest(device) : [] });
      const failed = devices.filter(({ tests }) => tests.some(({ passed }) => !passed)).map(({ name }) => name);
      const passed = failed.length === 0;
      if (json) terminal.print(JSON.stringify({ passed, machine, devices }));
      else {
        const { colors } = terminal;
        for (const { name, found, detail } of machine)
          terminal.print(line(colors, found ? 'ok' : 'absent', name, detail));
        for (const report of devices) for (const text of deviceLines(report, colors)) terminal.print(text);
      }
      if (!passed) throw new CommandError(`the self-test failed on ${failed.join(', ')}; choose another --device`);
    });
}

const paints: Readonly<Record<'ok' | 'absent' | 'FAILED', keyof Pick<Colors, 'green' | 'yellow' | 'red'>>> = {
  ok: 'green',
  absent: 'yellow',
  FAILED: 'red',
};

function line(colors: Colors, state: keyof typeof paints, name: string, detail: string): string {
  return `${colors[paints[state]](state.padEnd(6))}  ${name.padEnd(10)} ${oneLine(detail)}`;
}

function deviceLines({ name, found, detail, tests }: DeviceReport, colors: Colors): string[] {
  if (!found) return [line(colors, 'absent', name, detail)];
  const wrong = tests.filter(({ passed }) => !passed);
  const worst = Math.max(0, ...tests.map(({ difference }) => difference ?? 0));
  const outcome =
    wrong.length === 0
      ? `${tests.length} tests passed, greatest difference ${worst.toExponential(1)}`
      : `${wrong.length} of ${tests.length} tests failed`;
  const details = wrong.map(({ name: test, difference, message }) =>
    line(colors, 'FAILED', name, `${test}: ${message ?? `off by ${difference}`}`),
  );
  return [line(colors, wrong.length === 0 ? 'ok' : 'FAILED', name, `${detail}; ${outcome}`), ...details];
}
