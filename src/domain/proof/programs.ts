/**
 * The programs that prove an archive on its own host. Perl and its core modules, because every Proxmox host has them; each is sent over standard input
 * with its request as JSON behind `__END__`, so that no value of ours is ever code or an argument.
 *
 * Reading an archive takes minutes to hours, so it is a systemd unit of its own that outlives the connection and the worker. Its name holds the storage:
 * systemd itself refuses a second one, so that a storage is read by one proof at a time. Its notes lie in /run: a host that was rebooted starts over.
 */
import { shell } from '../probe/shell-text.js'

/** Slower than any storage in use; decides whether a proof would reach into the next backup. */
const ASSUMED_BYTES_PER_SECOND = 50 * 1024 * 1024

/** Whatever a person does to a unit, it is not begun more often than this. */
const MOST_ATTEMPTS = 3

const withRequest = (program: string, request: unknown): string => `${program}\n__END__\n${JSON.stringify(request)}\n`

/** Looks at one archive and what stands beside it. */
export function inspectProgram(request: { readonly volid: string }): string {
  return withRequest(INSPECT, request)
}

/** Whether a backup by hand is over, and which archive it made of each guest: by the log of its own run. */
export function validationProgram(request: { readonly unit: string; readonly guests: readonly number[] }): string {
  return withRequest(VALIDATION, request)
}

export interface VerifyRequest {
  readonly volid: string
  readonly storage: string
  readonly path: string
  readonly sizeBytes: number
  readonly modifiedSeconds: number
  /** Begin even though a backup is due soon: it has waited long enough. */
  readonly anyway: boolean
}

/** Begins to read an archive, or finds the reading that was begun before and tells how far it is. */
export function verifyProgram(request: VerifyRequest): string {
  return withRequest(VERIFY, { ...request, bytes_per_second: ASSUMED_BYTES_PER_SECOND, most_attempts: MOST_ATTEMPTS, reader: READER })
}

const HEAD = shell`use strict; use warnings;
use JSON::PP;
$ENV{LC_ALL} = 'C'; $| = 1; umask 077;
my $json = JSON::PP->new->canonical->utf8;
my $ask = $json->decode(do { local $/; <DATA> });
sub answer { print $json->encode($_[0]), "\n"; exit 0 }
sub slurp { open my $f, '<', $_[0] or return; local $/; my $t = <$f>; return $t }
sub parsed { my $t = shift; return defined $t ? eval { $json->decode($t) } : undef }
sub run { my @c = @_; my $pid = open(my $p, '-|') // return (-1, ''); if (!$pid) { open STDERR, '>&', \*STDOUT; exec @c or do { print "$c[0]: $!"; exit 127 } } local $/; my $t = <$p> // ''; close $p; return ($? >> 8, $t) }`

const INSPECT = HEAD.concat(shell`
my ($rc, $path) = run('pvesm', 'path', $ask->{volid});
$path =~ s/\s+\z//;
answer({ state => 'unknown', why => "pvesm path $ask->{volid}: " . substr($path, 0, 300) }) if $rc;
answer({ state => 'unknown', why => "$ask->{volid} is not a file on this host ($path)" }) if $path !~ m{\A/[^\n]*\z};
my @st = stat $path;
answer({ state => 'absent', why => "$path: $!" }) if !@st;
my ($dir, $name) = $path =~ m{\A(.*)/([^/]+)\z};
my ($family, $base) = $name =~ /\A((vzdump-(?:qemu|lxc)-\d+-)\S+?)\.(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)\z/ ? ($2, $1) : ('', '');
answer({ state => 'unknown', why => "$name has no name that vzdump gives" }) if $family eq '';
opendir my $d, $dir or answer({ state => 'unknown', why => "$dir: $!" });
my @files;
for my $n (grep { index($_, $family) == 0 } readdir $d) { my @s = stat "$dir/$n" or next; push @files, { name => $n, size => 0 + $s[7], mtime => 0 + $s[9], dir => -d _ ? \1 : \0 } }
my @log = grep { /Starting Backup of VM|Finished Backup of VM|Backup of VM \d+ failed|archive file size|TASK / } split /\n/, slurp("$dir/$base.log") // '';
my $zone = readlink('/etc/localtime') // slurp('/etc/timezone') // '';
chomp $zone;
answer({ state => 'found', path => $path, now => 0 + time, zone => $zone, log_name => "$base.log", has_log => -e "$dir/$base.log" ? \1 : \0, log => [map { substr $_, 0, 400 } @log[0 .. ($#log > 40 ? 40 : $#log)]], files => \@files });`)

