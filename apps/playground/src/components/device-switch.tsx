import type { JSX } from 'preact';
import type { State } from '../state/state.js';
import type { DeviceName } from '../worker/protocol.js';
import type { ViewProps } from './view.js';

interface DeviceText {
  readonly device: DeviceName;
  readonly label: string;
  readonly hint: (state: State) => string;
}

const deviceTexts: readonly DeviceText[] = [
  { device: 'wasm', label: 'CPU (WebAssembly)', hint: () => 'Works in every browser.' },
  {
    device: 'webgpu',
    label: 'GPU (WebGPU)',
    hint: ({ hasWebGpu }) =>
      hasWebGpu === null
        ? 'Looking for a GPU…'
        : hasWebGpu
          ? 'This browser offers a GPU.'
          : 'This browser offers no GPU.',
  },
];

/** What the model runs on. Another choice opens the model again there. */
export function DeviceSwitch({ state, actions }: ViewProps): JSX.Element {
  return (
    <fieldset class="switch">
      <legend>Device</legend>
      {deviceTexts.map(({ device, label, hint }) => (
        <label key={device} class="choice">
          <input
            type="radio"
            name="device"
            value={device}
            checked={device === state.device}
            disabled={device === 'webgpu' && state.hasWebGpu !== true}
            onChange={() => void actions.chooseDevice(device)}
          />
          <span>{label}</span>
          <span class="hint">{hint(state)}</span>
        </label>
      ))}
    </fieldset>
  );
}
