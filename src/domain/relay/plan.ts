/**
 * The way from what a host does with mail to what `email-relay.yaml` wants, as steps with undo. The relay comes first and what leads past it last, so that
 * at no time a mail has nowhere to go. Only what the judge found, what no exception accepts, and what is ours to change. Pure.
 */
import { sha256Hex } from '../canonical.js'
import type { Check, Effect, Json, PlanDraft, PlanStep, PlanWarning } from '../change/plan.js'
import type { EmailRelayRunbook, RelayHost } from '../email-relay-runbook.js'
import { aliasEntries, compiledEntries, withoutValues } from './aliases.js'
import type { RelayFinding } from './finding.js'
import { type ChannelVerdict, contextOf } from './judge.js'
import { ALIASES_PATH, FORWARD_PATH, isElsewhere, NULL_SENDER, QUEUE, settingsOf, waitingMail, wantedForward, wantedPostfix } from './judge-mail.js'
import { DEFAULT_MATCHER, MATCHER_RULES, ROOT_TARGET } from './judge-proxmox.js'
import { fileOf, listOf, outputOf, type RelayObservation, rowsOf, Unreadable } from './observation.js'
import { SASL_PASSWORD_PATH, saslLine } from './questions.js'
import { HIDDEN_LOGIN } from './without-secrets.js'

const ENDPOINTS = '/cluster/notifications/endpoints'
const MATCHERS = '/cluster/notifications/matchers'
/** Proxmox refuses to write when its file is not the one that was compared. */
const DIGEST = ['--digest', '{{sha256:/etc/pve/notifications.cfg}}'] as const
const MOST_QUEUED_SHOWN = 20

/** @throws Unreadable when what is to be changed could not be read: no plan is made on a guess */
export function planRelay(seen: RelayObservation, runbook: EmailRelayRunbook, host: RelayHost, verdicts: readonly ChannelVerdict[]): PlanDraft {
  const planned = verdicts.flatMap(({ findings }) => findings.filter(({ isPlanned }) => isPlanned))
  const of = (channel: RelayFinding['channel']) => planned.filter((finding) => finding.channel === channel)
  const about = { seen, runbook, host }
  const steps = [
    ...of('postfix')
      .filter(({ place }) => place === SASL_PASSWORD_PATH)
      .map(() => saslStep(about)),
    ...postfixStep(
      about,
      of('postfix').filter(({ place }) => place.startsWith('postfix ')),
    ),
    ...of('targets').map(({ place }) => targetStep(about, place.slice('target '.length))),
    ...of('matchers').map(({ place }) => matcherStep(about, place.slice('matcher '.length))),
    ...of('jobs').map(({ place }) => jobStep(about, /^job (\S+):/.exec(place)?.[1] ?? '')),
    ...(of('forward').length > 0 ? [forwardStep(about)] : []),
    ...(of('aliases').length > 0 ? [aliasesStep(about)] : []),
  ]
  const says = host.mode === 'relay' ? `Let all mail of ${host.host} go through ${runbook.relay.server}` : `Let no mail leave ${host.host}`
  return { runbook: 'emailRelay', host: host.host, title: says, steps, warnings: warningsOf(verdicts, seen, host), facts: { queue: queueFacts(seen) } }
}

interface About {
  readonly seen: RelayObservation
  readonly runbook: EmailRelayRunbook
  readonly host: RelayHost
}

type StepParts = Pick<PlanStep, 'id' | 'what' | 'effect' | 'before' | 'after' | 'diff'> & { readonly undo: Effect }

function step({ host }: About, { undo, ...parts }: StepParts): PlanStep {
  return { ...parts, host: host.host, destructive: [], undo: { effect: undo }, removes: [] }
}

const shell = (script: string, args: readonly string[], stdin?: string): Effect => ({
  kind: 'command',
  argv: ['sh', '-c', script, 'sh', ...args],
  ...(stdin === undefined ? {} : { stdin }),
})