const VALIDATION = HEAD.concat(shell`
my (undef, $sub) = run('systemctl', 'show', '--property=SubState', '--value', $ask->{unit});
$sub =~ s/\s+//g;
answer({ state => 'running' }) if $sub =~ /\A(?:start|running|stop)/;
run('systemctl', 'stop', $ask->{unit}) if $sub ne 'dead';
my (undef, $log) = run('journalctl', '--unit', $ask->{unit}, '--output=cat', '--no-pager');
my (@made, $vmid, %archive, %said);
for my $line (split /\n/, $log) {
  $vmid = $1 if $line =~ /Starting Backup of VM (\d+) /;
  $archive{$vmid} = $1 if defined $vmid && $line =~ /creating (?:vzdump )?archive '[^']*\/([^'\/]+)'/;
  $said{$1} = 'ok' if $line =~ /Finished Backup of VM (\d+) /;
  $said{$1} = substr $line, 0, 300 if $line =~ /ERROR: Backup of VM (\d+) failed/;
}
my ($storage) = $log =~ /--storage (\S+)/;
my ($last) = reverse grep { /ERROR|rror/ } split /\n/, $log;
for my $id (@{ $ask->{guests} }) {
  my $ok = ($said{$id} // '') eq 'ok' && defined $archive{$id} && defined $storage;
  push @made, { vmid => 0 + $id, volid => $ok ? "$storage:backup/$archive{$id}" : undef, said => $said{$id} // substr($last // 'its log says nothing of this guest', 0, 300) };
}
answer({ state => 'over', guests => \@made });`)

/** Runs inside of the unit: one pass over the archive serves the checksum and the format's own check. */
const READER = shell`use strict; use warnings; use Digest::SHA; use JSON::PP;
my $dir = shift; my $json = JSON::PP->new->canonical->utf8;
my $ask = $json->decode(do { open my $f, '<', "$dir/request.json" or die; local $/; <$f> });
sub result { my %r = @_; open my $f, '>', "$dir/result.new" or die; print $f $json->encode(\%r); close $f or die; rename "$dir/result.new", "$dir/result.json" or die; exit 0 }
my $begun = time; my $path = $ask->{path};
my ($kind, $pack) = $path =~ /\.(vma|tar|tgz)(?:\.(gz|lzo|zst|bz2))?\z/ or result(state => 'unknown', why => 'neither a VMA nor a tar archive');
($kind, $pack) = ('tar', 'gz') if $kind eq 'tgz';
my %unpack = (zst => 'zstd -q -d -c', gz => 'gzip -d -c', lzo => 'lzop -d -c', bz2 => 'bzip2 -d -c');
my $check = $kind eq 'vma' ? 'vma verify -' : 'tar -t -f - >/dev/null';
my $line = $pack ? "$unpack{$pack} | $check" : $check;
open my $in, '<:raw', $path or result(state => 'unknown', why => "$path: $!");
$SIG{PIPE} = 'IGNORE';
my $program = '{ ' . $line . q[; echo "\${PIPESTATUS[@]}" >"$0/codes"; } 2>"$0/errors"];
open(my $out, '|-', 'bash', '-c', $program, $dir) or result(state => 'unknown', why => "bash: $!");
binmode $out;
my $sha = Digest::SHA->new(256); my ($read, $told, $broken) = (0, 0, 0);
while (1) {
  my $n = sysread $in, my $piece, 4 << 20;
  result(state => 'unknown', why => "reading $path stopped after $read bytes: $!") if !defined $n;
  last if !$n;
  $sha->add($piece); $read += $n;
  for (my $at = 0; $at < $n;) { my $w = syswrite $out, $piece, $n - $at, $at; if (!defined $w) { $broken = 1; last } $at += $w }
  last if $broken;
  if (time != $told) { $told = time; if (open my $f, '>', "$dir/progress") { print $f $read; close $f } }
}
close $out;
my @codes = split ' ', do { open my $f, '<', "$dir/codes"; local $/; ($f ? <$f> : '') // '' };
my $errors = do { open my $f, '<', "$dir/errors"; local $/; ($f ? <$f> : '') // '' };
my ($said) = grep { /\S/ } map { s/^\*\* \(process:\d+\): ERROR \*\*: [\d:.]+: //r } split /\n/, $errors;
$said = substr $said // 'it gave no reason', 0, 300;
result(state => 'unknown', why => "the check of $path was interrupted: $said") if !@codes || grep { $_ == 126 || $_ == 127 || $_ == 137 || $_ == 143 } @codes;
result(state => 'damaged', why => $said) if grep { $_ } @codes;
result(state => 'damaged', why => 'the check ended before the archive did') if $broken;
result(state => 'unknown', why => "$path has $read bytes by now, not $ask->{sizeBytes}") if $read != $ask->{sizeBytes};
result(state => 'readable', sha256 => $sha->hexdigest, seconds => time - $begun);`

