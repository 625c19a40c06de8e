/**
 * What Proxmox says to notification commands that it refuses, where no recording says it. Each group names the program the text is from; the Rust crates are those of
 * proxmox-rs @ f3305009a212 behind the perlmod bindings (proxmox-perl-rs @ 1fa643d), under pve-manager 9.2.11 (PVE/API2/Cluster/Notifications.pm) and pve-common 9.2.1.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PveRoot, type Ran } from '../../helpers/pve-root.js'

const NOW = new Date('2026-02-11T22:00:00Z')
const PATH = '/cluster/notifications'
const CREATE = { name: 'pvesh create <api_path> --name <string> [OPTIONS] [FORMAT_OPTIONS]\n', plain: 'pvesh create <api_path> [OPTIONS] [FORMAT_OPTIONS]\n' }
const SET = 'pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]\n'
let host: PveRoot

/** `create matchers --name x`: the words of pvesh, the path below the notifications. */
const pvesh = async (command: string): Promise<Ran> => {
  const [verb = '', path = '', ...words] = command.split(' ')
  return await host.run(['pvesh', verb, `${PATH}/${path}`, ...words.map((word) => word.replaceAll('␠', ' '))], NOW)
}
const refuses = async (command: string, stderr: string): Promise<void> => {
  const ran = await pvesh(command)
  expect([ran.stdout, ran.stderr, ran.exitCode !== 0]).toEqual(['', stderr, true])
}
const accepts = async (command: string): Promise<void> => expect(await pvesh(command)).toEqual({ exitCode: 0, stdout: '', stderr: '' })

beforeAll(async () => {
  host = await PveRoot.create({ guests: [] })
  await accepts('create endpoints/sendmail --name mail --mailto root')
  await accepts('create endpoints/smtp --name relay --server mx --from-address a@b.example --mailto a@b.example')
  await accepts('create endpoints/gotify --name push --server http://push.example --token T')
  await accepts('create endpoints/webhook --name hook --url http://hook.example/x --method post --secret name=known,value=YQ==')
  await accepts('create matchers --name some --target mail')
})
afterAll(async () => await host.remove())

describe('arguments that the bindings cannot read (serde, proxmox-notify src/matcher.rs, proxmox-time daily_duration.rs over nom 7)', () => {
  it.each([
    ['--match-severity foo', 'invalid severity foo'],
    ['--match-severity error,␠foo', 'invalid severity foo'],
    ['--match-field type=vzdump', 'could not apply filter: invalid match-field statement: type=vzdump'],
    ['--match-field glob:hostname=a', 'could not apply filter: invalid match-field statement: glob:hostname=a'],
    ['--match-field regex:hostname=(', 'could not apply filter: invalid regex: regex parse error:\n    (\n    ^\nerror: unclosed group'],
    [
      '--match-field regex:hostname=*',
      'could not apply filter: invalid regex: regex parse error:\n    *\n    ^\nerror: repetition operator missing expression',
    ],
    ['--match-calendar foo␠8-17', `could not parse schedule: unable to parse daily duration at 'foo' - Context("weekday")`],
    ['--match-calendar 17-8', `could not parse schedule: unable to parse daily duration at '8' - Context("end time before start time")`],
    ['--match-calendar 25-26', `could not parse schedule: unable to parse daily duration at '-26' - Context("time value too large")`],
    ['--match-calendar 8-17␠foo', "could not parse schedule: unable to parse daily duration at ' foo' - Nom(Eof)"],
  ])('a matcher with %s', async (words, text) => {
    await refuses(`create matchers --name other ${words}`, `error: ${text}\n`)
    await refuses(`set matchers/some ${words}`, `error: ${text}\n`)
  })

  it.each([
    ['matchers/some', '`comment`, `disable`, `invert-match`, `match-calendar`, `match-field`, `match-severity`, `mode`, `target`'],
    ['endpoints/sendmail/mail', '`author`, `comment`, `disable`, `from-address`, `mailto`, `mailto-user`'],
    ['endpoints/smtp/relay', '`author`, `comment`, `disable`, `mailto`, `mailto-user`, `password`, `port`, `username`'],
    ['endpoints/webhook/hook', '`comment`, `disable`, `header`, `body`, `secret`'],
  ])('the deletion of a property that %s does not let go', async (path, list) => {
    await refuses(`set ${path} --delete nosuch`, `error: unknown variant \`nosuch\`, expected one of ${list}\n`)
  })

  it('of two properties that can go, both are named', async () => {
    await refuses('set endpoints/gotify/push --delete token', 'error: unknown variant `token`, expected `comment` or `disable`\n')
  })

  it.each([
    ['name', 'missing key'],
    ['foo=bar', 'unknown key "foo"'],
    ['value=YQ==', 'missing field `name`'],
    ['name=a,name=b', 'duplicate field `name`'],
  ])('a header %s (proxmox-schema property_string.rs)', async (header, text) => {
    await refuses(`create endpoints/webhook --name other --url http://h/x --method put --header ${header}`, `error: ${text}\n`)
  })

  it('ports beyond 16 bits', async () => {
    await refuses(
      'create endpoints/smtp --name other --server mx --from-address a@b.example --mailto a@b.example --port 65536',
      'error: invalid value: integer `65536`, expected u16\n',
    )
  })
})

