import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { CheckpointError } from '../errors.js';
import { issueOf } from '../shelf/schema-issue.js';
import { writeWhole } from '../shelf/whole-file.js';
import { type LossScaleState, lossScaleSchema } from './loss-scale.js';

/** A network and its optimiser between two steps: all that the next step depends on besides its batch. */
export interface TrainerState {
  /** Optimiser steps so far; Adam's bias correction follows from it. */
  readonly steps: number;
  /** Batches so far; dropout is seeded by it. */
  readonly batches: number;
  /** The weights, then the optimiser's slots, in the order of the network's layers. */
  readonly arrays: readonly Float32Array[];
  /** Of a training in mixed precision. */
  readonly lossScale?: LossScaleState;
}

/** The version of the file format. Whatever an earlier version would misread gets a new one. */
const FORMAT_VERSION = 1;
const MAGIC = `unseam training state ${FORMAT_VERSION}\n`;

const count = z.int().min(0);
const headerSchema = z.object({
  steps: count,
  batches: count,
  lossScale: lossScaleSchema.optional(),
  /** Floats in each array. */
  lengths: z.array(count),
  /** Of the bytes behind the header, in hex. */
  sha256: z.string(),
  extra: z.unknown(),
});

/**
 * Writes a state file, whole or not at all: a magic line, a line of JSON, and the arrays as little-endian floats.
 * @param extra JSON that is stored along, for `readState` to return
 */
export async function writeState(path: string, state: TrainerState, extra: unknown): Promise<void> {
  const { steps, batches, lossScale, arrays } = state;
  const bodies = arrays.map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength));
  const hash = createHash('sha256');
  for (const body of bodies) hash.update(body);
  const lengths = arrays.map(({ length }) => length);
  const header = { steps, batches, lossScale, lengths, sha256: hash.digest('hex'), extra };
  await writeWhole(path, [MAGIC, `${JSON.stringify(header)}\n`, ...bodies]);
}

/** @throws CheckpointError for a file that is missing, truncated, corrupt, or of a newer format version */
export async function readState(path: string): Promise<{ state: TrainerState; extra: unknown }> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new CheckpointError(`${path} cannot be read: there is no training to resume`, { cause });
  });
  const form = /^unseam training state (\d{1,9})\n/.exec(bytes.subarray(0, 40).toString('latin1'))?.[1];
  if (form !== undefined && Number(form) > FORMAT_VERSION) {
    throw new CheckpointError(
      `${path} is a training state of format version ${form}, of a newer unseam; this one reads version ${FORMAT_VERSION}`,
    );
  }
  const end = bytes.indexOf('\n', MAGIC.length);
  if (Number(form) !== FORMAT_VERSION || end < 0) throw corrupt(path, 'it has no header');
  const { steps, batches, lossScale, lengths, sha256, extra } = parseHeader(
    bytes.subarray(MAGIC.length, end).toString(),
    path,
  );
  const body = bytes.subarray(end + 1);
  if (createHash('sha256').update(body).digest('hex') !== sha256) throw corrupt(path, 'its SHA-256 differs');
  const floats = new Float32Array(new Uint8Array(body).buffer);
  let at = 0;
  const arrays = lengths.map((length) => floats.slice(at, (at += length)));
  if (at !== floats.length) throw corrupt(path, `it holds ${floats.length} values, not ${at}`);
  return { state: { steps, batches, arrays, ...(lossScale && { lossScale }) }, extra };
}

function parseHeader(text: string, path: string): z.infer<typeof headerSchema> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw corrupt(path, 'its header is not JSON', cause);
  }
  const parsed = headerSchema.safeParse(json);
  if (!parsed.success) throw corrupt(path, issueOf(parsed.error));
  return parsed.data;
}

const corrupt = (path: string, reason: string, cause?: unknown): CheckpointError =>
  new CheckpointError(`${path} is not a training state, or is damaged: ${reason}`, { cause });
