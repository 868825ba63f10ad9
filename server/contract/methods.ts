const SAFE: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** Whether a method of HTTP, in either case, changes nothing (RFC 9110, section 9.2.1). */
export const isSafe = (method: string): boolean => SAFE.includes(method.toUpperCase());
