/**
 * Kernels that are emitted and compiled family by family, each when one of its methods is first asked for: a program pays for
 * what it uses, and a method is a plain function from then on.
 */
import { FAMILIES, type FamilyName, type KernelMethods, familyNames } from './families.js';
import { type ExportedKernel, KernelHost } from './host.js';

/** Stands in for a module to find out what a family's methods are called. */
class NamingHost extends KernelHost {
  override kernel(): ExportedKernel {
    return () => 0;
  }
}

let known: ReadonlyMap<FamilyName, readonly string[]> | undefined;

function methodNames(): ReadonlyMap<FamilyName, readonly string[]> {
  if (known) return known;
  const host = new NamingHost(new WebAssembly.Memory({ initial: 0 }), {}, 'simd128');
  return (known = new Map(familyNames.map((name) => [name, Object.keys(FAMILIES[name].bind(host))])));
}

/**
 * Adds the methods of all families to `target`.
 *
 * @param hostOf instantiates a family's module; called once for each family that is used.
 */
export function addLazyKernels<Target extends object>(
  target: Target,
  hostOf: (family: FamilyName) => KernelHost,
): Target & KernelMethods {
  for (const [family, names] of methodNames()) {
    const bind = (): void => {
      const methods = FAMILIES[family].bind(hostOf(family)) as unknown as Readonly<Record<string, unknown>>;
      for (const name of names) Object.defineProperty(target, name, { value: methods[name], enumerable: true });
    };
    for (const name of names)
      Object.defineProperty(target, name, {
        configurable: true,
        enumerable: true,
        get(): unknown {
          bind();
          return (target as Readonly<Record<string, unknown>>)[name];
        },
      });
  }
  return target as Target & KernelMethods;
}
