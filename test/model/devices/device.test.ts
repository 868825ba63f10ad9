import { describe, expect, it } from 'vitest';
import { nameOfDevices, parseDevices } from '../../../model/devices/device.js';

describe('the devices that a user requests', () => {
  it.each(['cpu', 'cpu:0', 'cuda:0,cuda:1', 'webgpu:0'])('are named as they are parsed: %s', (text) => {
    const devices = parseDevices(text);
    expect(devices === 'auto' ? devices : nameOfDevices(devices)).toBe(text);
  });

  it('are the first of a kind by default, and the threads of this process for the CPU', () => {
    expect(parseDevices('cuda')).toEqual({ provider: 'cuda', indices: [0] });
    expect(parseDevices('cpu')).toEqual({ provider: 'cpu', indices: [] });
    expect(parseDevices('auto')).toBe('auto');
    expect(parseDevices('CUDA:1')).toEqual({ provider: 'cuda', indices: [1] });
  });

  it.each([
    ['gpu', /expected auto, cpu, cuda, webgpu/],
    ['', /expected auto/],
    ['cuda:x', /expected auto/],
    ['cuda,auto', /of one kind/],
    ['cuda:0,cpu', /of one kind/],
    ['cuda,cuda:0', /named twice/],
    ['webgpu:1', /first WebGPU adapter only/],
  ])('are refused where they are none: %s', (text, message) => {
    expect(() => parseDevices(text)).toThrow(message);
  });
});
