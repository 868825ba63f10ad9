import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { PackageError } from '../../model/errors.js';
import { issueOf } from '../../model/shelf/schema-issue.js';
import type { FileReference, PackageFiles } from './package-files.js';

/** Reads a file whose digest is that of the description, where it states one. @throws PackageError */
export async function readChecked(files: PackageFiles, { source, sha256 }: FileReference): Promise<Buffer> {
  const data = await files.read(source);
  const found = createHash('sha256').update(data).digest('hex');
  if (sha256 === null || found === sha256.toLowerCase()) return data;
  throw new PackageError(`${source} was changed: its SHA-256 is ${found}, and the package states ${sha256}`);
}

/** Parses JSON. @param name of the file, for errors. @throws PackageError */
export function parseJson(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new PackageError(`${name} is not JSON`, { cause });
  }
}

/** What a file says, by its schema. @param name of the file, for errors. @throws PackageError */
export function parseBy<Schema extends z.ZodType>(
  schema: Schema,
  json: unknown,
  name: string,
): z.output<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PackageError(`${name}: ${issueOf(parsed.error)}`);
}
