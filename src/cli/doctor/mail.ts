/** The doctor on the mail server: logs in where alerts are sent and where they are read back. Sends nothing and changes nothing. */
import { readFile } from 'node:fs/promises'
import { countMessages } from '../../activities/delivery/mailbox.js'
import { SmtpSender } from '../../activities/delivery/smtp.js'
import type { MailServer, RunbookSet } from '../../domain/estate.js'
import { makeRedact, type Redact } from '../../domain/redact.js'
import { knownSecrets, resolveSecret } from '../../runbooks/index.js'
import { type Check, failedWith, ok, warn } from './check.js'

const AREA = 'alerts'

/** @param configDir what references are relative to */
export async function checkMail(set: RunbookSet, configDir: string): Promise<Check[]> {
  const { mail } = set.alerts
  if (mail === undefined) return []
  const redact = makeRedact(knownSecrets(set))
  return Promise.all([checkSubmission(mail, configDir, redact), checkMailbox(mail, configDir, redact)])
}

const authorityOf = async ({ caPath }: MailServer) => (caPath === undefined ? undefined : await readFile(caPath, 'utf8'))

async function checkSubmission(mail: MailServer, configDir: string, redact: Redact): Promise<Check> {
  const { server, port, security, username } = mail
  try {
    const access = { server, port, security, username, password: await resolveSecret(mail.password, configDir), authority: await authorityOf(mail) }
    await new SmtpSender(redact).tryLogin(access)
    return ok(AREA, 'mail server', `${server}:${port} takes the login of ${username}; nothing was sent`)
  } catch (error) {
    return failedWith(AREA, 'mail server', error, `mend mail: in alerts.yaml (${server}:${port}, ${username}), or the server`)
  }
}

async function checkMailbox(mail: MailServer, configDir: string, redact: Redact): Promise<Check> {
  const { mailbox } = mail
  if (mailbox === undefined) {
    const next = 'name mail.mailbox in alerts.yaml: without it no canary can be found, and a lost answer may become a second copy'
    return warn(AREA, 'mailbox', 'alerts.yaml names no mailbox to read', next)
  }
  const where = `${mailbox.server}:${mailbox.port}, ${mailbox.username}`
  try {
    const access = { ...mailbox, password: await resolveSecret(mailbox.password, configDir), authority: await authorityOf(mail) }
    const counts = await countMessages(access, redact)
    return ok(AREA, 'mailbox', `${where}: ${counts.map(({ folder, messages }) => `${folder} ${messages}`).join(', ') || 'no folder that is looked through'}`)
  } catch (error) {
    return failedWith(AREA, 'mailbox', error, `mend mail.mailbox in alerts.yaml (${where}), or the server`)
  }
}