/** The file that was there is kept beside it while the change may still be taken back: its content is known to the host alone. */
function saslStep(about: About): PlanStep {
  const { relay } = about.runbook
  const secret = about.seen.answers.sasl_passwd
  const identity = secret?.kind === 'secret' ? secret.identity : null
  const content = saslLine(relay, `{{secret:${relay.password}}}`)
  const write = 'set -e; umask 077; cat > "$1.nightshift"; [ ! -e "$1" ] || ln -f "$1" "$1.before-nightshift"; sync "$1.nightshift"; mv "$1.nightshift" "$1"'
  const undo = 'if [ -e "$1.before-nightshift" ]; then mv "$1.before-nightshift" "$1"; else rm -f "$1"; fi; postfix reload'
  return step(about, {
    id: `write ${SASL_PASSWORD_PATH}`,
    what: `Write the login of ${relay.username} at ${relay.server} into ${SASL_PASSWORD_PATH}, readable by root alone`,
    effect: shell(write, [SASL_PASSWORD_PATH], content),
    before: [
      identity === null
        ? { kind: 'file', path: SASL_PASSWORD_PATH, sha256: null }
        : { kind: 'command', argv: ['stat', '-c', '%i %s %Y %a', SASL_PASSWORD_PATH], stdout: identity },
    ],
    after: [{ kind: 'secret-file', path: SASL_PASSWORD_PATH, content, mode: '0600' }],
    undo: shell(undo, [SASL_PASSWORD_PATH]),
    diff: [{ field: SASL_PASSWORD_PATH, from: identity === null ? null : 'another login', to: `the login of ${relay.username} (not shown)` }],
  })
}

