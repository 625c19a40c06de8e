/** Declares `nightshift reject`. */
import type { Command } from 'commander'
import { answerCommand } from '../answer-command.js'

export function command(): Command {
  return answerCommand('reject')
}
