import type { Step } from './steps.mjs'
/** Is `dist/` made of exactly the sources of this folder, and complete? */
export function isBuilt(folder: string): boolean
export function buildOf(folder: string): Step
