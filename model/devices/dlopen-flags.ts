/**
 * Keeps a native library loaded until its process ends. Node closes one that is no addon at once, and an addon when the
 * thread that loaded it ends, while threads of its own still run. Linux's value; where there is none, it has no effect.
 */
export const RTLD_NODELETE = process.platform === 'linux' ? 0x1000 : 0;