const VERIFY = HEAD.concat(shell`
use Fcntl ':flock';
my $storage = $ask->{storage};
answer({ state => 'unknown', why => "storage $storage has an unusable name" }) if $storage !~ /\A[A-Za-z][A-Za-z0-9_.-]*\z/;
my $unit = "nightshift-verify-$storage.service"; my $dir = "/run/nightshift-verify/$storage";
mkdir '/run/nightshift-verify'; mkdir $dir;
open my $lock, '>', "$dir/lock" or answer({ state => 'unknown', why => "$dir/lock: $!" });
flock $lock, LOCK_EX;
my %mine = map { $_ => $ask->{$_} } qw(volid path sizeBytes modifiedSeconds);
my $known = parsed(slurp("$dir/request.json"));
my $is_mine = sub { my $of = shift; return $of && !grep { $of->{$_} ne $mine{$_} } keys %mine };
my $kept = sub { return "$dir/kept-" . (shift->{path} =~ s{.*/}{}r) . '.json' };
my $same = $is_mine->($known);
my $before = parsed(slurp($kept->(\%mine)));
answer($before->{result}) if $before && $is_mine->($before->{of});
my (undef, $active) = run('systemctl', 'is-active', $unit); my $runs = $active =~ /\A(?:active|activating|deactivating)/;
if ($same) {
  my $done = parsed(slurp("$dir/result.json"));
  # what could not be known this time may be known the next
  unlink "$dir/request.json", "$dir/result.json" if $done && $done->{state} eq 'unknown';
  answer($done) if $done;
  answer({ state => 'running', readBytes => 0 + (slurp("$dir/progress") || 0), sizeBytes => 0 + $mine{sizeBytes} }) if $runs;
  answer({ state => 'unknown', why => "the reading on the host was ended from outside $known->{attempts} times" }) if $known->{attempts} >= $ask->{most_attempts};
}
answer({ state => 'waiting', why => "$known->{volid} of the same storage is being read" }) if $runs;
my @st = stat $mine{path} or answer({ state => 'unknown', why => "$mine{path}: $!" });
answer({ state => 'unknown', why => "$mine{path} is another file by now ($st[7] bytes, $st[9])" }) if $st[7] != $mine{sizeBytes} || $st[9] != $mine{modifiedSeconds};
my ($busy) = grep { /\AUPID:[^:]+:([0-9A-F]+):[^ ]*:vzdump:[^ ]*(?: \d)?\s*\z/i && kill 0, hex $1 } split /\n/, slurp('/var/log/pve/tasks/active') // '';
answer({ state => 'waiting', why => 'a backup is running on this host' }) if $busy;
if (!$ask->{anyway}) {
  my ($rc, $jobs) = run('pvesh', 'get', '/cluster/backup', '--output-format', 'json');
  my $need = 30 + $mine{sizeBytes} / $ask->{bytes_per_second};
  for my $job ($rc ? () : @{ parsed($jobs) // [] }) {
    my $left = ($job->{enabled} // 1) && $job->{'next-run'} ? $job->{'next-run'} - time : next;
    answer({ state => 'waiting', why => "job $job->{id} is due before the reading would be over" }) if $left < $need;
  }
}
my $put = sub { my ($name, $text) = @_; open my $f, '>', "$dir/$name.new" or answer({ state => 'unknown', why => "$dir: $!" }); print $f $text; close $f or answer({ state => 'unknown', why => "$dir: $!" }); rename "$dir/$name.new", "$dir/$name" };
# nobody has asked for the other one's result yet
my $other = $same ? undef : parsed(slurp("$dir/result.json"));
$put->($kept->($known) =~ s{.*/}{}r, $json->encode({ of => $known, result => $other })) if $other && $known && $other->{state} ne 'unknown';
unlink map { "$dir/$_" } qw(result.json progress codes errors);
$put->('reader.pl', $ask->{reader});
$put->('request.json', $json->encode({ %mine, attempts => 1 + ($same ? $known->{attempts} : 0) }));
run('systemctl', 'reset-failed', $unit);
my ($rc, $said) = run('systemd-run', '--quiet', '--collect', "--unit=$unit", '-p', 'IOSchedulingClass=idle', '-p', 'CPUSchedulingPolicy=idle', '-p', 'Nice=19', 'perl', "$dir/reader.pl", $dir);
answer({ state => 'unknown', why => 'systemd-run: ' . substr($said, 0, 300) }) if $rc;
answer({ state => 'running', readBytes => 0, sizeBytes => 0 + $mine{sizeBytes} });`)
