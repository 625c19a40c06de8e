package LabPVE::VZDumpLxc;
# Backing up a container: what the guest plug-in does and says (pve-container PVE/VZDump/LXC.pm). The archive is a tar of /var/lib/nightshift-lab/ct/ID/rootfs
# (and of mpN beside it for volumes that take part), with the config in ./etc/vzdump/pct.conf.
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;
use LabPVE::Selection;
use LabPVE::VZDumpQemu;

sub archive ($task, $log) {
  my ($vmid, $o) = @$task{qw(vmid opts)};
  my $running = LabPVE::Guests::is_running($vmid);
  $log->('info', 'status = ' . ($running ? 'running' : 'stopped'));
  my $c = LabPVE::Guests::load('lxc', $vmid);
  LabPVE::Guests::check_lock('lxc', $c);
  LabPVE::VZDumpQemu::lock_guest($task, 'lxc', $vmid);
  $task->{name} = $c->{main}{hostname} // "CT$vmid";
  my $mode = $running ? $o->{mode} : 'stop';
  my @volumes = LabPVE::Selection::volumes('lxc', $c->{main});
  my $about = sub {
    $log->('info', "CT Name: $task->{name}");
    for my $v (@volumes) {
      my $mp = $v->{key} eq 'rootfs' ? '/' : $v->{drive}{mp};
      if ($v->{included}) { $log->('info', "including mount point $v->{key} ('$mp') in backup"); next }
      my $kind = $v->{reason} eq 'not a volume' ? 'bind' : 'volume';
      $log->('info', "excluding $kind mount point $v->{key} ('$mp') from backup ($v->{reason})");
    }
  };
  if ($mode eq 'snapshot') {
    # Directories cannot be snapshotted: the real plug-in then suspends the guest.
    $about->();
    $log->('info', 'mode failure - some volumes do not support snapshots');
    $log->('info', "trying 'suspend' mode instead");
    $mode = 'suspend';
  }
  $log->('info', "backup mode: $mode");
  $log->('info', "bandwidth limit: $o->{bwlimit} KiB/s") if $o->{bwlimit};
  $log->('info', "ionice priority: $o->{ionice}");
  $about->();
  if ($mode eq 'suspend') {
    $log->('info', 'suspending guest');
    $log->('info', 'resuming guest');
    $log->('info', 'guest is online again after <1 seconds');
  }
  elsif ($running) { $log->('info', 'stopping virtual guest') }
  $log->('info', "creating vzdump archive '$task->{target}'");
  LabPVE::VZDumpQemu::strike($task, $log);
  write_tar($task, $c, $log);
  return;
}

sub write_tar ($task, $c, $log) {
  my $root = LabPVE::Env::path("/var/lib/nightshift-lab/ct/$task->{vmid}/rootfs");
  die "no such volume '" . LabPVE::Guests::drive($c->{main}{rootfs} // '')->{''} . "'\n" if !-d $root;
  my %main = %{ $c->{main} };
  delete $main{lock};
  LabPVE::Env::write_file("$task->{tmpdir}/etc/vzdump/pct.conf", LabPVE::Guests::render({ main => \%main, pending => {}, sections => [] }));
  my @exclude = $task->{opts}{stdexcludes} // 1 ? ('--exclude=./tmp/?*', '--exclude=./var/tmp/?*', '--exclude=./var/run/?*.pid') : ();
  my @options = qw(--totals --one-file-system -p --sparse --numeric-owner --acls --xattrs --warning=no-file-ignored --warning=no-xattr-write);
  my @cmd = ('tar', 'cpf', '-', @options, @exclude, '--directory=' . LabPVE::Env::path($task->{tmpdir}), './etc/vzdump/pct.conf', "--directory=$root", '.');
  my $out = LabPVE::VZDumpQemu::open_archive($task);
  my $pid = open my $tar, '-|' // die "unable to fork - $!\n";
  if (!$pid) {
    open STDERR, '>', LabPVE::Env::path("$task->{tmpdir}/tar.err");
    exec { $cmd[0] } @cmd or exit 127;
  }
  binmode $tar;
  while (read $tar, my $buf, 1 << 20) { print $out $buf or last }
  my $good = close $tar;
  my $status = $? >> 8;
  LabPVE::VZDumpQemu::close_archive($task, $out);
  for my $line (split /\n/, LabPVE::Env::read_file("$task->{tmpdir}/tar.err") // '') { $log->('info', $line) }
  die "command 'tar' failed: exit code $status\n" if !$good;
  return;
}
1;
