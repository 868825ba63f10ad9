import { isIPv4 } from 'node:net';

/** Whether an address or a host name, in lower case, is this machine's alone. */
export const isLoopback = (name: string): boolean =>
  name === 'localhost' ||
  name.endsWith('.localhost') ||
  (isIPv4(name) && name.startsWith('127.')) ||
  name === '::1' ||
  name === '[::1]';
