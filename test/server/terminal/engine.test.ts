import { describe, expect, it } from 'vitest';
import { OWN_CPU } from '../../../model/devices/device.js';
import type { DeviceState } from '../../../model/engine/lanes.js';
import { sayUnused } from '../../../server/terminal/engine.js';
import type { CpuFlags, DeviceFlags } from '../../../server/terminal/options.js';

/** What a command says of its devices. */
function said(
  flags: Partial<DeviceFlags & CpuFlags>,
  fallback: string | null,
  devices: readonly DeviceState[] = [],
) {
  const lines: string[] = [];
  sayUnused({ precision: 'fp32', ...flags }, { fallback, devices }, (line) => lines.push(line));
  return lines;
}

describe('a command that uses other devices than were requested', () => {
  it('says nothing where none was requested', () => {
    expect(said({}, 'there is no driver')).toEqual([]);
    expect(said({ device: OWN_CPU }, null)).toEqual([]);
  });

  it('says why auto is no GPU', () => {
    expect(said({ device: 'auto' }, 'there is no driver')).toEqual(['no GPU is used: there is no driver']);
  });

  it('says that a precision is not that of the CPU', () => {
    expect(said({ precision: 'fp16' }, 'there is no driver')).toEqual([
      'no GPU is used: there is no driver; the CPU computes in fp32, not in fp16',
    ]);
  });

  it('says what a GPU does not use, where auto finds one', () => {
    const flags = { threads: 4, lanes: 2 };
    expect(said(flags, null)).toEqual([
      'not used: --threads 4 and --lanes 2: for the CPU, and a GPU is used',
    ]);
    expect(said(flags, 'there is no driver')).toEqual([]);
    expect(said({ ...flags, device: OWN_CPU }, null)).toEqual([]);
  });

  it('names the devices that do not work', () => {
    const devices = [null, 'cuda:1: there is no GPU of this number'].map((failure, index) => {
      return { name: `cuda:${index}`, environment: null, failure };
    });
    expect(said({ device: { provider: 'cuda', indices: [0, 1] } }, null, devices)).toEqual([
      'cuda:1 is not used: there is no GPU of this number',
    ]);
  });
});
