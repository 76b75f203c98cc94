/** The parts of @mindseye/eval that need Node: record files on disk. */
export * from './node/record-log.js';
