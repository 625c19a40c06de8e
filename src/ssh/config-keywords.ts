/**
 * Every keyword of ssh_config(5), and what we do with it. A keyword is supported, harmless whatever its value, harmless with certain values,
 * or it changes where a connection goes, whom it trusts or what it does: then it is refused, never passed over.
 */

export const SUPPORTED_KEYWORDS = [
  'hostname',
  'user',
  'port',
  'identityfile',
  'userknownhostsfile',
  'stricthostkeychecking',
  'hostkeyalias',
  'connecttimeout',
  'serveraliveinterval',
  'addressfamily',
] as const
export type SupportedKeyword = (typeof SUPPORTED_KEYWORDS)[number]

/** They concern terminals, logs, prompts, an agent, connection sharing or methods of login that are never used here. */
const HARMLESS_KEYWORDS = [
  'addkeystoagent',
  'batchmode',
  'challengeresponseauthentication',
  'checkhostip',
  'connectionattempts',
  'controlmaster',
  'controlpath',
  'controlpersist',
  'enableescapecommandline',
  'escapechar',
  'fingerprinthash',
  'gssapiauthentication',
  'gssapidelegatecredentials',
  'hashknownhosts',
  'identitiesonly',
  'ignoreunknown',
  'ipqos',
  'kbdinteractiveauthentication',
  'kbdinteractivedevices',
  'loglevel',
  'logverbose',
  'numberofpasswordprompts',
  'obscurekeystroketiming',
  'passwordauthentication',
  'rekeylimit',
  'requiredrsasize',
  'serveralivecountmax',
  'streamlocalbindmask',
  'streamlocalbindunlink',
  'syslogfacility',
  'tag',
  'tcpkeepalive',
  'updatehostkeys',
  'visualhostkey',
]

/** Harmless only with these values (compared in lower case). */
const HARMLESS_VALUES: Record<string, readonly string[]> = {
  canonicalizehostname: ['no', 'none'],
  certificatefile: ['none'],
  clearallforwardings: ['yes', 'no'],
  compression: ['no'],
  exitonforwardfailure: ['yes', 'no'],
  forkafterauthentication: ['no'],
  forwardagent: ['no'],
  forwardx11: ['no'],
  forwardx11trusted: ['no', 'yes'],
  gatewayports: ['no'],
  globalknownhostsfile: ['none', '/dev/null'],
  hostbasedauthentication: ['no'],
  identityagent: ['none'],
  knownhostscommand: ['none'],
  nohostauthenticationforlocalhost: ['no'],
  permitlocalcommand: ['no'],
  pkcs11provider: ['none'],
  proxycommand: ['none'],
  proxyjump: ['none'],
  pubkeyauthentication: ['yes', 'unbound', 'host-bound'],
  remotecommand: ['none'],
  requesttty: ['no', 'auto'],
  revokedhostkeys: ['none'],
  sessiontype: ['default'],
  stdinnull: ['no'],
  tunnel: ['no'],
  verifyhostkeydns: ['no'],
}

/** What to do about a keyword that cannot be followed. */
const ADVICE: Record<string, string> = {
  proxyjump: 'jump hosts are not supported yet: give an address in HostName that this machine reaches directly (a VPN address, for example)',
  proxycommand: 'proxies are not supported yet: give an address in HostName that this machine reaches directly',
  certificatefile: 'certificates are not supported yet: use a plain key in IdentityFile and its public half in authorized_keys on the host',
  identityagent: 'agents are not used: give a key file without passphrase in IdentityFile',
  include: 'included files are not read: put the lines that these hosts need into this file',
  canonicalizehostname: 'names are not rewritten: give the full name or address in HostName',
  globalknownhostsfile: 'only the known_hosts of the configuration folder is trusted: record the key with `nightshift trust HOST`',
  knownhostscommand: 'only known_hosts files are trusted: record the key with `nightshift trust HOST`',
  revokedhostkeys: 'put revoked keys into known_hosts as `@revoked` lines',
  setenv: 'no environment is passed on: set the variable on the host',
  sendenv: 'no environment is passed on: set the variable on the host',
  compression: 'compression is not supported: remove the line or write `Compression no`',
  pubkeyauthentication: 'login works by key only: remove the line',
  preferredauthentications: 'login works by key only: remove the line or include publickey',
}
for (const keyword of ['hostkeyalgorithms', 'kexalgorithms', 'ciphers', 'macs', 'pubkeyacceptedalgorithms', 'pubkeyacceptedkeytypes', 'casignaturealgorithms'])
  ADVICE[keyword] = 'algorithms are chosen by the program: remove the line'

const OTHER_KNOWN_KEYWORDS = [
  ...['bindaddress', 'bindinterface', 'canonicaldomains', 'canonicalizefallbacklocal', 'canonicalizemaxdots', 'canonicalizepermittedcnames'],
  ...['channeltimeout', 'dynamicforward', 'enablesshkeysign', 'forwardx11timeout', 'host', 'hostbasedacceptedalgorithms', 'localcommand', 'localforward'],
  ...['match', 'permitremoteopen', 'remoteforward', 'securitykeyprovider', 'tunneldevice', 'versionaddendum', 'xauthlocation'],
]

export const ALL_KEYWORDS: readonly string[] = [
  ...SUPPORTED_KEYWORDS,
  ...HARMLESS_KEYWORDS,
  ...Object.keys(HARMLESS_VALUES),
  ...Object.keys(ADVICE),
  ...OTHER_KNOWN_KEYWORDS,
]

export function isSupportedKeyword(keyword: string): keyword is SupportedKeyword {
  return (SUPPORTED_KEYWORDS as readonly string[]).includes(keyword)
}

/** True when the line does not change where a connection goes, whom it trusts or what it does. `keyword` in lower case. */
export function isHarmless(keyword: string, values: readonly string[]): boolean {
  if (HARMLESS_KEYWORDS.includes(keyword)) return true
  const lower = values.map((value) => value.toLowerCase())
  if (keyword === 'sendenv') return lower.every((name) => name === 'lang' || name.startsWith('lc_'))
  if (keyword === 'preferredauthentications') return lower.join(',').split(',').includes('publickey')
  const harmless = HARMLESS_VALUES[keyword]
  return harmless !== undefined && lower.length > 0 && lower.every((value) => harmless.includes(value))
}

export function adviceFor(keyword: string): string {
  return ADVICE[keyword] ?? 'remove the line, or keep a separate ssh_config for nightshift without it'
}
