import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CheckpointError } from '../errors.js';
import { writeWhole } from '../whole-file.js';

/** A training between two steps of its optimiser. */
export interface State {
  /** Steps of the optimiser, and batches that were seen: they seed dropout, and give Adam its powers. */
  readonly steps: number;
  readonly batches: number;
  /** Weights, then the optimiser's variables, in the network's order. */
  readonly arrays: readonly Float32Array[];
}

/** The first line names the form; a change that an earlier version would misread makes a new one. */
const FORM = 1;
const MAGIC = `unseam training state ${FORM}\n`;

/** One file: a line that names the format, a line of JSON, and the arrays as little-endian floats. */
export async function writeState(path: string, state: State, extra: unknown): Promise<void> {
  const { steps, batches, arrays } = state;
  const bodies = arrays.map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength));
  const hash = createHash('sha256');
  for (const body of bodies) hash.update(body);
  const head = { steps, batches, lengths: arrays.map((a) => a.length), sha256: hash.digest('hex'), extra };
  await writeWhole(path, [MAGIC, `${JSON.stringify(head)}\n`, ...bodies]);
}

/** @throws CheckpointError for a file that is missing, cut off, damaged, or of a newer form */
export async function readState(path: string): Promise<{ state: State; extra: unknown }> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new CheckpointError(`${path} cannot be read: there is no training to be resumed`, { cause });
  });
  const form = /^unseam training state (\d{1,9})\n/.exec(bytes.subarray(0, 40).toString('latin1'))?.[1];
  if (form !== undefined && Number(form) > FORM) {
    const newer = `${path} is a training state of form ${form}, of a newer unseam; this one reads form ${FORM}`;
    throw new CheckpointError(newer);
  }
  const damaged = () => new CheckpointError(`${path} is no training state, or a damaged one`);
  if (bytes.subarray(0, MAGIC.length).toString('latin1') !== MAGIC) throw damaged();
  const end = bytes.indexOf('\n', MAGIC.length);
  if (end < 0) throw damaged();
  const head = JSON.parse(bytes.subarray(MAGIC.length, end).toString()) as {
    readonly steps: number;
    readonly batches: number;
    readonly lengths: readonly number[];
    readonly sha256: string;
    readonly extra: unknown;
  };
  const body = bytes.subarray(end + 1);
  if (createHash('sha256').update(body).digest('hex') !== head.sha256) throw damaged();
  const floats = new Float32Array(new Uint8Array(body).buffer);
  let at = 0;
  const arrays = head.lengths.map((length) => floats.slice(at, (at += length)));
  return { state: { steps: head.steps, batches: head.batches, arrays }, extra: head.extra };
}
