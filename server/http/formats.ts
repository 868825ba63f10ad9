import type { Request } from 'express';
import { FORMATS, type Format } from '../contract/outputs.js';

/** The one of `formats` that a request's `Accept` prefers, the first of equals; undefined if it accepts none. */
export function acceptedFormat(request: Request, formats: readonly Format[]): Format | undefined {
  const type = request.accepts(formats.map((format) => FORMATS[format].type));
  return formats.find((format) => FORMATS[format].type === type);
}
