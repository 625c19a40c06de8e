package LabPVE::Recording;
# Only while a recording is replayed: the recordings were made on a host without QEMU, and stand-ins printed the lines of a transfer and of `vma`.
# Settings (pve.json "recording"): running [vmids the guest plug-in calls running], archive_bytes, qmp_line, notifications, no_ha, lock_held_from/until.
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;

sub is_running ($vmid) { return scalar grep { $_ == $vmid } @{ LabPVE::Env::recording()->{running} } }

my $UUID = '6f6d2f0b-1f2e-4b8b-a7f3-3d0e4c1f0a11';

# Lines of the stand-in transfer of $gib GiB, and the archive of fixed size.
sub archive ($task, $log) {
  my $r = LabPVE::Env::recording();
  my $bytes = 0;
  $bytes += LabPVE::Guests::bytes($_->{drive}{size}) for @{ $task->{included} };
  my $gib = $bytes / 1024**3;
  if ($task->{running}) {
    $log->('info', "issuing guest-agent 'fs-freeze' command") if $task->{agent};
    $log->('info', 'starting backup via QMP command') if $r->{qmp_line};
    $log->('info', "issuing guest-agent 'fs-thaw' command") if $task->{agent};
  }
  else {
    $log->('info', 'starting kvm to execute backup task');
    $log->('info', 'starting backup via QMP command');
  }
  $log->('info', "started backup task '$UUID'");
  $log->('info', 'resuming VM again') if $task->{running};
  my $seconds = $gib >= 32 ? 69 : 4;
  my $first = int(100 / ($gib || 1));
  $log->('info', sprintf '%3d%% (1.0 GiB of %.1f GiB) in 3s, read: 349.5 MiB/s, write: 180.1 MiB/s', $first, $gib);
  $log->('info', sprintf '100%% (%.1f GiB of %.1f GiB) in %s, read: 1.0 GiB/s, write: 0 B/s', $gib, $gib, $seconds >= 60 ? '1m 9s' : "${seconds}s");
  my %ZERO = (32 => '27.11', 2 => '1.69');
  $log->('info', sprintf 'backup is sparse: %s GiB (84%%) total zero data', $ZERO{$gib} // sprintf '%.2f', $gib * 0.845);
  $log->('info', sprintf 'transferred %.2f GiB in %d seconds (474.9 MiB/s)', $gib, $seconds);
  $log->('info', 'stopping kvm after backup task') if !$task->{running};
  write_archive($task->{tmptar});
  return;
}

sub write_archive ($file) {
  open my $fh, '>', LabPVE::Env::path($file) or die "unable to open '$file' - $!\n";
  truncate $fh, LabPVE::Env::recording()->{archive_bytes};
  close $fh;
  return;
}

# The stand-in `vma` reads the archive as the config itself: { config => text, devices => [[name, bytes]] }.
sub read_archive ($file) {
  require LabPVE::ArchiveConfig;
  my $text = LabPVE::ArchiveConfig::decompressed($file);
  my $c = LabPVE::Guests::parse($text);
  my @devices;
  while ($text =~ /^#qmdump#map:(\w+):(drive-\w+):/mg) { push @devices, [$2, LabPVE::Guests::bytes(LabPVE::Guests::drive($c->{main}{$1})->{size})] }
  return { config => $text, devices => \@devices, ctime_text => 'Sat Nov 21 02:00:01 2026' };
}

sub restore_lines ($bytes) {
  print sprintf("progress 1%% (read %d bytes, duration 0 sec)\n", int($bytes / 100 / 65536) * 65536 + 10747904 - int(1073741824 / 100 / 65536) * 65536);
  print "progress 100% (read $bytes bytes, duration 3 sec)\n";
  printf "total bytes read %d, sparse bytes %d (81.2%%)\nspace reduction due to 4K zero blocks 2.95%%\n", $bytes, 871366656;
  return;
}
1;
