/** Small programs for a host that is asked to prove its relay. They go over standard input; what they are given stands quoted in them. */
import { shell } from '../probe/shell-text.js'

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

export const NOTIFICATION_TEST = ['pvesh', 'create', '/cluster/notifications/targets/mail-to-root/test'] as const

/** Every test mail carries it, so that it is known in a queue. */
const TOKEN_HEADER = 'X-Nightshift-Relay-Test'

/** One mail by the host's own sendmail, and none when Postfix took one with this Message-ID before: an attempt whose answer was lost is not repeated. */
export function sendProgram({ to, token, messageId }: { to: string; token: string; messageId: string }): string {
  return `${`to=${quoted(to)}\ntoken=${quoted(token)}\nid=${quoted(messageId)}\n`}${SEND}`
}

// The reload is asked for again because a step whose answer was lost may have set Postfix without reaching it.
const SEND = shell`set -eu
PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
postfix reload >/dev/null 2>&1
if journalctl --no-pager -o cat --since -1day SYSLOG_FACILITY=2 | grep -qF "message-id=$id"; then exit 0; fi
printf '%s\n' "To: $to" "Subject: nightshift: test of the way of mail" "Message-ID: $id" "X-Nightshift-Relay-Test: $token" "Auto-Submitted: auto-generated" "" \
  "This mail shows by which way this host sends. It was asked for by nightshift (emailRelay)." | sendmail -i "$to"
`

/** The mail log since a cursor (null: nothing, only its end), when packages were last changed, and how many mails wait. */
export function logProgram(cursor: string | null): string {
  return `cursor=${quoted(cursor ?? '')}\n${LOG}`
}

const LOG = shell`set -eu
PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
if [ -n "$cursor" ]; then
  journalctl --no-pager -o short-unix --show-cursor --after-cursor "$cursor" SYSLOG_FACILITY=2 | grep -e ' status=' -e '^-- cursor: ' || true
else
  journalctl --no-pager -o short-unix --show-cursor -n 1 | grep -e '^-- cursor: '
fi
[ ! -e /var/lib/dpkg/status ] || echo "packages=$(stat -c %Y /var/lib/dpkg/status)"
echo "dpkg=$(grep ' status ' /var/log/dpkg.log 2>/dev/null | tail -n 1)"
queue=$(postqueue -j)
echo "waiting=$(printf '%s' "$queue" | grep -c queue_id || true)"
`

/** Deletes from the queue what carries our token. */
export function removeTestsProgram(token: string): string {
  if (!/^[\w.-]+$/.test(token)) throw new RangeError('a token is letters, digits and -')
  return `${REMOVE}__END__\n${token}\n`
}

const REMOVE = String.raw`
use strict;
use warnings;
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
chomp(my $token = <DATA>);
for my $line (qx{postqueue -j}) {
    my ($id) = $line =~ /"queue_id":\s*"([0-9A-Za-z]+)"/ or next;
    open my $mail, '-|', 'postcat', '-hq', $id or next;
    my $ours = grep { /^${TOKEN_HEADER}: \Q$token\E\s*$/ } <$mail>;
    close $mail;
    system 'postsuper', '-d', $id if $ours;
}
`

export const TIDY_PROGRAM = 'rm -f /etc/postfix/sasl_passwd.before-nightshift /etc/postfix/sasl_passwd.nightshift\n'
