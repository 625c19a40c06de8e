/** Is `node_modules` exactly what the lock file of this folder says? */
export function installedEqualsLock(folder: string): boolean
