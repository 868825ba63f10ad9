import { describe, expect, it } from 'vitest';
import { encodeNpy, parseNpy } from '../../../model/exchange/npy.js';

/** A file of numpy with a header as it is given. */
function npy(header: string, values: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(header), values]);
}

describe("numpy's files", () => {
  it('are read as they are written', () => {
    const array = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, -0.5) };
    expect(parseNpy(encodeNpy(array), 'a.npy')).toEqual(array);
    expect(parseNpy(encodeNpy({ shape: [2], data: Uint16Array.of(1, 65535) }), 'a.npy').data).toEqual(
      Float32Array.of(1, 65535),
    );
  });

  it('are aligned to 64 bytes', () => {
    const file = encodeNpy({ shape: [1], data: Float32Array.of(7) });
    expect((file.length - 4) % 64).toBe(0);
  });

  it('may have their first dimension change fastest', () => {
    const header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
    const { data } = parseNpy(npy(header, Buffer.from([1, 4, 2, 5, 3, 6])), 'a.npy');
    expect(data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
  });

  it.each([
    ['{}', /its type is missing/],
    ["{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", /its type \|O/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", /4 bytes of values, and states 8/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (99999, 99999), }", /states 9999800001 values/],
  ])('are refused by what is wrong with them: %s', (header, reason) => {
    expect(() => parseNpy(npy(header, Buffer.alloc(4)), 'a.npy')).toThrow(reason);
    expect(() => parseNpy(Buffer.from('PK'), 'a.npy')).toThrow('a.npy: it is not a .npy file of NumPy');
  });
});
