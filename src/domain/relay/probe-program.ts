/** The reading of a host's ways of sending mail: one remote command, which changes nothing. Perl, as for steps; the questions stand as JSON behind `__END__`. */
import type { Question, RelayObservation } from './observation.js'

/** One program may take this long. */
const PROGRAM_TIMEOUT_SECONDS = 40
const PROGRAMS_AT_ONCE = 4
const MOST_BYTES_OF_A_FILE = 1024 * 1024
const MOST_LINES = 400

/** The program and its questions, for the standard input of `perl -`. */
export function relayProbe(questions: readonly Question[]): string {
  const settings = { limit: PROGRAM_TIMEOUT_SECONDS, atOnce: PROGRAMS_AT_ONCE, mostBytes: MOST_BYTES_OF_A_FILE, mostLines: MOST_LINES }
  return `${PROGRAM}__END__\n${JSON.stringify({ ...settings, questions })}\n`
}

/** @throws Error when the answer was cut off or lacks a question: what was not read must not look clean */
export function parseRelayReading(host: string, node: string, questions: readonly Question[], text: string): RelayObservation {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error(`${host}: the reading of the ways of mail was cut off or is not JSON: ${text.slice(0, 120)}`)
  }
  const answers = (value as { answers?: RelayObservation['answers'] }).answers ?? {}
  const missing = questions.find(({ name }) => answers[name] === undefined)
  if (missing !== undefined) throw new Error(`${host}: the reading has no answer to "${missing.name}"`)
  return { schema: 'nightshift.relay-observation/1', host, node, answers }
}

