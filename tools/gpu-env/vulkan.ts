/**
 * Software Vulkan for this process: Dawn (npm package `webgpu`) finds a Vulkan loader and the SwiftShader driver with no
 * system package and no LD_LIBRARY_PATH.
 *
 * Dawn opens `libvulkan.so.1` by name. A library of that name already in the process satisfies it, so the loader of
 * @sparticuz/chromium is mapped first with `process.dlopen`. It is no Node addon, so Node throws and closes it again;
 * RTLD_NODELETE keeps it mapped. The loader finds its driver through VK_DRIVER_FILES, which must be set in the main
 * thread: in a worker thread `process.env` is a copy that C code never sees (hence Vitest's `forks` pool).
 */
import os from 'node:os';
import path from 'node:path';
import { unpacked } from './unpack.ts';

/** dlfcn.h on Linux; `os.constants.dlopen` does not list it. */
const RTLD_NODELETE = 0x1000;

/**
 * Installs SwiftShader as this process's Vulkan driver, before Dawn is first used. Returns false, and changes nothing, where
 * the user has chosen a driver with VK_DRIVER_FILES or the platform is not Linux on x64.
 */
export async function useSoftwareVulkan(): Promise<boolean> {
  if (process.env['VK_DRIVER_FILES']) return false;
  const folder = await unpacked('swiftshader');
  if (folder === undefined) return false;
  process.env['VK_DRIVER_FILES'] = path.join(folder, 'vk_swiftshader_icd.json');
  const { RTLD_NOW, RTLD_GLOBAL } = os.constants.dlopen;
  try {
    process.dlopen({ exports: {} }, path.join(folder, 'libvulkan.so.1'), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch (error) {
    if (!/self-register/.test(String(error))) throw error; // "did not self-register" is expected: it stays mapped
  }
  return true;
}
