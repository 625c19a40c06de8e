/**
 * What programs that read a Proxmox host have in common. Perl, core modules only: every Proxmox host has it, and a shell cannot make JSON. Such a program gets its
 * question as JSON behind `__END__`, changes nothing, and answers in JSON.
 */
import { shell } from './shell-text.js'

/** One Proxmox process may take this long; a hung NFS server blocks for ever. */
const PROCESS_TIMEOUT_SECONDS = 40

/** Most processes at once on the host. */
const PROCESSES_AT_ONCE = 4

/** The program and its question, for the standard input of `perl -`. @param body finds `$q`, `$T`, `$F`, `run_all`, `pvesh`, `why`, `rows` and `answer` */
export function perlReading(body: string, question: object): string {
  const preamble = PREAMBLE.replaceAll('@AT_ONCE@', String(PROCESSES_AT_ONCE)).replaceAll('@LIMIT@', String(PROCESS_TIMEOUT_SECONDS))
  return `${preamble}\n${body}\n__END__\n${JSON.stringify(question)}\n`
}

const PREAMBLE = shell`use strict; use warnings; use JSON::PP; use POSIX ();
$ENV{LC_ALL} = 'C.UTF-8'; $ENV{PATH} = "/usr/sbin:/usr/bin:/sbin:/bin:$ENV{PATH}";
my $q = do { local $/; decode_json(scalar <DATA>) };
my ($T, $F) = (JSON::PP::true, JSON::PP::false);
sub answer { print JSON::PP->new->canonical->utf8->encode($_[0]), "\n"; exit 0 }
# runs [NAME, ARGV...] side by side; gives NAME => [exit code, stdout, stderr]
sub run_all {
  my (%answer, %running); my @left = @_;
  while (@left || %running) {
    while (@left && keys %running < @AT_ONCE@) {
      my ($name, @argv) = @{ shift @left };
      open(my $out, '+>', undef) or die "no room for an answer: $!\n";
      open(my $err, '+>', undef) or die "no room for an answer: $!\n";
      my $pid = fork // die "cannot start a process: $!\n";
      if (!$pid) {
        open(STDIN, '<', '/dev/null'); open(STDOUT, '>&', $out); open(STDERR, '>&', $err);
        exec('timeout', @LIMIT@, @argv) or POSIX::_exit(127);
      }
      $running{$pid} = [$name, $out, $err];
    }
    my $pid = wait; last if $pid < 0;
    my ($name, $out, $err) = @{ delete $running{$pid} // next };
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    $answer{$name} = [$code, map { seek $_, 0, 0; local $/; scalar(<$_>) // '' } $out, $err];
  }
  return \%answer;
}
sub pvesh { my ($name, @rest) = @_; return [$name, 'pvesh', 'get', @rest, '--output-format', 'json'] }
sub why { my ($a) = @_; my $t = $a->[0] == 124 ? 'no answer within @LIMIT@ s' : ($a->[2] =~ /(\S.*\S)/ ? $1 : "exit code $a->[0]"); return { ok => $F, why => substr($t, 0, 300) } }
sub rows { my ($a) = @_; return why($a) if $a->[0] != 0; my $v = eval { decode_json($a->[1]) }; return ref $v eq 'ARRAY' ? { ok => $T, value => $v } : { ok => $F, why => 'the answer is not a list in JSON' } }`