const PROGRAM = String.raw`
use strict;
use warnings;
use Digest::SHA ();
use Errno ();
use Fcntl qw(:mode);
use File::Glob ();
use JSON::PP ();
use POSIX ();

my $json = JSON::PP->new->canonical->utf8;
my $order = $json->decode(do { local $/; <DATA> });
$ENV{LC_ALL} = 'C.UTF-8';
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin' . (defined $ENV{PATH} ? ":$ENV{PATH}" : '');

my %answers;
my @programs = grep { $_->{kind} eq 'run' } @{ $order->{questions} };
for my $q (@{ $order->{questions} }) {
    next if $q->{kind} eq 'run';
    $answers{ $q->{name} } = $q->{kind} eq 'lines' ? lines($q) : $q->{kind} eq 'file' ? whole($q) : secret($q);
}
run_all();
print $json->encode({ answers => \%answers });

sub text { my ($bytes) = @_; my $copy = $bytes; utf8::decode($copy); return $copy }

# 1 and the content; 0 when there is no such file; dies with the reason when it cannot be read.
sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or do { return (0) if $!{ENOENT} || $!{ENOTDIR}; die "$!\n" };
    die "is no plain file\n" unless -f $file;
    die "is bigger than $order->{mostBytes} bytes\n" if -s $file > $order->{mostBytes};
    local $/;
    my $content = <$file>;
    return (1, defined $content ? $content : '');
}

sub lines {
    my ($q) = @_;
    my @files;
    my %seen;
    for my $path (grep { !$seen{$_}++ } map { paths($_, $q->{scripts}) } @{ $q->{globs} }) {
        # A backup copy of an editor or of dpkg is read by nothing; a unit that is masked is a link to /dev/null.
        next if $path =~ /(~|\.dpkg-[a-z]+|\.ucf-[a-z]+|\.bak)$/ || -d $path || (readlink $path // '') eq '/dev/null';
        next if $q->{scripts} && !is_script($path);
        my ($there, $content) = eval { slurp($path) };
        if ($@) { chomp(my $why = $@); push @files, { path => $path, lines => [], error => $why }; next }
        next unless $there;
        my ($number, @found) = (0);
        my ($begun, $line) = (0, '');
        for my $part (split /\r?\n/, text($content)) {
            $number += 1;
            $begun = $number if $line eq '';
            $line .= $part;
            next if $q->{captures} && $line !~ /^\s*#/ && $line =~ s/\\$/ /;
            my $shown = shown($q, $line);
            push @found, { line => $begun, text => substr $shown, 0, 1000 } if defined $shown;
            $line = '';
        }
        my $error = @found > $order->{mostLines} ? 'has more than ' . $order->{mostLines} . ' such lines' : undef;
        push @files, { path => $path, lines => $error ? [] : \@found, error => $error };
    }
    return { kind => 'lines', files => \@files };
}

sub shown {
    my ($q, $line) = @_;
    return $line =~ /^\s*#/ ? undef : captured($q->{pattern}, $line) if $q->{captures};
    return undef if defined $q->{pattern} && $line !~ /$q->{pattern}/;
    $line =~ s/([=:\s]\s*["']?)[^\s"'=].*$/$1***/ if $q->{mask} && $line !~ /=\s*["']{0,2}\s*$/;
    return public(unsaid($line));
}

sub captured {
    my ($pattern, $line) = @_;
    my @held;
    while ($line =~ /$pattern/g) { push @held, map { "$_ $+{$_}" } sort keys %+ }
    return @held ? join(' ', @held) : undef;
}

# What stands behind the host of an address is often the secret itself.
sub public {
    my ($text) = @_;
    $text =~ s{(\bhttps?://)(?:[^/\s"'\\@]*@)?([^/\s"'\\?]+)[/?][^\s"'\\]+}{$1$2/***}g;
    $text =~ s{(\bhttps?://)[^/\s"'\\@]*@}{$1}g;
    $text =~ s{(\s(?:-u|--user)[\s=]+)\S+}{$1***}g;
    return $text;
}

# A line that somebody wrote: headers and data of a post, and what is named like a secret.
sub unsaid {
    my ($text) = @_;
    my $value = qr/"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,\]]+/;
    $text =~ s{(\s(?:-H|--header|-d|--data(?:-\w+)?|--json|-F|--form|--post-data)(?:\s+|=))$value}{$1***}g;
    $text =~ s{((?:pass(?:word|wd|phrase)?|token|secret|api-?_?key|bearer)[\w"'-]*(?:\s*[=:]\s*|\s+))$value}{$1***}gi;
    return $text;
}

my @homes;
sub paths {
    my ($glob, $for_scripts) = @_;
    return File::Glob::bsd_glob($glob) unless $glob =~ s/^~\*//;
    if (!@homes) { while (my @user = getpwent) { push @homes, $user[7] } }
    # Users of the system have homes like /bin, where programs of packages lie.
    return map { my $home = $_; $home =~ s/([][*?{}\\~])/\\$1/g; File::Glob::bsd_glob("$home$glob") }
        grep { !$for_scripts || !m{^/($|(?:bin|sbin|usr|lib|dev|proc|sys|etc|run)(?:/|$))} } @homes;
}

sub is_script {
    my ($path) = @_;
    # What cannot be opened is told of when it is read.
    open my $file, '<:raw', $path or return 1;
    return 1 unless -f $file;
    read $file, my $begin, 2;
    return $begin eq '#!';
}

sub whole {
    my ($q) = @_;
    my ($there, $content) = eval { slurp($q->{path}) };
    my %nothing = (kind => 'file', text => undef, sha256 => undef, mode => undef, error => undef);
    if ($@) { chomp(my $why = $@); return { %nothing, error => "$q->{path}: $why" } }
    return \%nothing unless $there;
    return { %nothing, text => text($content), sha256 => Digest::SHA::sha256_hex($content), mode => sprintf('%04o', S_IMODE((stat $q->{path})[2])) };
}

sub secret {
    my ($q) = @_;
    my @stat = stat $q->{path};
    return { kind => 'secret', state => 'absent', identity => undef, error => $!{ENOENT} || $!{ENOTDIR} ? undef : "$q->{path}: $!" } unless @stat;
    my $mode = sprintf '%04o', S_IMODE($stat[2]);
    my (undef, $content) = eval { slurp($q->{path}) };
    if ($@) { chomp(my $why = $@); return { kind => 'secret', state => 'other', identity => undef, error => "$q->{path}: $why" } }
    my $same = Digest::SHA::sha256_hex($content) eq $q->{sha256} && $mode eq $q->{mode};
    return { kind => 'secret', state => $same ? 'same' : 'other', identity => "$stat[1] $stat[7] $stat[9] " . sprintf('%o', S_IMODE($stat[2])), error => undef };
}

sub run_all {
    my %running;
    my @left = @programs;
    while (@left || %running) {
        while (@left && keys %running < $order->{atOnce}) {
            my $q = shift @left;
            open my $out, '+>', undef or die "temporary file: $!\n";
            open my $err, '+>', undef or die "temporary file: $!\n";
            my $pid = fork;
            die "fork: $!\n" unless defined $pid;
            if ($pid == 0) {
                open STDIN, '<', '/dev/null'; open STDOUT, '>&', $out; open STDERR, '>&', $err;
                exec 'timeout', $order->{limit}, @{ $q->{argv} } or POSIX::_exit(127);
            }
            $running{$pid} = [$q->{name}, $out, $err];
        }
        my $pid = wait;
        last if $pid < 0;
        my ($name, $out, $err) = @{ delete $running{$pid} || next };
        my $exit = $? & 127 ? 128 + ($? & 127) : $? >> 8;
        my ($printed, $complained) = map { seek $_, 0, 0; local $/; my $t = <$_>; text(defined $t ? $t : '') } $out, $err;
        $answers{$name} = { kind => 'run', exit => $exit, out => substr(public($printed), 0, $order->{mostBytes}), err => substr $complained, 0, 2000 };
    }
    return;
}
`
