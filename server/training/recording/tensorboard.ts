import { closeSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import protobuf from 'protobufjs/light.js';

const field = (id: number, type: string, rule?: 'repeated') => ({ id, type, ...(rule && { rule }) });

/** The parts of TensorFlow's event.proto and summary.proto that scalars and images need. */
const root = protobuf.Root.fromJSON({
  nested: {
    Image: {
      fields: {
        height: field(1, 'int32'),
        width: field(2, 'int32'),
        colorspace: field(3, 'int32'),
        encodedImageString: field(4, 'bytes'),
      },
    },
    Value: { fields: { tag: field(1, 'string'), simpleValue: field(2, 'float'), image: field(4, 'Image') } },
    Summary: { fields: { value: field(1, 'Value', 'repeated') } },
    SessionLog: { fields: { status: field(1, 'int32') } },
    Event: {
      fields: {
        wallTime: field(1, 'double'),
        step: field(2, 'int64'),
        fileVersion: field(3, 'string'),
        summary: field(5, 'Summary'),
        sessionLog: field(7, 'SessionLog'),
      },
    },
  },
});
const Event = root.lookupType('Event');

const SESSION_STARTS = 1;
const RGB = 3;

/** A TensorBoard event file: one Event in each TFRecord. */
export class EventFile {
  readonly #file: number;

  /**
   * @param folder an existing one
   * @param step the step to continue from: TensorBoard drops this one and later ones of the folder's older files
   */
  constructor(
    folder: string,
    step: number,
    private readonly now: () => number = Date.now,
  ) {
    const seconds = String(Math.floor(now() / 1000)).padStart(10, '0');
    // with the step, since a resumed training may start in the same second
    this.#file = openSync(
      join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${step}`),
      'wx',
    );
    this.#write({ step: 0, fileVersion: 'brain.Event:2' });
    if (step > 0) this.#write({ step, sessionLog: { status: SESSION_STARTS } });
  }

  /** Adds scalars by tag. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const value = Object.entries(values).map(([tag, simpleValue]) => ({ tag, simpleValue }));
    this.#write({ step, summary: { value } });
  }

  /** Adds an image. @param png of that size in px */
  image(step: number, tag: string, png: Buffer, width: number, height: number): void {
    const image = { height, width, colorspace: RGB, encodedImageString: png };
    this.#write({ step, summary: { value: [{ tag, image }] } });
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(event: object): void {
    const data = Buffer.from(Event.encode({ wallTime: this.now() / 1000, ...event }).finish());
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(data.length));
    writeSync(this.#file, Buffer.concat([length, checksum(length), data, checksum(data)]));
  }
}

/** TFRecord's masked CRC-32C. */
function checksum(bytes: Uint8Array): Buffer {
  const crc = crc32c(bytes);
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  const result = Buffer.alloc(4);
  result.writeUInt32LE(masked);
  return result;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C (Castagnoli), which Node does not have. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
