const NAMES: Readonly<Record<string, string>> = { darwin: 'macOS', linux: 'Linux', win32: 'Windows' };

/** A system and its processor's architecture, as Node.js names them. */
export interface Platform {
  readonly platform: string;
  readonly arch: string;
}

export const OWN_PLATFORM: Platform = { platform: process.platform, arch: process.arch };

/** Such as `macOS on arm64`. */
export const nameOfPlatform = ({ platform, arch }: Platform): string =>
  `${NAMES[platform] ?? platform} on ${arch}`;
