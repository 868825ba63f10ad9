import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import protobuf from 'protobufjs/light.js';
import { describe, expect, it } from 'vitest';
import { crc32c, EventFile } from '../../../../server/training/recording/tensorboard.js';
import { testFolder } from '../../../support/files.js';

describe('CRC-32C', () => {
  it('matches the published check value', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa); // RFC 3720, B.4
  });
});

/** Splits a file into records, and verifies both checksums of each. */
function recordsOf(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(unmasked(bytes.readUInt32LE(at + 8))).toBe(crc32c(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(unmasked(bytes.readUInt32LE(at + 12 + length))).toBe(crc32c(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

const unmasked = (masked: number): number => {
  const turned = (masked - 0xa282ead8) >>> 0;
  return ((turned >>> 17) | (turned << 15)) >>> 0;
};

/** A schemaless protocol buffers decoder: field numbers and values. */
function fieldsOf(data: Uint8Array): Record<number, (number | Uint8Array)[]> {
  const reader = protobuf.Reader.create(data);
  const fields: Record<number, (number | Uint8Array)[]> = {};
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const value = {
      0: () => Number(reader.int64()),
      1: () => reader.double(),
      2: () => reader.bytes(),
      5: () => reader.float(),
    }[tag & 7]!();
    (fields[tag >>> 3] ??= []).push(value);
  }
  return fields;
}

describe('an event file', () => {
  it('contains the written scalars as checksummed TFRecords', async () => {
    const folder = await testFolder();
    const file = new EventFile(folder, 7, () => 1_700_000_000_500);
    file.scalars(8, { 'loss/step': 0.25, 'learning rate': 1e-3 });
    file.image(9, 'picture', Buffer.from('not really a PNG'), 3, 2);
    file.close();

    const [name, ...others] = await readdir(folder);
    expect(others).toEqual([]);
    expect(name).toMatch(/^events\.out\.tfevents\.1700000000\./);
    const [version, start, scalars, image, ...rest] = recordsOf(await readFile(join(folder, name!))).map(
      fieldsOf,
    );
    expect(rest).toEqual([]);
    expect(version![1]).toEqual([1_700_000_000.5]);
    expect(Buffer.from(version![3]![0] as Uint8Array).toString()).toBe('brain.Event:2');
    expect(start![2]).toEqual([7]);
    expect(fieldsOf(start![7]![0] as Uint8Array)).toEqual({ 1: [1] });

    expect(scalars![2]).toEqual([8]);
    const values = fieldsOf(scalars![5]![0] as Uint8Array)[1]!.map((value) => fieldsOf(value as Uint8Array));
    expect(values.map((value) => Buffer.from(value[1]![0] as Uint8Array).toString())).toEqual([
      'loss/step',
      'learning rate',
    ]);
    expect(values.map((value) => value[2]![0])).toEqual([0.25, Math.fround(1e-3)]);
    const [picture] = fieldsOf(image![5]![0] as Uint8Array)[1]!.map((value) => fieldsOf(value as Uint8Array));
    const inner = fieldsOf(picture![4]![0] as Uint8Array);
    expect(inner).toMatchObject({ 1: [2], 2: [3], 3: [3] });
    expect(Buffer.from(inner[4]![0] as Uint8Array).toString()).toBe('not really a PNG');
  });
});