/** All settings in one replacement of main.cf: half of a relay is none. What was not set before is unset again by the undo. */
function postfixStep(about: About, findings: readonly RelayFinding[]): PlanStep[] {
  if (findings.length === 0) return []
  const wanted = wantedPostfix({ relay: about.runbook.relay, host: about.host })
  const names = findings.map(({ place }) => place.slice('postfix '.length)).sort()
  if (findings.some(({ found }) => found === HIDDEN_LOGIN))
    throw new Unreadable(
      'smtp_sasl_password_maps of main.cf holds a login itself, which a plan would show; take it out first: postconf -X smtp_sasl_password_maps',
    )
  const effective = settingsOf(outputOf(about.seen, 'postconf'))
  const set = settingsOf(outputOf(about.seen, 'postconf set'))
  const assign = names.map((name) => `${name}=${wanted[name] ?? ''}`)
  const restored = names.flatMap((name) => (set.has(name) ? [`${name}=${set.get(name) ?? ''}`] : []))
  const unset = names.filter((name) => !set.has(name))
  const back = [
    ...(unset.length > 0 ? ['postconf -X "$@"'] : []),
    ...(restored.length > 0 ? [`postconf -e ${restored.map(quoted).join(' ')}`] : []),
    'postfix reload',
  ]
  const shown = (values: Map<string, string>) => names.flatMap((name) => (values.has(name) ? [`${name} = ${values.get(name) ?? ''}`.trimEnd()] : [])).join('\n')
  // Only what main.cf itself says; sorted, and blanks at the ends of lines do not count.
  const read = (stdout: string): Check => ({ kind: 'command', argv: ['sh', '-c', 'postconf -n "$@" | sed "s/ *$//" | LC_ALL=C sort', 'sh', ...names], stdout })
  return [
    step(about, {
      id: 'set postfix',
      what:
        about.host.mode === 'relay'
          ? `Let Postfix hand everything to ${wanted.relayhost}, with TLS, a checked certificate and a login`
          : 'Let Postfix refuse everything that would leave the host',
      effect: shell('postconf -e "$@" && postfix check && postfix reload', assign),
      before: [read(shown(set))],
      after: [read(names.map((name) => `${name} = ${wanted[name] ?? ''}`.trimEnd()).join('\n'))],
      undo: shell(back.join(' && '), unset),
      diff: names.map((name) => ({ field: name, from: effective.get(name) ?? null, to: wanted[name] ?? '' })),
    }),
  ]
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

/** A row of the notification system brought to `wanted` (null: not set), and back. */
function rowStep(
  about: About,
  row: Record<string, unknown>,
  path: string,
  wanted: Readonly<Record<string, Json>>,
  parts: Pick<PlanStep, 'id' | 'what'>,
): PlanStep {
  const names = Object.keys(wanted).sort()
  const lists = names.filter((name) => Array.isArray(row[name]) || Array.isArray(wanted[name]))
  const now = Object.fromEntries(names.map((name) => [name, asJson(row[name])]))
  const set = (from: Readonly<Record<string, Json>>, to: Readonly<Record<string, Json>>): Effect => {
    const gone = names.filter((name) => to[name] === null && from[name] !== null)
    const given = names.flatMap((name) =>
      to[name] === null ? [] : (Array.isArray(to[name]) ? to[name] : [to[name]]).flatMap((value) => [`--${name}`, String(value)]),
    )
    return { kind: 'command', argv: ['pvesh', 'set', path, ...given, ...gone.flatMap((name) => ['--delete', name]), ...DIGEST] }
  }
  const check = (fields: Readonly<Record<string, Json>>): Check => ({ kind: 'api', path, fields, sets: lists })
  return step(about, {
    ...parts,
    effect: set(now, wanted),
    before: [check(now)],
    after: [check(wanted)],
    undo: set(wanted, now),
    diff: names
      .filter((name) => JSON.stringify(now[name]) !== JSON.stringify(wanted[name]))
      .map((field) => ({ field, from: now[field] ?? null, to: wanted[field] ?? null })),
  })
}

function asJson(value: unknown): Json {
  return value === undefined ? null : (value as Json)
}

const rowNamed = (seen: RelayObservation, question: string, name: string) => rowsOf(seen, question).find((row) => row.name === name) ?? {}

function targetStep(about: About, name: string): PlanStep {
  const { relay } = about.runbook
  const row = rowNamed(about.seen, 'endpoints sendmail', name)
  const path = `${ENDPOINTS}/sendmail/${name}`
  if (name !== ROOT_TARGET)
    return rowStep(
      about,
      row,
      path,
      { disable: 1 },
      { id: `disable target ${name}`, what: `Disable the target ${name}, which writes to ${listOf(row.mailto).join(', ') || 'a user elsewhere'}` },
    )
  const wanted = { mailto: [relay.rootMailTo], 'mailto-user': null, 'from-address': relay.sender, disable: null }
  return rowStep(about, row, path, wanted, {
    id: `set target ${name}`,
    what: `Send what Proxmox has to say to ${relay.rootMailTo}, through Postfix, from ${relay.sender}`,
  })
}

function matcherStep(about: About, name: string): PlanStep {
  const row = rowNamed(about.seen, 'matchers', name)
  const path = `${MATCHERS}/${name}`
  if (about.host.mode === 'disable') return rowStep(about, row, path, { disable: 1 }, { id: `disable matcher ${name}`, what: `Disable the matcher ${name}` })
  const rules = Object.fromEntries(MATCHER_RULES.filter((rule) => row[rule] !== undefined).map((rule) => [rule, null]))
  return rowStep(
    about,
    row,
    path,
    { target: [ROOT_TARGET], disable: null, ...rules },
    { id: `set matcher ${name}`, what: `Let ${DEFAULT_MATCHER} send everything to ${ROOT_TARGET} and nowhere else` },
  )
}

function jobStep(about: About, id: string): PlanStep {
  const job = rowsOf(about.seen, 'jobs').find((row) => row.id === id) ?? {}
  const path = `/cluster/backup/${id}`
  const mailto = asJson(job.mailto)
  const mode = asJson(job['notification-mode'])
  const check = (fields: Readonly<Record<string, Json>>): Check => ({ kind: 'api', path, fields, sets: ['mailto'] })
  const back = [
    ...(mailto === null ? [] : ['--mailto', listOf(mailto).join(',')]),
    ...(mode === null ? ['--delete', 'notification-mode'] : ['--notification-mode', String(mode)]),
  ]
  return step(about, {
    id: `set job ${id}`,
    what: `Let job ${id} tell of its runs through the notification system${mailto === null ? '' : `, and not mail ${listOf(mailto).join(', ')} itself`}`,
    effect: { kind: 'command', argv: ['pvesh', 'set', path, ...(mailto === null ? [] : ['--delete', 'mailto']), '--notification-mode', 'notification-system'] },
    before: [check({ mailto, 'notification-mode': mode })],
    after: [check({ mailto: null, 'notification-mode': 'notification-system' })],
    undo: { kind: 'command', argv: ['pvesh', 'set', path, ...back] },
    diff: [
      { field: 'mailto', from: mailto, to: null },
      { field: 'notification-mode', from: mode, to: 'notification-system' },
    ],
  })
}

function forwardStep(about: About): PlanStep {
  const { text, sha256, mode } = fileOf(about.seen, 'root .forward')
  const content = `${wantedForward(about.seen) ?? ''}\n`
  return step(about, {
    id: `write ${FORWARD_PATH}`,
    what: `Hand mail to root to the notification system, and to nobody else`,
    effect: { kind: 'write-file', path: FORWARD_PATH, mode: '0644', content },
    before: [{ kind: 'file', path: FORWARD_PATH, sha256, ...(mode === null ? {} : { mode }) }],
    after: [{ kind: 'file', path: FORWARD_PATH, sha256: sha256Hex(content), mode: '0644' }],
    undo: text === null ? { kind: 'remove-file', path: FORWARD_PATH } : { kind: 'write-file', path: FORWARD_PATH, mode: mode ?? '0644', content: text },
    diff: [{ field: FORWARD_PATH, from: text?.trim() ?? null, to: content.trim() }],
  })
}

/** The file and the map that is compiled from it are one: a mail looks into the map. */
function aliasesStep(about: About): PlanStep {
  const context = contextOf(about.seen, about.runbook, about.host)
  const { text, sha256, mode } = fileOf(about.seen, 'aliases')
  const before = text ?? ''
  const after = withoutValues(before, (name, value) => isElsewhere(name, value, context))
  const compiled = new Map(compiledEntries(outputOf(about.seen, 'compiled aliases')).map(({ name, values }) => [name, values]))
  const valuesIn = (file: string) => new Map(aliasEntries(file).map(({ name, values }) => [name, values]))
  // Those whose mail goes elsewhere afterwards, also because nobody had compiled the file.
  const changed = [...new Set([...valuesIn(before).keys(), ...compiled.keys()])]
    .filter((name) => (valuesIn(after).get(name) ?? []).join() !== (compiled.get(name) ?? valuesIn(before).get(name) ?? []).join())
    .sort()
  const shown = (values: Map<string, readonly string[]>) => changed.map((name) => `${name}: ${(values.get(name) ?? []).join(', ')}`.trimEnd()).join('\n')
  const read = (stdout: string): Check => ({ kind: 'command', argv: ['sh', '-c', READ_ALIASES, 'sh', ...changed], stdout })
  // Replaced durably, with owner and mode as they were, then compiled.
  const write = `set -e; cat > "$1.nightshift"; chmod ${mode ?? '0644'} "$1.nightshift"; sync "$1.nightshift"; mv "$1.nightshift" "$1"; newaliases`
  return step(about, {
    id: `write ${ALIASES_PATH}`,
    what: `Take addresses elsewhere out of ${ALIASES_PATH} (${changed.join(', ')}), and compile it`,
    effect: shell(write, [ALIASES_PATH], after),
    before: [{ kind: 'file', path: ALIASES_PATH, sha256 }, read(shown(compiled))],
    after: [{ kind: 'file', path: ALIASES_PATH, sha256: sha256Hex(after) }, read(shown(valuesIn(after)))],
    undo: shell(write, [ALIASES_PATH], before),
    diff: changed.map((name) => ({
      field: name,
      from: (compiled.get(name) ?? valuesIn(before).get(name) ?? []).join(', ') || null,
      to: (valuesIn(after).get(name) ?? []).join(', ') || null,
    })),
  })
}

/** What a mail to each of these names would be sent to, by the compiled map. */
const READ_ALIASES =
  'm=$(postconf -hx alias_maps | sed "s/[, ].*//"); [ -n "$m" ] || m=hash:/etc/aliases; for n; do printf "%s: %s\\n" "$n" "$(postalias -q "$n" "$m" 2>/dev/null)"; done | sed "s/, */, /g; s/ *$//"'

function warningsOf(verdicts: readonly ChannelVerdict[], seen: RelayObservation, host: RelayHost): PlanWarning[] {
  const waiting = waitingMail(seen)
  return [
    ...verdicts.flatMap(({ findings }) =>
      findings
        .filter(({ isPlanned, place }) => !isPlanned && place !== QUEUE)
        .map(({ place, found, fix }) => ({ code: 'left_for_a_person', message: `${place}: ${found}; ${fix}` })),
    ),
    ...verdicts
      .filter(({ state }) => state === 'unknown')
      .map(({ channel, message }) => ({ code: 'unread', message: `${channel} could not be read: ${message ?? ''}` })),
    ...verdicts.flatMap(({ accepted }) =>
      accepted.map(({ finding, reason, until }) => ({ code: 'accepted', message: `${finding.place}: accepted until ${until}: ${reason}` })),
    ),
    ...(waiting.length === 0 ? [] : [{ code: 'old_queue', message: `${waiting.length} mails wait in the queue; once the relay is proven: ${host.oldQueue}` }]),
  ]
}

function queueFacts(seen: RelayObservation): Json {
  const waiting = waitingMail(seen)
  return {
    waiting: waiting.length,
    oldest: waiting.length === 0 ? null : new Date(Math.min(...waiting.map(({ arrivedSeconds }) => arrivedSeconds)) * 1000).toISOString(),
    shown: waiting
      .slice(0, MOST_QUEUED_SHOWN)
      .map(({ id, sender, recipients, reason }) => ({ id, sender, recipients: [...recipients], reason: reason.slice(0, 200) })),
  }
}

const STILL_WAITING = 'for i; do postcat -q "$i" >/dev/null 2>&1 && echo "$i"; done; true'
/**
 * A sender is rewritten when a mail enters the queue: one of before would be sent as root of this host, which a server that checks its senders refuses for good.
 * postsuper(1), -r: the mail is taken in anew, with addresses rewritten again and under another ID. The empty sender of a report is never rewritten, so such
 * a mail is sent again from the relay's own (RFC 5322, 3.6.6) and then removed; that it was sent stands in the mail log, should this be cut off between.
 */
const SEND_ANEW = String.raw`use strict;
use warnings;
use JSON::PP ();
use POSIX ();
my ($sender, @ids) = @ARGV;
my %waiting = map { my $mail = JSON::PP::decode_json($_); ($mail->{queue_id} => $mail) } qx{postqueue -j};
die "postqueue ended with $?\n" if $?;
for my $mail (grep { defined } @waiting{@ids}) {
    my $id = $mail->{queue_id};
    if ($mail->{sender} eq '${NULL_SENDER}') { send_again($mail); run('postsuper', '-d', $id) }
    else { run('postsuper', '-r', $id) }
}
for (1 .. 30) {
    last unless grep { system("postcat -q $_ >/dev/null 2>&1") == 0 } @ids;
    run('postkick', 'public', 'pickup', 'W');
    sleep 1;
}

sub run { system(@_) == 0 or die "$_[0] ended with $?\n" }

sub send_again {
    my ($mail) = @_;
    my $id = "<$mail->{queue_id}.$mail->{arrival_time}\@nightshift.invalid>";
    return if index(qx{journalctl --quiet --no-pager -o cat --since -1day SYSLOG_FACILITY=2}, "resent-message-id=$id") >= 0;
    my $content = do { open my $in, '-|', 'postcat', '-hbq', $mail->{queue_id} or die "postcat: $!\n"; local $/; my $all = <$in>; close $in or die "postcat ended with $?\n"; $all };
    my @to = map { $_->{address} } @{ $mail->{recipients} };
    open my $out, '|-', 'sendmail', '-i', '-f', $sender, '--', @to or die "sendmail: $!\n";
    print $out "Resent-Date: ", POSIX::strftime('%a, %d %b %Y %H:%M:%S +0000', gmtime), "\nResent-From: <$sender>\nResent-To: ", join(', ', map { "<$_>" } @to), "\nResent-Message-ID: $id\n$content";
    close $out or die "sendmail ended with $?\n";
}
`

/** What becomes of the mail that waited: a plan of its own, asked for after the relay is proven. No steps where it is kept. */
export function planOldQueue(seen: RelayObservation, { relay }: Pick<EmailRelayRunbook, 'relay'>, host: RelayHost): PlanDraft {
  const waiting = waitingMail(seen)
  const ids = waiting.map(({ id }) => id).sort()
  const gone: Check = { kind: 'command', argv: ['sh', '-c', STILL_WAITING, 'sh', ...ids], stdout: '' }
  const present: Check = { ...gone, stdout: ids.join('\n') }
  const parts = {
    host: host.host,
    before: [present],
    diff: waiting.slice(0, MOST_QUEUED_SHOWN).map(({ id, sender, recipients }) => ({
      field: id,
      from: recipients.join(', '),
      to: host.oldQueue === 'delete' ? null : sender === NULL_SENDER ? `sent again, from ${relay.sender}` : 'tried again now',
    })),
    removes: [],
  }
  const steps: PlanStep[] =
    ids.length === 0 || host.oldQueue === 'keep'
      ? []
      : host.oldQueue === 'delete'
        ? [
            {
              ...parts,
              id: 'delete old queue',
              what: `Delete ${ids.length} mails that wait in the queue`,
              effect: { kind: 'command', argv: ['postsuper', ...ids.flatMap((id) => ['-d', id])] },
              destructive: ['deletes data'],
              after: [gone],
              undo: { none: 'a deleted mail cannot be brought back' },
            },
          ]
        : [
            {
              ...parts,
              id: 'flush old queue',
              what: `Try to send ${ids.length} mails that wait in the queue now, through the relay`,
              effect: { kind: 'command', argv: ['perl', '-e', SEND_ANEW, relay.sender, ...ids] },
              destructive: [],
              after: [gone],
              undo: { none: 'a mail that was sent cannot be taken back' },
            },
          ]
  return {
    runbook: 'emailRelay',
    host: host.host,
    title: `What waits in the queue of ${host.host}: ${host.oldQueue}`,
    steps,
    warnings: [],
    facts: { queue: queueFacts(seen) },
  }
}
