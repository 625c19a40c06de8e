/** `email-relay.yaml` checked → typed: defaults filled in, the reference to the password with an absolute path. */
import { canonicalJson, sha256Hex } from '../domain/canonical.js'
import type { EmailRelayRunbook } from '../domain/email-relay-runbook.js'
import type { EmailRelayFile } from './email-relay-schema.js'
import { resolveLocalPath } from './secret-reference.js'
import type { YamlSource } from './yaml-source.js'

export function normaliseEmailRelay(file: EmailRelayFile, source: YamlSource, configDir: string): EmailRelayRunbook {
  const { approval, relay, watch } = file
  const name = source.file.slice(source.file.lastIndexOf('/') + 1)
  return {
    approval: {
      approvers: approval.approvers,
      needed: approval.needed ?? 1,
      mayApproveOwn: approval.may_approve_own ?? false,
      timeoutHours: approval.timeout_hours ?? 72,
      preApproveHarmless: approval.preapprove_harmless ?? false,
      signature: approval.signature ?? 'optional',
    },
    relay: {
      server: relay.server,
      port: relay.port ?? 465,
      username: relay.username,
      password: relay.password.startsWith('file:') ? `file:${resolveLocalPath(relay.password.slice('file:'.length), configDir)}` : relay.password,
      sender: relay.sender,
      rootMailTo: relay.root_mail_to,
      receivedBy: relay.received_by ?? relay.server,
    },
    watch: { until: watch?.until ?? 'time', days: watch?.days ?? 7, everyMinutes: watch?.every_minutes ?? 60 },
    hosts: file.hosts.map(({ host, mode, old_queue }, index) => ({
      host,
      mode,
      oldQueue: old_queue ?? 'keep',
      place: `${name}:${source.place(['hosts', index]).line}`,
    })),
    exceptions: file.exceptions ?? [],
    watchers: (file.watcher ?? []).map(({ watches, host, mail_to, webhook }, index) => ({
      watches,
      host,
      mailTo: mail_to ?? null,
      webhook: webhook ?? null,
      place: `${name}:${source.place(['watcher', index]).line}`,
    })),
    digest: sha256Hex(canonicalJson(source.value)),
  }
}
