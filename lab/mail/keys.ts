/** The lab's own certificate authority, the mail server's certificate, and the accounts' passwords: made once a lab, kept while it lives. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from '../../src/files/replace-file.js'
import { run } from '../command.js'
import { labPaths } from '../names.js'
import { ACCOUNTS, MAIL_NAME } from './names.js'

export interface MailKeys {
  /** PEM of the authority: what a client has to trust. */
  readonly authority: string
  readonly certificate: string
  readonly key: string
  /** By account. */
  readonly passwords: Readonly<Record<string, string>>
}

const DAYS = '3650'

/** Makes what is missing. @param address where the mail server answers: it is in the certificate beside the name */
export async function ensureMailKeys(labName: string, address: string): Promise<MailKeys> {
  const folder = join(labPaths(labName).home, 'mail')
  const place = (name: string) => join(folder, name)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (!existsSync(place('ready'))) {
    await run([...OPENSSL_SELF_SIGNED, '-subj', `/CN=nightshift lab ${labName} authority`, '-keyout', place('ca.key'), '-out', place('ca.crt')])
    await issueCertificate(folder, 'mail', { days: DAYS, names: [`DNS:${MAIL_NAME}`, `IP:${address}`] })
    const passwords = Object.fromEntries(ACCOUNTS.map((account) => [account, randomBytes(15).toString('base64url')]))
    replaceFile(place('passwords.json'), JSON.stringify(passwords), { mode: 0o600 })
    writeFileSync(place('ready'), '')
  }
  const text = (name: string) => readFileSync(place(name), 'utf8')
  return {
    authority: text('ca.crt'),
    certificate: text('mail.crt'),
    key: text('mail.key'),
    passwords: JSON.parse(text('passwords.json')) as Record<string, string>,
  }
}

const OPENSSL_SELF_SIGNED = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', DAYS]

/**
 * Issues a certificate of the lab's authority: `NAME.key` and `NAME.crt` in the folder.
 * @param options.days may be negative for one that is over already
 */
export async function issueCertificate(folder: string, name: string, options: { days: string; names: readonly string[] }): Promise<void> {
  const place = (file: string) => join(folder, file)
  const request = ['openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${MAIL_NAME}`]
  await run([...request, '-keyout', place(`${name}.key`), '-out', place(`${name}.csr`)])
  writeFileSync(place(`${name}.ext`), `subjectAltName=${options.names.join(',')}\nbasicConstraints=CA:FALSE\n`)
  const sign = ['openssl', 'x509', '-req', '-in', place(`${name}.csr`), '-CA', place('ca.crt'), '-CAkey', place('ca.key'), '-CAcreateserial']
  await run([...sign, '-days', options.days, '-extfile', place(`${name}.ext`), '-out', place(`${name}.crt`)])
}