describe('what proxmox-notify refuses (src/api)', () => {
  it.each([
    ['set endpoints/sendmail/mail --digest zz', `400 invalid digest: Invalid character 'z' at position 0\n${SET}`],
    ['set endpoints/sendmail/mail --digest 00', `400 detected modified configuration - file changed by other user? Try again.\n${SET}`],
    ['set endpoints/sendmail/nosuch --digest 00', `400 detected modified configuration - file changed by other user? Try again.\n${SET}`],
    ['create matchers --name mail', `400 Cannot create 'mail', an entity with the same name already exists\n${CREATE.name}`],
    ['create matchers --name other --target some', "404 endpoint 'some' does not exist\n"],
    ['set matchers/some --target nosuch', "404 endpoint 'nosuch' does not exist\n"],
    ['get endpoints/smtp/mail', "404 endpoint 'mail' not found\n"],
    ['delete matchers/nosuch', "404 matcher 'nosuch' not found\n"],
    ['delete endpoints/sendmail/mail', "400 cannot delete 'mail', referenced by: some\npvesh delete <api_path> [OPTIONS] [FORMAT_OPTIONS]\n"],
    ['set endpoints/sendmail/mail --delete mailto', `400 must at least provide one recipient, either in mailto or in mailto-user\n${SET}`],
    ['set endpoints/webhook/hook --header name=A', `400 header 'A' has empty value\n${SET}`],
    ['set endpoints/webhook/hook --header name=A,value=YR==', `400 header 'A' does not have valid base64 encoded data\n${SET}`],
    ['set endpoints/webhook/hook --secret name=nosuch', `400 secret 'nosuch' not known\n${SET}`],
    ['set endpoints/webhook/hook --secret name=known --secret name=known', `400 secret 'known' defined multiple times\n${SET}`],
    ['create targets/nosuch/test', "404 endpoint 'nosuch' does not exist\n"],
  ])('%s', refuses)

  it('takes base64 without its padding, and a secret that is known by its name alone', async () => {
    await accepts('set endpoints/webhook/hook --secret name=known --secret name=more,value=YQ')
    expect(await host.read('etc/pve/priv/notifications.cfg')).toContain('webhook: hook\n\tsecret name=known,value=YQ==\n\tsecret name=more,value=YQ\n')
  })
})

describe('what cannot be written (proxmox-section-config, proxmox-schema schema.rs, proxmox-notify schema.rs)', () => {
  const written = (text: string): string => `could not serialize configuration: writing "notifications.cfg" failed: ${text}\n`
  const verified = (property: string, text: string): string => written(`verify section 'other' failed - parameter verification failed - '${property}': ${text}`)
  it.each([
    [
      'create endpoints/sendmail --name abcdefghijabcdefghijabcdefghijabc --mailto root',
      written('syntax error in section identifier: value may only be 32 characters long'),
    ],
    [`create matchers --name other --comment ${'x'.repeat(129)}`, verified('comment', 'value may only be 128 characters long')],
    ['create endpoints/webhook --name other --url ftp://h/x --method put', verified('url', 'value does not match the regex pattern')],
  ])('%s', refuses)
})

describe('what a file that cannot be read says (proxmox-section-config)', () => {
  it.each([
    ['nonsense\n', 'line 1 - syntax error (expected header)'],
    ['foo: bar\n', "line 1 - unknown section type 'foo'"],
  ])('%j', async (text, fault) => {
    const before = await host.read('etc/pve/notifications.cfg')
    try {
      await host.put('/etc/pve/notifications.cfg', text)
      await refuses('get targets', `could not deserialize configuration: parsing "notifications.cfg" failed: ${fault}\n`)
    } finally {
      await host.put('/etc/pve/notifications.cfg', before)
    }
  })
})

describe('what is checked before (pve-common PVE/JSONSchema.pm, PVE/RESTHandler.pm)', () => {
  const wrong = (text: string, usage: string): string => `400 Parameter verification failed.\n${text}\n${usage}`
  it.each([
    ['create endpoints/sendmail --name x --mailto root', wrong("name: invalid format - invalid configuration ID 'x'\n", CREATE.name)],
    [
      'create endpoints/sendmail --name other --mailto no␠one',
      wrong('mailto[0]: invalid format - value does not look like a valid email address or user name\n', CREATE.name),
    ],
    [
      'create endpoints/sendmail --name other --mailto-user nobody',
      wrong("mailto-user[0]: invalid format - value 'nobody' does not look like a valid user name\n", CREATE.name),
    ],
    ['create endpoints/sendmail --name other --mailto-user ab', wrong("mailto-user[0]: invalid format - user name 'ab' is too short\n", CREATE.name)],
    ['create matchers --name other --mode some', wrong("mode: value 'some' does not have a value in the enumeration 'all, any'", CREATE.name)],
    ['set matchers/some --delete comment,mode', wrong("delete[0]: invalid format - invalid configuration ID 'comment,mode'\n", SET)],
    ['create targets/x/test', wrong("name: invalid format - invalid configuration ID 'x'\n", CREATE.plain)],
    ['delete matchers/some --digest 00', '400 unable to parse option\npvesh delete <api_path> [OPTIONS] [FORMAT_OPTIONS]\n'],
  ])('%s', async (command, text) => {
    const ran = await pvesh(command)
    expect([ran.stdout, ran.stderr.replace(/^Unknown option: \w+\n/, ''), ran.exitCode !== 0]).toEqual(['', text, true])
  })
})

