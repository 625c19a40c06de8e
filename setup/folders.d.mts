export const root: string
export const TEMPORAL_CLI_VERSION: string
export function cacheFolder(env?: Record<string, string | undefined>): string
export function temporalBinary(): string
export function timeSkippingServer(): string
