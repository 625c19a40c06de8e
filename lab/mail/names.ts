/** The mail world of the lab: one server for the estate's own domain, and the inbox of a person that nothing should write to. */
import { HOSTS } from '../catalog.js'
import { hostAddress } from '../network.js'

/** The estate's mail server is a guest of pve, as on the real one. */
export const MAIL_HOST = 'communications-stack'
export const MAIL_NAME = 'mail.spine.ronny.works'
export const MAIL_DOMAIN = 'spine.ronny.works'
/** Stands for the personal inbox somewhere on the internet: reached at its own domain on port 25, without any account. */
export const PERSONAL_DOMAIN = 'personal.example'

/** Accounts with a mailbox; name and address are one, as with an individual principal in Stalwart. */
export const ACCOUNTS = [`alerts@${MAIL_DOMAIN}`, `ronny@${MAIL_DOMAIN}`, `ronny@${PERSONAL_DOMAIN}`] as const

/** The second channel: an ntfy-compatible receiver, on another host than the mail server. */
export const WEBHOOK_HOST = 'infra-core'
export const WEBHOOK_PORT = 8090
export const WEBHOOK_LOG = '/var/lib/nightshift-lab/webhook.jsonl'

export const SMTPS_PORT = 465
export const SUBMISSION_PORT = 587
export const IMAPS_PORT = 993

/** The name that a Proxmox host gives itself in mail. */
export function fqdnOf(hostname: string, host: string): string {
  return `${hostname}.${host === 'proxmox-home' ? 'home' : 'shop'}.lan`
}

/** Where the mail server answers. @param subnet the lab's */
export function mailAddress(subnet: string): string {
  return hostAddress(
    subnet,
    HOSTS.findIndex((spec) => spec.name === MAIL_HOST),
  )
}

export function webhookUrl(subnet: string): string {
  const address = hostAddress(
    subnet,
    HOSTS.findIndex((spec) => spec.name === WEBHOOK_HOST),
  )
  return `http://${address}:${WEBHOOK_PORT}/nightshift`
}
