/**
 * The program that carries out one step on a Proxmox host: compare, effect, read back, under one lock, in one command. Perl, because every Proxmox host
 * has all of it and a shell cannot compare JSON. It is sent over standard input with its order behind `__END__`, so that nothing of it stands in an argument list.
 */
import type { Check, Effect } from './plan.js'

/** One lock a host: two nightshifts, or a second attempt of a step whose first one still runs, follow one another. */
export const APPLY_LOCK_PATH = '/run/lock/nightshift-apply.lock'

export interface StepOrder {
  /** What must hold before the effect. */
  readonly before: readonly Check[]
  /** What holds once it took place. */
  readonly after: readonly Check[]
  readonly effect: Effect
}

/** One thing that is not as it should be. */
export interface Difference {
  /** `/cluster/backup: id=daily`, a path, a command. */
  readonly subject: string
  readonly field: string
  readonly expected: unknown
  readonly found: unknown
}

export interface StepReport {
  /**
   * `applied`: done now, and read back. `already`: it held before anything was done. `moved`: the host is not as the plan found it, nothing was done.
   * `failed`: the effect ran and did not do what it should. `unreadable`: a check could not be made, nothing was done. `busy`: another step holds the lock.
   */
  readonly outcome: 'applied' | 'already' | 'moved' | 'failed' | 'unreadable' | 'busy'
  readonly differences: readonly Difference[]
  /** Last lines of what the effect printed, or why a check could not be made. */
  readonly said: string
  readonly exitCode: number | null
}

/** @param lockPath another lock than the host's one, for tests beside each other */
export function remoteProgram(order: StepOrder, lockPath = APPLY_LOCK_PATH): string {
  // A line that is only `__END__` inside of JSON cannot be: it is one line.
  return `${PROGRAM}__END__\n${JSON.stringify({ ...order, lock: lockPath })}\n`
}

/** @throws SyntaxError when the answer is not the program's */
export function parseReport(stdout: string): StepReport {
  const report = JSON.parse(stdout) as Partial<StepReport>
  const outcomes = ['applied', 'already', 'moved', 'failed', 'unreadable', 'busy']
  if (!outcomes.includes(String(report.outcome)) || !Array.isArray(report.differences)) throw new SyntaxError('not a report of a step')
  return report as StepReport
}

