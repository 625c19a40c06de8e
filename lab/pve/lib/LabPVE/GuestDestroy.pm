package LabPVE::GuestDestroy;
# Destroying guests, and what `--purge` edits besides (qemu-server PVE/API2/Qemu.pm destroy_vm, pve-guest-common PVE/VZDump/Plugin / AbstractConfig, PVE/API2/LXC.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;
use LabPVE::Guests;
use LabPVE::Tasks;

sub destroy ($type, $param) {
  my $vmid = $param->{vmid};
  my $what = $type eq 'qemu' ? 'VM' : 'CT';
  my $check = sub {
    my $c = LabPVE::Guests::load($type, $vmid);
    LabPVE::Guests::check_lock($type, $c) if $type eq 'qemu' && !$param->{skiplock};
    die "can't remove $what $vmid - protection mode enabled\n" if $c->{main}{protection};
    LabPVE::Guests::check_lock($type, $c) if $type eq 'lxc' && !$param->{force};
    if (LabPVE::Guests::is_running($vmid)) {
      die "VM $vmid is running - destroy failed\n" if $type eq 'qemu';
      die "unable to destroy CT $vmid - container is running\n" if !$param->{force};
    }
    return $c;
  };
  $check->();
  return LabPVE::Tasks::run($type eq 'qemu' ? 'qmdestroy' : 'vzdestroy', $vmid, sub ($) {
    my $c = $check->();
    remove_disks($type, $vmid, $c);
    LabPVE::Env::remove_file(LabPVE::Guests::state_path($vmid));
    require LabPVE::Users;
    LabPVE::Users::remove('vms', $vmid);
    LabPVE::Env::remove_file("/etc/pve/firewall/$vmid.fw");
    if ($param->{purge}) {
      print "purging $what $vmid from related configurations..\n";
      purge($vmid);
    }
    LabPVE::Env::remove_file(LabPVE::Guests::conf_path($type, $vmid));
    LabPVE::Env::record_effect('guest.delete', $vmid);
  });
}

# Disks of the config and, on the storages they lie on, whatever else belongs to the guest.
sub remove_disks ($type, $vmid, $c) {
  require LabPVE::Storage;
  require LabPVE::Volumes;
  my $cfg = LabPVE::Storage::config();
  my @names = $type eq 'qemu' ? @LabPVE::Guests::QEMU_DISKS : @LabPVE::Guests::LXC_DISKS;
  for my $k (@names, map { "unused$_" } 0 .. 255) {
    my $text = $c->{main}{$k} // next;
    my $o = LabPVE::Guests::drive($text);
    my $volid = $o->{''} // '';
    next if LabPVE::Guests::is_cdrom($o) || $volid !~ /^[a-z][\w.-]*:/i;
    my $file = eval { LabPVE::Volumes::disk_file($cfg, $volid) } // next;
    LabPVE::Env::record_effect('disk.remove', $volid) if LabPVE::Env::remove_file($file);
    rmdir LabPVE::Env::path($file =~ s{/[^/]+$}{}r) if $file =~ m{/images/\d+/};
  }
  return;
}

# The second writer of jobs.cfg: every key sorted, ids removed from `vmid` and `exclude`, jobs without ids deleted; vzdump.cron and replication.cfg rewritten.
sub purge ($vmid) {
  require LabPVE::Jobs;
  my $cfg = LabPVE::Jobs::read_config();
  for my $id (@{ $cfg->{order} }) {
    my $job = $cfg->{ids}{$id} or next;
    for my $k (qw(vmid exclude)) {
      next if !defined $job->{$k};
      my @left = grep { $_ ne $vmid } LabPVE::Formats::split_list($job->{$k});
      if (@left) { $job->{$k} = join ',', @left }
      elsif ($k eq 'vmid') { delete $cfg->{ids}{$id}; last }
      else { delete $job->{$k} }
    }
  }
  LabPVE::Jobs::write_config($cfg, 1);
  my $cron = LabPVE::Jobs::read_cron();
  my @keep;
  for my $job (@{ $cron->{jobs} }) {
    for my $k (qw(vmid exclude)) { $job->{$k} = join ',', grep { $_ ne $vmid } LabPVE::Formats::split_list($job->{$k}) if defined $job->{$k} }
    push @keep, $job if $job->{all} || $job->{pool} || ($job->{vmid} // '') ne '';
  }
  $cron->{jobs} = \@keep;
  LabPVE::Jobs::write_cron($cron);
  LabPVE::Env::write_file('/etc/pve/replication.cfg', LabPVE::Env::read_file('/etc/pve/replication.cfg') // '');
  LabPVE::Env::record_effect('job.purge', $vmid);
  return;
}
1;
