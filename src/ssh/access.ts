/** What configuration and known_hosts say now about one host. Both are read again only when the files changed. */
import { loadSshConfig, type ResolvedHost, resolveHost } from './config.js'
import { entriesFor, type KnownHostsEntry, knownHostsName, loadKnownHosts } from './known-hosts.js'

export interface Access {
  resolved: ResolvedHost
  /** The lines that apply to this host. */
  knownHosts: KnownHostsEntry[]
  knownHostsPaths: readonly string[]
  /** The name under which the key of the host is looked up: `host`, `[host]:port` or its HostKeyAlias. */
  knownHostsName: string
}

/** Throws SshError `unsupported_ssh_config` with file:line. `UserKnownHostsFile` of the host counts instead of `knownHostsPaths`. */
export function readAccess(alias: string, o: { configPath: string; knownHostsPaths: readonly string[] }): Access {
  const resolved = resolveHost(loadSshConfig(o.configPath, alias), alias)
  const knownHostsPaths = resolved.knownHostsFiles ?? o.knownHostsPaths
  const name = resolved.hostKeyAlias?.toLowerCase() ?? knownHostsName(resolved.hostName, resolved.port)
  return { resolved, knownHostsPaths, knownHostsName: name, knownHosts: entriesFor(loadKnownHosts(knownHostsPaths, alias), name, alias) }
}