const PROGRAM = String.raw`
use strict;
use warnings;
use Digest::SHA ();
use Fcntl qw(:flock :mode);
use File::Basename qw(dirname);
use IO::Handle ();
use JSON::PP ();
use POSIX ();

my $json = JSON::PP->new->canonical->utf8->allow_nonref;
my $order = $json->decode(do { local $/; <DATA> });
$ENV{LC_ALL} = 'C.UTF-8';
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin' . (defined $ENV{PATH} ? ":$ENV{PATH}" : '');
umask 077;

open my $lock, '>>', $order->{lock} or report('unreadable', [], "$order->{lock}: $!");
my $held = eval { local $SIG{ALRM} = sub { die "busy\n" }; alarm 60; flock $lock, LOCK_EX; alarm 0; 1 };
report('busy', [], "another step holds $order->{lock}") unless $held;

# Before anything is compared: a file that changes while we compare has another digest than we say.
my (%digest, %compared);
for (@{$order->{effect}{argv} || []}) {
    my ($bits, $path) = /^\{\{sha(1|256):(\/[^}]+)\}\}$/ or next;
    ($digest{$_}, $compared{$_}) = (file_digest($bits, $path), $path);
}

my $after = eval { differences($order->{after}) };
report('unreadable', [], $@) unless $after;
report('already', [], '') if @{$order->{after}} && !@$after;
my $before = eval { differences($order->{before}) };
report('unreadable', [], $@) unless $before;
report('moved', $before, '') if @$before;

my ($exit, $said) = eval { take_effect($order->{effect}) };
($exit, $said) = (undef, $@) unless defined $said;
my $left = eval { differences($order->{after}) };
report('failed', [], "the effect ran and cannot be read back: $@", $exit) unless $left;
# Exit codes of Proxmox programs do not tell success: what counts is what can be read back. Only where nothing can be, the exit code has to do.
my $done = @{$order->{after}} ? !@$left : defined $exit && $exit == 0;
# Somebody wrote between comparing and setting, and Proxmox refused ours: nothing was done.
report('moved', [map { difference($_, 'content', 'as compared', 'changed meanwhile') } sort values %compared], $said, $exit)
    if !$done && %digest && $said =~ /detected modified configuration/;
report($done ? 'applied' : 'failed', $left, $said, $exit);

sub report {
    my ($outcome, $differences, $said, $exit) = @_;
    $said = '' unless defined $said;
    $said = substr $said, -4000 if length $said > 4000;
    print $json->encode({ outcome => $outcome, differences => $differences, said => $said, exitCode => $exit });
    exit 0;
}

sub differences { my ($checks) = @_; return [map { check($_) } @$checks] }

sub check {
    my ($c) = @_;
    return check_object($c, $c->{path}, read_object($c)) if $c->{kind} eq 'api';
    return check_object($c, row_name($c), read_row($c)) if $c->{kind} eq 'row';
    return check_file($c) if $c->{kind} eq 'file';
    return check_secret_file($c) if $c->{kind} eq 'secret-file';
    return check_artifact($c) if $c->{kind} eq 'artifact';
    if ($c->{kind} eq 'command') {
        my ($exit, $out, $err) = run($c->{argv});
        $out =~ s/^\s+|\s+$//g;
        # "inactive" comes with an exit code of its own; but a program that failed and said nothing has not answered.
        die "$c->{argv}[0] ended with $exit: $err\n" if $exit != 0 && ($out eq '' || $exit > 125);
        return $out eq $c->{stdout} ? () : difference("@{$c->{argv}}", 'output', $c->{stdout}, $out);
    }
    die "a check of kind $c->{kind} cannot be made on a host\n";
}

sub difference { my ($subject, $field, $expected, $found) = @_; return { subject => $subject, field => $field, expected => $expected, found => $found } }

sub pvesh {
    my ($path) = @_;
    my ($exit, $out, $err) = run(['pvesh', 'get', $path, '--output-format', 'json']);
    return ($exit, $out, $err);
}

sub read_object {
    my ($c) = @_;
    my ($exit, $out, $err) = pvesh($c->{path});
    return $json->decode($out) if $exit == 0;
    return undef if $err =~ /no such|does not exist/i;
    die "pvesh get $c->{path} ended with $exit: $err\n";
}

sub row_name { my ($c) = @_; return join ' ', "$c->{path}:", map { "$_=$c->{where}{$_}" } sort keys %{$c->{where}} }

sub read_row {
    my ($c) = @_;
    my ($exit, $out, $err) = pvesh($c->{path});
    die "pvesh get $c->{path} ended with $exit: $err\n" if $exit != 0;
    my @rows = grep { my $row = $_; !grep { plain($row->{$_}) ne plain($c->{where}{$_}) } keys %{$c->{where}} } @{$json->decode($out)};
    die row_name($c) . " is there " . @rows . " times\n" if @rows > 1;
    return $rows[0];
}

sub check_object {
    my ($c, $name, $object) = @_;
    if (!defined $c->{fields}) { return defined $object ? difference($name, 'existence', undef, 'there') : () }
    return difference($name, 'existence', 'there', undef) unless defined $object;
    my %set = map { $_ => 1 } @{$c->{sets} || []};
    return map {
        my ($want, $have) = ($c->{fields}{$_}, $object->{$_});
        my $same = $set{$_} ? members($want) eq members($have) : plain($want) eq plain($have);
        $same ? () : difference($name, $_, $want, $have);
    } sort keys %{$c->{fields}};
}

# Proxmox writes one and the same value as number, text or truth value: 1, "1", true.
sub plain {
    my ($value) = @_;
    return 'null' unless defined $value;
    return $json->encode(simple($value));
}

sub simple {
    my ($value) = @_;
    return undef unless defined $value;
    return $value ? '1' : '0' if JSON::PP::is_bool($value);
    return { map { $_ => simple($value->{$_}) } keys %$value } if ref $value eq 'HASH';
    return [map { simple($_) } @$value] if ref $value eq 'ARRAY';
    return "$value";
}

sub members {
    my ($value) = @_;
    return plain($value) if !defined $value || ref $value eq 'HASH';
    my @members = ref $value eq 'ARRAY' ? map { simple($_) } @$value : grep { $_ ne '' } split /[\s,;]+/, $value;
    return $json->encode([sort @members]);
}

sub check_file {
    my ($c) = @_;
    my $sha256;
    if (lstat $c->{path}) {
        die "$c->{path} is not a plain file\n" unless -f _;
        open my $file, '<:raw', $c->{path} or die "$c->{path}: $!\n";
        $sha256 = Digest::SHA->new(256)->addfile($file)->hexdigest;
    }
    elsif ($! != POSIX::ENOENT() && $! != POSIX::ENOTDIR()) { die "$c->{path}: $!\n" }
    my @found = plain($sha256) eq plain($c->{sha256}) ? () : difference($c->{path}, 'sha256', $c->{sha256}, $sha256);
    if (defined $c->{mode} && defined $sha256) {
        my $mode = sprintf '%04o', S_IMODE((stat $c->{path})[2]);
        push @found, difference($c->{path}, 'mode', $c->{mode}, $mode) if oct $mode != oct $c->{mode};
    }
    return @found;
}

# What is expected came with our order and is said to nobody.
sub check_secret_file {
    my ($c) = @_;
    if (!lstat $c->{path}) {
        die "$c->{path}: $!\n" if $! != POSIX::ENOENT() && $! != POSIX::ENOTDIR();
        return difference($c->{path}, 'existence', 'there', undef);
    }
    die "$c->{path} is not a plain file\n" unless -f _;
    my $mode = sprintf '%04o', S_IMODE((stat _)[2]);
    my $want = $c->{content};
    utf8::encode($want);
    open my $file, '<:raw', $c->{path} or die "$c->{path}: $!\n";
    return (
        slurp($file) eq $want ? () : difference($c->{path}, 'content', 'as wanted', 'something else'),
        oct $mode == oct $c->{mode} ? () : difference($c->{path}, 'mode', $c->{mode}, $mode),
    );
}

# Proxmox counts a file that is not there as an empty one.
sub file_digest {
    my ($bits, $path) = @_;
    my $sha = Digest::SHA->new($bits);
    if (open my $file, '<:raw', $path) { $sha->addfile($file) }
    return $sha->hexdigest;
}

sub check_artifact {
    my ($c) = @_;
    die "nothing is mounted at $c->{mountedAt}\n" if defined $c->{mountedAt} && !mounted($c->{mountedAt});
    my @stat = lstat $c->{path};
    die "$c->{path}: $!\n" if !@stat && $! != POSIX::ENOENT();
    my $want = $c->{artifact};
    if (!defined $want) { return @stat ? difference($c->{path}, 'existence', undef, 'there') : () }
    return difference($c->{path}, 'existence', 'there', undef) unless @stat;
    my %have = (sizeBytes => $stat[7], modifiedAtSeconds => $stat[9], protected => -e "$c->{path}.protected" ? JSON::PP::true : JSON::PP::false);
    return map { plain($want->{$_}) eq plain($have{$_}) ? () : difference($c->{path}, $_, $want->{$_}, $have{$_}) } sort keys %have;
}

sub mounted {
    my ($path) = @_;
    open my $mounts, '<', '/proc/self/mountinfo' or die "/proc/self/mountinfo: $!\n";
    # $_ is the check that is being looked at: a loop must not read into it
    while (my $line = <$mounts>) { my $at = (split ' ', $line)[4]; $at =~ s/\\([0-7]{3})/chr oct $1/ge; return 1 if $at eq $path }
    return 0;
}

sub take_effect {
    my ($e) = @_;
    if ($e->{kind} eq 'command') {
        my @argv = map { defined $digest{$_} ? $digest{$_} : $_ } @{$e->{argv}};
        my ($exit, $out, $err) = run(\@argv, $e->{stdin});
        return ($exit, "$err$out");
    }
    if ($e->{kind} eq 'write-file') { write_file($e); return (0, '') }
    if ($e->{kind} eq 'remove-file') {
        unlink $e->{path} or $! == POSIX::ENOENT() or die "$e->{path}: $!\n";
        sync_folder(dirname($e->{path}));
        return (0, '');
    }
    die "an effect of kind $e->{kind} does not belong on a host\n";
}

sub write_file {
    my ($e) = @_;
    my $making = "$e->{path}.nightshift-$$";
    eval {
        open my $file, '>:raw', $making or die "$making: $!\n";
        chmod oct $e->{mode}, $making or die "$making: $!\n";
        my $content = $e->{content};
        utf8::encode($content);
        print $file $content or die "$making: $!\n";
        $file->flush && $file->sync or die "$making: $!\n";
        close $file or die "$making: $!\n";
        rename $making, $e->{path} or die "$e->{path}: $!\n";
        1;
    } or do { my $why = $@; unlink $making; die $why };
    sync_folder(dirname($e->{path}));
}

# The library has no fsync for folders; a whole sync of a small write costs little.
sub sync_folder { system 'sync', $_[0]; return }

# Output goes to files without names: a program that prints much cannot block, and what it leaves running behind does not hold us.
sub run {
    my ($argv, $stdin) = @_;
    open my $out, '+>', undef or die "temporary file: $!\n";
    open my $err, '+>', undef or die "temporary file: $!\n";
    open my $in, '+>', undef or die "temporary file: $!\n";
    if (defined $stdin) { my $bytes = $stdin; utf8::encode($bytes); print $in $bytes; $in->flush; seek $in, 0, 0 }
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDIN, '<&', $in; open STDOUT, '>&', $out; open STDERR, '>&', $err;
        close $lock;
        no warnings 'exec';
        exec { $argv->[0] } @$argv;
        print STDERR "$argv->[0]: $!\n";
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $exit = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    return ($exit, slurp($out), slurp($err));
}

sub slurp { my ($file) = @_; seek $file, 0, 0; local $/; my $text = <$file>; return defined $text ? $text : '' }
`
