/** What a caller may do. `segment` and `train` include `read`; `admin` includes all. */
export const SCOPES = ['read', 'segment', 'train', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];
