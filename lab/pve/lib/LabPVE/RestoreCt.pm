package LabPVE::RestoreCt;
# Restoring a container: `pct restore` (pve-container PVE/API2/LXC.pm, PVE/LXC/Create.pm). Its file system lies in /var/lib/nightshift-lab/ct/ID/rootfs.
# With `unique` a given net is dropped in favour of the backup's, with a new MAC, as on a real host.
use v5.36;
use LabPVE::Api::Qemu;
use LabPVE::ArchiveConfig;
use LabPVE::Env;
use LabPVE::GuestEdit;
use LabPVE::Guests;
use LabPVE::LxcOptions;
use LabPVE::Restore;
use LabPVE::Storage;
use LabPVE::Tasks;

my $BOOL = { type => 'boolean', optional => 1 };

sub method {
  return {
    params => {
      %LabPVE::LxcOptions::CONFIG, %LabPVE::Api::Qemu::VMID, ostemplate => { maxLength => 255 }, storage => { format => 'pve-storage-id', optional => 1 }, pool => { format => 'pve-poolid', optional => 1 },
      unique => $BOOL, force => $BOOL, start => $BOOL, 'ignore-unpack-errors' => $BOOL, bwlimit => { type => 'number', minimum => 0, optional => 1 },
    },
    args => ['vmid', 'ostemplate'],
    code => sub ($param) { restore($param) },
  };
}

sub restore ($param) {
  my $vmid = $param->{vmid};
  my $path = LabPVE::Restore::archive_path($param->{ostemplate});
  my $here = LabPVE::Guests::all()->{$vmid};
  if ($here) {
    die(($here->{type} eq 'qemu' ? 'VM' : 'CT') . " $vmid already exists on node '$here->{node}'\n") if !$param->{force} || $here->{type} ne 'lxc';
    die "unable to restore CT $vmid - protection mode enabled\n" if LabPVE::Guests::load('lxc', $vmid)->{main}{protection};
    die "can't overwrite running container\n" if LabPVE::Guests::is_running($vmid);
  }
  my $upid = LabPVE::Tasks::run('vzrestore', $vmid, sub ($) {
    my $ok = eval { unpack_archive($param, $path); 1 };
    if (!$ok) {
      chomp(my $e = $@);
      LabPVE::Env::remove_file(LabPVE::Guests::conf_path('lxc', $vmid)) if !$here;
      die "unable to restore CT $vmid - $e\n";
    }
    if ($param->{start}) { require LabPVE::GuestPower; LabPVE::GuestPower::start('lxc', $vmid) }
  });
  $LabPVE::Program::pct::EXIT = 255 if LabPVE::Tasks::is_error(LabPVE::Tasks::status($upid));
  return;
}

sub unpack_archive ($param, $path) {
  my $vmid = $param->{vmid};
  print "recovering backed-up configuration from '$param->{ostemplate}'\n";
  my $h = LabPVE::Guests::parse(LabPVE::ArchiveConfig::of_ct($path))->{main};
  my $cfg = LabPVE::Storage::config();
  my $sid = $param->{storage} // 'local';
  my $s = LabPVE::Storage::check_enabled($cfg, $sid);
  die "storage '$sid' does not support container directories\n" if !{ LabPVE::Storage::content_types($s) }->{rootdir};
  my $root = "/var/lib/nightshift-lab/ct/$vmid/rootfs";
  require File::Path;
  File::Path::remove_tree(LabPVE::Env::path($root));
  LabPVE::Env::make_dir($root);
  print "restoring '$param->{ostemplate}' now..\nextracting archive '$path'\n";
  my @how = LabPVE::ArchiveConfig::decompressor($path) ? ('-I', join ' ', grep { $_ ne '-c' } LabPVE::ArchiveConfig::decompressor($path)) : ();
  my @cmd = ('tar', 'xpf', LabPVE::Env::path($path), @how, '--totals', '--numeric-owner', '-C', LabPVE::Env::path($root), '--exclude=./etc/vzdump');
  system { $cmd[0] } @cmd;
  die "command '@cmd' failed: exit code " . ($? >> 8) . "\n" if $? && !$param->{'ignore-unpack-errors'};
  print "merging backed-up and given configuration..\n";
  my %given = map { ($_ => $param->{$_}) } grep { $LabPVE::LxcOptions::CONFIG{$_} } keys %$param;
  if ($param->{unique}) {
    delete @given{ grep { /^net\d+$/ } keys %given };
    $h->{$_} =~ s/hwaddr=[0-9A-F:]+/'hwaddr=' . LabPVE::GuestEdit::random_mac()/ie for grep { /^net\d+$/ } keys %$h;
  }
  LabPVE::GuestEdit::tidy(\%given);
  my $size = LabPVE::Guests::drive($h->{rootfs} // '')->{size} // '8G';
  my %mp = map { ($_ => $h->{$_}) } grep { /^mp\d+$/ && LabPVE::Guests::drive($h->{$_})->{''} =~ m{^/} } keys %$h;
  delete @$h{ grep { /^(?:mp\d+|unused\d+|lock)$/ } keys %$h };
  $h->{rootfs} = LabPVE::Storage::is_path_type($s) ? "$sid:$vmid/vm-$vmid-disk-0.raw,size=$size" : "$sid:vm-$vmid-disk-0,size=$size";
  LabPVE::Guests::save('lxc', $vmid, { main => { %$h, %mp, %given }, pending => {}, sections => [] });
  LabPVE::Env::record_effect('guest.restore', $vmid);
  return;
}
1;
