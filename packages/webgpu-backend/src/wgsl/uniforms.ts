/**
 * The sizes and numbers of one dispatch.
 *
 * A kernel's source names only *places* (`u[0].x`), the values go into a uniform block. So two applications of an op that
 * differ in sizes alone share one shader, and one pipeline.
 */
const lanes = ['x', 'y', 'z', 'w'] as const;

const scratch = new DataView(new ArrayBuffer(4));

/** The bits of a number rounded to f32. */
function bitsOfF32(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

export class Uniforms {
  readonly words: number[] = [];

  /** The WGSL expression of an unsigned number; negative ones wrap, so that offsets may add up to less. */
  u32(value: number): string {
    const at = this.words.push(value >>> 0) - 1;
    return `u[${at >> 2}].${lanes[at & 3]}`;
  }

  i32(value: number): string {
    return `bitcast<i32>(${this.u32(value)})`;
  }

  /** Numbers travel as bits, because WGSL has no literal for NaN or an infinity. */
  f32(value: number): string {
    return `bitcast<f32>(${this.u32(bitsOfF32(value))})`;
  }

  /** Size of the block in `vec4u`, at least one. */
  get vectors(): number {
    return Math.max(1, Math.ceil(this.words.length / 4));
  }
}
