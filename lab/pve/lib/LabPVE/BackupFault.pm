package LabPVE::BackupFault;
# Backups that go wrong on purpose: /etc/nightshift-lab/pve.json {"backup_faults":{"102":"fail","103":"hang","105":"crash","101":"short"}}.
#   fail [TEXT]  the guest's backup fails in the middle (text of the transfer, by default an input/output error); the run goes on and ends with `job errors`
#   hang         the transfer stands still: `.dat`, lock and a running task stay until the setting is gone (then it goes on) or the task is stopped
#   crash        the host dies in the transfer: `.dat`, `.tmp`, `lock: backup` and a task without end stay behind
#   short        the run ends well and the archive has its name, but the storage lost the end of the file
use v5.36;
use LabPVE::Env;

my $DEFAULT = { qemu => 'job failed with err -5 - Input/output error', lxc => "command 'tar' failed: exit code 2" };

# The fault of a guest as (kind, text), read afresh: it may be lifted while a transfer stands still.
sub of ($vmid) { return split / /, (LabPVE::Env::settings_now()->{backup_faults} // {})->{$vmid} // '', 2 }

# In the middle of a transfer: part of the archive is written and the run stops, ends or dies here.
sub strike ($task, $log) {
  my ($kind, $text) = of($task->{vmid});
  return if !defined $kind || $kind eq 'short';
  LabPVE::Env::write_file($task->{tmptar}, 'PART' x 1024);
  if ($kind eq 'crash') {
    # On a dying host the command that waits for the task dies too; the scheduler's next start is what a reboot brings.
    kill 'KILL', $LabPVE::Env::COMMAND_PID if $LabPVE::Env::COMMAND !~ /^(?:pvescheduler|nightshift-lab-pve)\b/;
    kill 'KILL', $$;
  }
  if ($kind eq 'hang') {
    require LabPVE::Tasks;
    LabPVE::Tasks::detach();
    while (((of($task->{vmid}))[0] // '') eq 'hang') {
      # A host whose folder was removed is gone; nothing may outlive it.
      exit 1 if !-d LabPVE::Env::path('/etc/pve');
      select undef, undef, undef, 0.1;
    }
    return;
  }
  die "nightshift-lab: backup_faults of guest $task->{vmid}: '$kind' is none of fail, hang, crash, short\n" if $kind ne 'fail';
  $text //= $DEFAULT->{ $task->{type} };
  $log->('err', $text) if $task->{type} eq 'qemu';
  $log->('info', 'aborting backup job') if $task->{type} eq 'qemu';
  $log->('info', 'resuming VM again') if $task->{type} eq 'qemu' && $task->{running};
  die "$text\n";
}

# After the rename: the storage lost the end of the archive.
sub shorten ($task) {
  my ($kind) = of($task->{vmid});
  return if ($kind // '') ne 'short';
  my $path = LabPVE::Env::path($task->{target});
  truncate $path, int((-s $path) * 0.6) or die "unable to shorten '$task->{target}' - $!\n";
  return;
}
1;
