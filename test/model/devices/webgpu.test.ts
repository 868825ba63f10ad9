import { describe, expect, it } from 'vitest';
import type { Platform } from '../../../model/devices/platform.js';
import { requireWebGpuPlatform, webGpuAdapter, webGpuFailure } from '../../../model/devices/webgpu.js';
import { reasonAgainstCuda } from '../../../model/engine/open-engine.js';

const platform = (text: string): Platform => {
  const [system = '', arch = ''] = text.split(' ');
  return { platform: system, arch };
};

describe('devices of other systems than Linux on x64', () => {
  it.each([
    ['win32 x64', 'Windows on x64'],
    ['darwin arm64', 'macOS on arm64'],
    ['linux arm64', 'Linux on arm64'],
  ])('auto has no CUDA to try on %s, whatever driver it has', (system, name) => {
    expect(reasonAgainstCuda('/nowhere', platform(system))).toBe(
      `CUDA needs Linux on x64, and this machine is ${name}`,
    );
  });

  it('WebGPU is in the npm package for all systems but Linux on arm64', () => {
    for (const system of ['win32 x64', 'win32 arm64', 'darwin arm64', 'linux x64']) {
      requireWebGpuPlatform(platform(system));
    }
    expect(() => requireWebGpuPlatform(platform('linux arm64'))).toThrow(
      'WebGPU needs macOS, Windows, or Linux on x64, and this machine is Linux on arm64',
    );
  });

  it.each([
    ['linux x64', /install the GPU's Vulkan driver, and the loader \(Debian: libvulkan1/],
    ['win32 x64', /install the driver of the GPU's manufacturer, with Direct3D 12$/],
    ['darwin arm64', /macOS shows none to some virtual machines$/],
  ])('the lack of an adapter is explained in the terms of %s', (system, cure) => {
    const failure = webGpuFailure('Failed to get a WebGPU adapter', platform(system));
    expect(failure).toMatch(/^the system has no WebGPU adapter; /);
    expect(failure).toMatch(cure);
    expect(webGpuFailure('another reason', platform(system))).toBe('another reason');
  });

  it("a Mac's GPU is that of its processor and system; that of Windows cannot be identified", async () => {
    expect(await webGpuAdapter(platform('darwin arm64'))).toMatchObject({
      name: expect.stringMatching(/ GPU$/),
      driver: expect.stringMatching(/^of Darwin \d/),
    });
    expect(await webGpuAdapter(platform('win32 x64'))).toBeNull();
  });
});
