import { create, globals } from 'webgpu';
import { expect, test } from 'vitest';
import { useSoftwareVulkan } from '../index.ts';
import { isSupported } from '../unpack.ts';

// Held for the life of the process: Dawn frees its instance under live devices once this is collected.
let gpu: GPU | undefined;

test.runIf(isSupported)('Dawn computes through software Vulkan from npm', async () => {
  expect((await useSoftwareVulkan()) || process.env['VK_DRIVER_FILES']).toBeTruthy();
  Object.assign(globalThis, globals);
  gpu = create([]) as GPU;
  const adapter = await gpu.requestAdapter();
  expect(adapter, 'a WebGPU adapter').not.toBeNull();
  const device = await adapter!.requestDevice();

  const numbers = Float32Array.of(1, 2, 3, 4);
  const storage = device.createBuffer({
    size: numbers.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const readback = device.createBuffer({
    size: numbers.byteLength,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(storage, 0, numbers);
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({
        code: `
          @group(0) @binding(0) var<storage, read_write> x: array<f32>;
          @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] *= x[id.x]; }`,
      }),
    },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: storage } }],
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(storage, 0, readback, 0, numbers.byteLength);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(GPUMapMode.READ);
  expect([...new Float32Array(readback.getMappedRange())]).toEqual([1, 4, 9, 16]);
  readback.unmap();
});

test('a driver chosen by the user wins', async () => {
  const chosen = process.env['VK_DRIVER_FILES'];
  process.env['VK_DRIVER_FILES'] = '/somewhere/icd.json';
  try {
    expect(await useSoftwareVulkan()).toBe(false);
    expect(process.env['VK_DRIVER_FILES']).toBe('/somewhere/icd.json');
  } finally {
    if (chosen === undefined) delete process.env['VK_DRIVER_FILES'];
    else process.env['VK_DRIVER_FILES'] = chosen;
  }
});
