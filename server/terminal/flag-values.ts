import { InvalidArgumentError } from 'commander';
import { modelNameSchema } from '../../model/shelf/card.js';

// Parsers of flags' values, for commander, which shows the errors that they throw.

/** Parses the name of a new model. */
export function modelName(text: string): string {
  const { data, error } = modelNameSchema.safeParse(text);
  if (error) throw new InvalidArgumentError(`${error.issues[0]!.message}.`);
  return data;
}

/** Parses an integer from `low` to `high`. */
export function integer(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new InvalidArgumentError(`It must be an integer from ${low} to ${high}.`);
    }
    return value;
  };
}

/** Parses a positive number. */
export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('It must be a positive number.');
  return value;
}

/** Parses a number of at least 0. */
export function notNegative(text: string): number {
  if (text === '0') return 0;
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('It must be a number of at least 0.');
  return value;
}

/** Parses a number of bytes, with K, M, G or T for powers of 1024. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)$/i.exec(text);
  if (!match) throw new InvalidArgumentError('It must be a number of bytes, such as 500M or 8G.');
  return Math.floor(Number(match[1]) * 1024 ** ' KMGT'.indexOf((match[2] || ' ').toUpperCase()));
}

/** Parses a switch that an environment variable may also turn off: 1 or 0. */
export function switched(text: string): boolean {
  if (text === '' || text === '0' || text === 'false') return false;
  if (text !== '1' && text !== 'true') throw new InvalidArgumentError('It must be 1 or 0.');
  return true;
}