describe('a test that cannot be sent (lettre 0.11, ureq 3, proxmox-sendmail; src/endpoints)', () => {
  it.each([
    ['endpoints/sendmail --name nobody --mailto-user ghost@pam', 'could not notify via endpoint(s): nobody: At least one recipient has to be specified!'],
    [
      'endpoints/smtp --name other1 --server localhost --from-address a@b.example --mailto-user ghost@pam',
      'could not notify via endpoint(s): other1: missing destination address, invalid envelope',
    ],
    ['endpoints/smtp --name other2 --server localhost --from-address a@b.example --mailto root', 'could not notify via endpoint(s): other2: Invalid input'],
    [
      'endpoints/smtp --name other3 --server localhost --from-address a@b.example --mailto a@b.example --username u',
      'could not notify via endpoint(s): other3: username is set but no password was provided',
    ],
    [
      'endpoints/smtp --name other4 --server 127.0.0.1 --port 1 --mode insecure --from-address a@b.example --mailto a@b.example',
      'could not notify via endpoint(s): other4: Connection error: Connection refused (os error 111)',
    ],
    ['endpoints/gotify --name other5 --server http://127.0.0.1:1 --token T', 'could not notify via endpoint(s): other5: io: Connection refused (os error 111)'],
    ['endpoints/gotify --name other6 --server push --token T', 'could not notify via endpoint(s): other6: invalid format'],
    ['endpoints/webhook --name other7 --url http://127.0.0.1:1/x --method put', 'io: Connection refused (os error 111)'],
    ['endpoints/webhook --name other8 --url http://127.0.0.1:1/x --method put --body !', 'could not decode base64 value: Invalid symbol 33, offset 0.'],
  ])('%s', async (words, cause) => {
    await accepts(`create ${words}`)
    await refuses(`create targets/${/--name (\S+)/.exec(words)?.[1]}/test`, `500 Could not test target: ${cause}\n`)
  })
})

describe('tables (pve-common PVE/CLIFormatter.pm)', () => {
  const table = async (path: string): Promise<string[]> => (await pvesh(`get ${path}`)).stdout.split('\n').filter((line) => !line.startsWith('+'))

  it('show what a method returns, what is never missing first, sorted by the first column', async () => {
    const [head, ...rows] = await table('endpoints/gotify --noborder 1')
    expect([head, rows[0]]).toEqual(['name   origin       server              comment disable', 'other5 user-created http://127.0.0.1:1          '])
  })

  it('show of one entity what its method names: no origin, and never a token', async () => {
    expect((await table('endpoints/gotify/push')).map((line) => line.split(' ')[1] ?? '')).toEqual(['key', 'digest', 'name', 'server', ''])
  })
})

describe('addresses of users and of the cluster (pve-access-control PVE/API2/User.pm, pve-cluster PVE/DataCenterConfig.pm)', () => {
  const run = async (...words: string[]): Promise<Ran> => await host.run(['pvesh', ...words], NOW)

  it("changes root@pam's, and writes the file in the program's order", async () => {
    await host.put('/etc/pve/user.cfg', 'pool:prod::100:nas:\nuser:root@pam:1:0:::old@example.org:::\nuser:op@pve:1:0::::::\n')
    expect((await run('set', '/access/users/root@pam', '--email', 'new@example.org')).stderr).toBe('')
    expect(await host.read('etc/pve/user.cfg')).toBe('user:op@pve:1:0::::::\nuser:root@pam:1:0:::new@example.org:::\n\n\npool:prod::100:nas:\n\n\n')
    expect((await run('set', '/access/users/ghost@pam', '--email', 'a@b.example')).stderr).toBe("update user failed: no such user ('ghost@pam')\n")
    expect((await run('set', '/access/users/root@pam', '--email', 'nope')).stderr).toContain(
      'email: invalid format - value does not look like a valid email address\n',
    )
  })

  it('keeps the description of the cluster as comments above its options', async () => {
    await host.put('/etc/pve/datacenter.cfg', '#two%3A words\nkeyboard: de\n')
    expect((await run('set', '/cluster/options', '--email_from', 'pve@example.org', '--notify', 'fencing=never')).stderr).toBe('')
    expect(await host.read('etc/pve/datacenter.cfg')).toBe('#two%3A words\n\nemail_from: pve@example.org\nkeyboard: de\nnotify: fencing=never\n')
    expect(JSON.parse((await run('get', '/cluster/options', '--output-format', 'json')).stdout)).toEqual({
      'allowed-tags': [],
      description: 'two: words\n',
      email_from: 'pve@example.org',
      keyboard: 'de',
      notify: { fencing: 'never' },
    })
  })
})
