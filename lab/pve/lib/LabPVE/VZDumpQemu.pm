package LabPVE::VZDumpQemu;
# Backing up a VM: what the guest plug-in does and says (qemu-server PVE/VZDump/QemuServer.pm). The archive is a real VMA container of the disk files.
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;
use LabPVE::Selection;
use LabPVE::VZDump;
use LabPVE::Vma;
use LabPVE::Volumes;

sub disk_lines ($task, $c, $log) {
  for my $v (LabPVE::Selection::volumes('qemu', $c->{main})) {
    if ($v->{included}) { $log->('info', "include disk '$v->{key}' '$v->{volume}' " . ($v->{drive}{size} // '')); push @{ $task->{included} }, $v; next }
    my $why = $v->{reason} eq 'backup=no' ? '(backup=no)' : "($v->{reason})";
    $log->('info', "exclude disk '$v->{key}' '$v->{volume}' $why");
  }
  for my $k (sort grep { /^unused\d+$/ } keys %{ $c->{main} }) { $log->('info', "skip unused drive '$c->{main}{$k}' (not included into backup)") }
  $log->('info', 'snapshots found (not included into backup)') if grep { $_->{name} !~ /^special:/ } @{ $c->{sections} };
  $log->('info', 'pending configuration changes found (not included into backup)') if %{ $c->{pending} };
  return;
}

sub archive ($task, $log) {
  my ($vmid, $o) = @$task{qw(vmid opts)};
  my $recording = LabPVE::Env::recording();
  require LabPVE::Recording if $recording;
  my $running = $recording ? LabPVE::Recording::is_running($vmid) : LabPVE::Guests::is_running($vmid);
  $task->{running} = $running;
  $log->('info', 'status = ' . ($running ? 'running' : 'stopped'));
  my $c = LabPVE::Guests::load('qemu', $vmid);
  LabPVE::Guests::check_lock('qemu', $c);
  lock_guest($task, 'qemu', $vmid);
  $task->{name} = $c->{main}{name} // "VM $vmid";
  $task->{agent} = LabPVE::Guests::agent_enabled($c->{main});
  $task->{included} = [];
  my $mode = $running ? $o->{mode} : 'stop';
  my $about = sub { $log->('info', "VM Name: $task->{name}"); disk_lines($task, $c, $log) };
  $about->() if $mode eq 'snapshot';
  $log->('info', "backup mode: $mode");
  $log->('info', "bandwidth limit: $o->{bwlimit} KiB/s") if $o->{bwlimit};
  $log->('info', "ionice priority: $o->{ionice}");
  $about->() if $mode ne 'snapshot';
  my $stopped_at;
  if ($mode eq 'stop' && $running) { $log->('info', 'stopping virtual guest'); $stopped_at = LabPVE::Env::now() }
  if ($mode eq 'suspend') { $log->('info', 'suspending guest'); $stopped_at = LabPVE::Env::now() }
  $log->('info', "creating vzdump archive '$task->{target}'");
  LabPVE::Env::write_file("$task->{tmpdir}/qemu-server.conf", config_text($c, $task));
  if (!@{ $task->{included} }) {
    $log->('info', 'backup contains no disks');
    $log->('info', 'starting diskless backup');
    my $pipe = $task->{compressor} ? 'exec:' . join(' ', @{ $task->{compressor} }) . " > $task->{tmptar}" : $task->{tmptar};
    $log->('info', "/usr/bin/vma create -v -c $task->{tmpdir}/qemu-server.conf $pipe");
    $recording ? LabPVE::Recording::write_archive($task->{tmptar}) : write_vma($task, sub (@) { });
    return;
  }
  if ($recording) { LabPVE::Recording::archive($task, $log); return }
  transfer($task, $log);
  $log->('info', 'resuming VM again after ' . (LabPVE::Env::now() - $stopped_at || '<1') . ' seconds') if defined $stopped_at;
  return;
}

# `lock: backup` while the archive is written; a crash leaves it, as on a real host.
sub lock_guest ($task, $type, $vmid) {
  return if LabPVE::Env::recording();
  my $change = sub ($lock) {
    LabPVE::Env::with_lock("$type-$vmid", sub {
      my $c = LabPVE::Guests::load($type, $vmid);
      if (defined $lock) { $c->{main}{lock} = $lock } else { delete $c->{main}{lock} }
      LabPVE::Guests::save($type, $vmid, $c);
    });
  };
  $change->('backup');
  $task->{cleanup} = sub { $change->(undef) };
  return;
}

# The config as it goes into the archive: no snapshots, no pending changes, no lock; one map line per disk.
sub config_text ($c, $task) {
  my %main = %{ $c->{main} };
  delete $main{lock};
  my $out = LabPVE::Guests::render({ main => \%main, pending => {}, sections => [] });
  for my $v (@{ $task->{included} }) {
    my ($storage) = $v->{volume} =~ /^([^:]+):/;
    my ($format) = $v->{volume} =~ /\.(qcow2|vmdk)$/;
    $out .= "#qmdump#map:$v->{key}:drive-$v->{key}:$storage:" . ($format // 'raw') . ":\n";
  }
  return $out;
}

sub gib ($bytes) {
  for my $u (['TiB', 1024**4], ['GiB', 1024**3], ['MiB', 1024**2], ['KiB', 1024]) { return sprintf '%.1f %s', $bytes / $u->[1], $u->[0] if $bytes >= $u->[1] }
  return "$bytes B";
}

sub transfer ($task, $log) {
  my $live = $task->{running} && $task->{mode} eq 'snapshot';
  $log->('info', 'starting kvm to execute backup task') if !$task->{running};
  my $frozen = 0;
  if ($live && $task->{agent}) {
    if ((LabPVE::Guests::power($task->{vmid})->{agent} // 'alive') eq 'alive') {
      $log->('info', "issuing guest-agent 'fs-freeze' command");
      $frozen = 1;
    }
    else { $log->('info', 'skipping guest-agent \'fs-freeze\', agent configured but not running?') }
  }
  $log->('info', 'starting backup via QMP command');
  $log->('info', "issuing guest-agent 'fs-thaw' command") if $frozen;
  open my $fh, '<', '/proc/sys/kernel/random/uuid' or die "unable to generate a UUID: $!\n";
  chomp(my $uuid = <$fh>);
  $log->('info', "started backup task '$uuid'");
  $log->('info', 'resuming VM again') if $live;
  strike($task, $log);
  my $begin = LabPVE::Env::now();
  my $last = -100;
  my $stat = write_vma($task, sub ($done, $total) {
    my $percent = $total ? int($done * 100 / $total) : 100;
    return if $percent < 100 && $percent < $last + 25;
    $last = $percent;
    my $s = LabPVE::Env::now() - $begin;
    $log->('info', sprintf '%3d%% (%s of %s) in %ds, read: %s/s, write: %s/s', $percent, gib($done), gib($total), $s, gib(int($done / ($s || 1))), gib(int($done / 2 / ($s || 1))));
  });
  my $s = LabPVE::Env::now() - $begin;
  my $percent = $stat->{total} ? int($stat->{zero} * 100 / $stat->{total}) : 0;
  $log->('info', sprintf 'backup is sparse: %s (%d%%) total zero data', gib($stat->{zero}) =~ s/(\d)\.(\d) /$1.${2}0 /r, $percent) if $stat->{zero};
  $log->('info', sprintf 'transferred %s in %s seconds (%s/s)', gib($stat->{total}) =~ s/(\d)\.(\d) /$1.${2}0 /r, $s || '<1', gib(int($stat->{total} / ($s || 1))));
  $log->('info', 'stopping kvm after backup task') if !$task->{running};
  return;
}

# A backup that shall go wrong does so here (BackupFault.pm, loaded only when the settings name any).
sub strike ($task, $log) {
  return if !LabPVE::Env::settings()->{backup_faults};
  require LabPVE::BackupFault;
  return LabPVE::BackupFault::strike($task, $log);
}

# The VMA container through the compressor into the `.dat` file: { total, zero }.
sub write_vma ($task, $progress) {
  my $cfg = LabPVE::Storage::config();
  my @devices;
  for my $v (@{ $task->{included} }) {
    my $file = LabPVE::Volumes::disk_file($cfg, $v->{volume});
    die "no such volume '$v->{volume}'\n" if !-f LabPVE::Env::path($file);
    push @devices, { name => "drive-$v->{key}", file => LabPVE::Env::path($file) };
  }
  my $config = LabPVE::Env::read_file("$task->{tmpdir}/qemu-server.conf");
  my $out = LabPVE::VZDumpQemu::open_archive($task);
  my $stat = LabPVE::Vma::write($out, [['qemu-server.conf', $config]], \@devices, LabPVE::Env::now(), $progress);
  close_archive($task, $out);
  return $stat;
}

# A handle that writes the task's `.dat`, through the compressor when there is one.
sub open_archive ($task) {
  my $real = LabPVE::Env::path($task->{tmptar});
  if (!$task->{compressor}) {
    open my $fh, '>:raw', $real or die "unable to open '$task->{tmptar}' - $!\n";
    return $fh;
  }
  my $pid = open my $fh, '|-' // die "unable to fork - $!\n";
  if (!$pid) {
    open STDOUT, '>', $real or exit 1;
    my @cmd = @{ $task->{compressor} };
    exec { $cmd[0] } @cmd, '-q', '-c' or exit 127;
  }
  binmode $fh;
  return $fh;
}

sub close_archive ($task, $fh) {
  return if close $fh;
  my $what = $task->{compressor} ? join ' ', @{ $task->{compressor} } : 'write';
  die $! ? "writing the archive failed - $!\n" : "$what failed - wrong exit status " . ($? >> 8) . "\n";
}
1;
