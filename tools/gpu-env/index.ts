/** A GPU from npm for tests on machines that have none: no root, no system package. */
export { launchChromium } from './chromium.ts';
export { useSoftwareVulkan } from './vulkan.ts';
