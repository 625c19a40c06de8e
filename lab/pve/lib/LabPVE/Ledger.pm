package LabPVE::Ledger;
# What changed the estate: one JSON line an effect, appended when the effect is durable and before the command answers, so that a test can count effects
# and end a caller exactly between an effect and its answer. The ledger belongs to the lab; Proxmox has none.
#   {"at":EPOCH,"by":"pvesh set /cluster/backup/nightly","detail":{...},"effect":"job.set","pid":N,"subject":"nightly"}
# `by` is the program and its words before the first option; `detail` may have options, never a password.
use v5.36;
use Fcntl ();
use LabPVE::Env;
use LabPVE::Json;

our $FILE = '/var/lib/nightshift-lab/ledger.jsonl';
our $HOLD = '/var/lib/nightshift-lab/hold-after-effect';
our $HELD = '/var/lib/nightshift-lab/held-after-effect';

# Appends one effect; $subject names the job, storage, guest, volume or task; $detail: what else tells two effects apart (UPID, bytes).
sub record ($effect, $subject, $detail = {}) {
  my $line = LabPVE::Json::encode({ at => 0 + LabPVE::Env::now(), by => $LabPVE::Env::COMMAND, detail => $detail, effect => $effect, pid => $$, subject => "$subject" }) . "\n";
  LabPVE::Env::make_dir('/var/lib/nightshift-lab');
  sysopen my $fh, LabPVE::Env::path($FILE), Fcntl::O_WRONLY() | Fcntl::O_APPEND() | Fcntl::O_CREAT(), 0644 or die_unwritten($effect, $subject);
  (syswrite($fh, $line) // 0) == length $line or die_unwritten($effect, $subject);
  hold("$effect $subject", $line) if LabPVE::Env::exists_file($HOLD);
  return;
}

sub die_unwritten ($effect, $subject) { die "nightshift-lab: the effect '$effect $subject' happened but could not be written to $FILE - $!\n" }

# The switch: one line `block PATTERN` or `kill PATTERN`, PATTERN with `*` over "EFFECT SUBJECT". It works once: the first effect that fits takes it, by a rename
# that only one process can win. `block` waits until the file $HELD is gone; `kill` ends the command that would have answered. What the scheduler starts has
# no caller, so it is never held.
sub hold ($what, $line) {
  return if $LabPVE::Env::COMMAND =~ /^(?:pvescheduler|nightshift-lab-pve)\b/;
  my ($action, $pattern) = (LabPVE::Env::read_file($HOLD) // '') =~ /^(block|kill)\s+(\S.*?)\s*$/m or return;
  my $re = join '.*', map { quotemeta } split /\*/, $pattern, -1;
  return if $what !~ /^$re$/;
  rename LabPVE::Env::path($HOLD), LabPVE::Env::path("$HELD.$$") or return;
  LabPVE::Env::write_file("$HELD.$$", $line);
  rename LabPVE::Env::path("$HELD.$$"), LabPVE::Env::path($HELD);
  if ($action eq 'kill') { kill 'KILL', $LabPVE::Env::COMMAND_PID; kill 'KILL', $$ }
  select undef, undef, undef, 0.02 while LabPVE::Env::exists_file($HELD);
  return;
}
1;
