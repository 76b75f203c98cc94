/** For Vitest's `setupFiles`: every test file of the package finds a Vulkan driver. */
import { useSoftwareVulkan } from './vulkan.ts';

await useSoftwareVulkan();
