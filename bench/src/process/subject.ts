/** What is measured: an engine at work, in a process of its own, so that engines share neither heap, flags nor compiler state. */

/** Plain JSON. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Milliseconds (or another unit, named by the metric) of one repetition. */
export type Sample = Readonly<Record<string, number>>;

export interface Subject {
  /** Does the work and says how long it took, metric by metric. The first call warms up. */
  sample(): Promise<Sample>;
  /** Anything else worth keeping, asked for after the rounds. */
  details(): Promise<Readonly<Record<string, Json>>>;
}

/** What a subject's module exports as `open`. */
export type OpenSubject<Options extends Json = Json> = (options: Options) => Promise<Subject>;

export interface SubjectSpec {
  readonly name: string;
  /** URL of a module that exports `open`. */
  readonly module: URL;
  readonly options: Json;
}

export type Request = { readonly call: 'sample' | 'details' };
export type Reply = { readonly value: Json } | { readonly error: string };
