import type { Command } from 'commander';
import { type DeviceRequest, nameOfDevices } from '../../model/devices/device.js';
import type { Card } from '../../model/shelf/card.js';
import { formatClasses } from './training-values.js';

/**
 * The options that were typed, as words of a shell, in the order of the help.
 * @param isIncluded whether the option of an attribute's name is repeated
 */
export function optionsOf(command: Command, isIncluded: (key: string) => boolean): string[] {
  return command.options.flatMap((option) => {
    const key = option.attributeName();
    if (command.getOptionValueSource(key) !== 'cli' || !isIncluded(key)) return [];
    const value = command.getOptionValue(key) as unknown;
    return value === true ? [option.long!] : [option.long!, shellQuote(textOf(key, value))];
  });
}

/** The text of a parsed option. */
function textOf(key: string, value: unknown): string {
  if (key === 'classes') return formatClasses(value as Card['classes']);
  if (key === 'device') return formatDevices(value as DeviceRequest);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return String(value);
  return formatAugmentation(value);
}

const formatDevices = (request: DeviceRequest): string =>
  request === 'auto' ? request : nameOfDevices(request);

/** An augmentation is written as a list. */
function formatAugmentation(amounts: object): string {
  const enabled = Object.entries(amounts).filter(([, amount]) => amount !== 0 && amount !== false);
  return enabled.map(([name, amount]) => (amount === true ? name : `${name}:${amount}`)).join(',') || 'none';
}

/** Quotes text for a shell if necessary. */
export const shellQuote = (text: string): string =>
  /^[\w./,:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
