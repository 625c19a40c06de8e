/** Declares `nightshift approve`. */
import type { Command } from 'commander'
import { answerCommand } from '../answer-command.js'

export function command(): Command {
  return answerCommand('approve')
}
