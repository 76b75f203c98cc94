/** What an adapter says about itself. No WebGPU types here, so that the package's declarations need no DOM library. */

/** What was opened, for `doctor` and bug reports. */
export interface AdapterReport {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** True for a software or compatibility adapter. */
  readonly isFallback: boolean;
  /** Optional WebGPU features the adapter offers, sorted. None of them is needed. */
  readonly features: readonly string[];
  readonly limits: Readonly<Record<LimitName, number>>;
}

export const limitNames = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
] as const;

export type LimitName = (typeof limitNames)[number];

export interface AdapterOptions {
  /** `low-power` picks the integrated GPU of a laptop. */
  readonly powerPreference?: 'low-power' | 'high-performance';
  /** Node only: part of the name of the adapter to use, when there are several. */
  readonly adapter?: string;
  /** Lower limits than the adapter's, to see a program run as on a smaller one. */
  readonly limits?: Partial<Readonly<Record<LimitName, number>>>;
}
