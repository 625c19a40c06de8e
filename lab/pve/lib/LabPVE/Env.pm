package LabPVE::Env;
# Where the emulated Proxmox commands live: root prefix, clock, zone, node name, lab settings, files.
# NIGHTSHIFT_LAB_ROOT prefixes every path; NIGHTSHIFT_LAB_NOW (epoch) fixes the clock: then waiting moves the clock instead of sleeping.
use v5.36;

our $ROOT = $ENV{NIGHTSHIFT_LAB_ROOT} // '';
our $NOW  = $ENV{NIGHTSHIFT_LAB_NOW};
# The command this process answers for (program and words before the first option), and its process: a task's worker has another one.
our $COMMAND = '';
our $COMMAND_PID = $$;
my $settings;

# Notes a change of the estate in the lab's ledger (Ledger.pm, loaded only here): effect, subject, detail.
sub record_effect (@effect) {
  require LabPVE::Ledger;
  return LabPVE::Ledger::record(@effect);
}

sub path ($p) { return "$ROOT$p" }

# A real path without the root prefix, as Proxmox would print it.
sub shown ($p) { return length $ROOT && index($p, $ROOT) == 0 ? substr($p, length $ROOT) : $p }

sub now { return $NOW // time }
sub clock_fixed { return defined $NOW }
sub set_now ($epoch) { $NOW = int $epoch; return }

# Under a fixed clock a new file gets that time; else the kernel gave it the right one.
sub stamp_file ($file) { utime $NOW, $NOW, path($file) if defined $NOW; return }

# Wait: under a fixed clock the clock moves on, else the process sleeps.
sub pass_seconds ($s) {
  if (defined $NOW) { $NOW += $s } else { select undef, undef, undef, $s }
  return;
}

# Settings of the lab host: /etc/nightshift-lab/pve.json {"latency_ms":0,"node":"pve","now":null,"recording":{...}}
sub settings { return $settings //= settings_now() }
sub settings_now {
  my $raw = read_file('/etc/nightshift-lab/pve.json');
  return {} if !defined $raw;
  require LabPVE::Json;
  return LabPVE::Json::decode($raw);
}

# Applied once per process: zone of the lab host, clock of the settings file, latency.
sub start {
  if (!length $ROOT && !-e '/etc/nightshift-lab/pve.json') {
    require LabPVE::Unknown;
    LabPVE::Unknown::no_host();
  }
  my $s = settings();
  $NOW //= $s->{now};
  if (!defined $ENV{TZ} && length $ROOT) {
    my $link = readlink path('/etc/localtime');
    $ENV{TZ} = defined $link && $link =~ m{zoneinfo/(.+)$} ? $1 : -e path('/etc/localtime') ? ':' . path('/etc/localtime') : 'UTC';
  }
  my $ms = $s->{latency_ms} // 0;
  select undef, undef, undef, $ms / 1000 if $ms > 0;
  return;
}

# SHA-1 of a file's raw text, as the API shows it; computed only where it is asked for.
sub digest ($raw) {
  require Digest::SHA;
  return Digest::SHA::sha1_hex($raw);
}

# What stands in for hardware while a recording is replayed (see Recording.pm); undef on a lab host.
sub recording { return settings()->{recording} }

my $node;
sub node {
  return $node //= settings()->{node} // do {
    open my $fh, '<', '/proc/sys/kernel/hostname' or die "unable to read the host name: $!\n";
    my $name = <$fh>;
    chomp $name;
    $name =~ s/\..*$//;
    $name;
  };
}

sub read_file ($p) {
  open my $fh, '<:raw', path($p) or return undef;
  local $/;
  my $raw = <$fh>;
  return $raw // '';
}

sub make_dir ($p) {
  my $at = path('');
  for my $part (grep { length } split m{/}, $p) { $at .= "/$part"; mkdir $at }
  return;
}

# Written beside and renamed, as Proxmox does: a reader sees the old or the new file.
sub write_file ($p, $text) {
  $p =~ m{^(.*)/[^/]+$} and make_dir($1);
  my $tmp = path("$p.tmp.$$");
  utf8::encode($text) if utf8::is_utf8($text);
  open my $fh, '>:raw', $tmp or die "unable to open file '$p.tmp.$$' - $!\n";
  print $fh $text;
  close $fh or die "unable to write '$p' - $!\n";
  rename $tmp, path($p) or die "unable to write '$p' - $!\n";
  return;
}

sub remove_file ($p) { return unlink path($p) }
sub exists_file ($p) { return -e path($p) }

sub list_dir ($p) {
  opendir my $dh, path($p) or return;
  my @names = grep { $_ ne '.' && $_ ne '..' } readdir $dh;
  return sort @names;
}

# An exclusive advisory lock for read-change-write of one file of /etc/pve (cfs_lock in Proxmox); gives up after 10 s.
sub with_lock ($name, $code) {
  make_dir('/run/nightshift-lab/lock');
  open my $fh, '>>', path("/run/nightshift-lab/lock/$name") or die "cfs-lock '$name' error: $!\n";
  my $tries = 0;
  until (flock $fh, 2 | 4) {
    die "cfs-lock '$name' error: got lock request timeout\n" if $tries++ >= 100;
    select undef, undef, undef, 0.1;
  }
  return $code->();
}

my @WD = qw(Sun Mon Tue Wed Thu Fri Sat);
my @MON = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);
sub ctime_text ($epoch, $utc = 0) {
  my @t = $utc ? gmtime $epoch : localtime $epoch;
  return sprintf '%s %s %2d %02d:%02d:%02d %d', $WD[$t[6]], $MON[$t[4]], $t[3], $t[2], $t[1], $t[0], $t[5] + 1900;
}
sub local_text ($epoch) {
  my @t = localtime $epoch;
  return sprintf '%04d-%02d-%02d %02d:%02d:%02d', $t[5] + 1900, $t[4] + 1, $t[3], $t[2], $t[1], $t[0];
}
1;
