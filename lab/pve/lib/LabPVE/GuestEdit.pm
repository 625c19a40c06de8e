package LabPVE::GuestEdit;
# Changing the config of a guest: `qm set`, `pct set`, unlock (qemu-server PVE/API2/Qemu.pm update_vm, pve-container PVE/API2/LXC/Config.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::Guests;

# `-cores 4 -name web`: what `qm set` says it does.
sub said ($param, $order) { return join ' ', map { ("-$_", $param->{$_}) } @$order }

# What cannot be asked for at once, and names that no VM has (qemu-server PVE/API2/Qemu.pm).
sub vm_conflicts ($param, $delete, $revert, $known) {
  for my $k (@$revert) {
    LabPVE::Error::raise_param(revert => "unknown option '$k'") if !$known->{$k};
    LabPVE::Error::raise_param(delete => "you can't use '-$k' and -revert $k' at the same time") if defined $param->{$k};
  }
  for my $k (@$delete) {
    LabPVE::Error::raise_param(delete => "you can't use '-$k' and -delete $k' at the same time") if defined $param->{$k};
    LabPVE::Error::raise_param(revert => "you can't use '-delete $k' and -revert $k' at the same time") if grep { $_ eq $k } @$revert;
    LabPVE::Error::raise_param(delete => "unknown option '$k'") if !$known->{$k};
  }
  return;
}

# The same of a container, in other words and in another order (pve-container PVE/API2/LXC/Config.pm).
sub ct_conflicts ($param, $delete, $revert, $known) {
  for my $k (@$revert) {
    LabPVE::Error::raise_param(revert => "unknown option '$k'") if !$known->{$k};
    LabPVE::Error::raise_param(revert => "you can't use '-$k' and '-revert $k' at the same time") if defined $param->{$k};
  }
  for my $k (@$delete) {
    LabPVE::Error::raise_param(delete => "unknown option '$k'") if !$known->{$k};
    LabPVE::Error::raise_param(delete => "you can't use '-$k' and -delete $k' at the same time") if defined $param->{$k};
    LabPVE::Error::raise_param(delete => "you can't use '-delete $k' and '-revert $k' at the same time") if grep { $_ eq $k } @$revert;
  }
  return;
}

# Of the options to delete, those that are there; of each other one the program says so.
sub present ($c, @delete) {
  return grep { my $there = defined $c->{main}{$_} || defined $c->{pending}{$_}; print STDERR "cannot delete '$_' - not set in current configuration!\n" if !$there; $there } @delete;
}

sub protect ($c, $text) { die "$text - protection mode enabled\n" if $c->{main}{protection} }

sub order_of ($boot) { return ($boot // '') =~ /(?:^|,)order=([^,]*)/ ? split /[;\s]+/, $1 : () }
sub print_order (@devices) { return @devices ? 'order=' . join(';', @devices) : '' }

# A device that goes leaves the boot order; one that is named there must exist.
sub boot_order ($c, $p, $delete) {
  if (defined $p->{boot}) {
    my @devices = order_of($p->{boot}) or return;
    for my $d (@devices) {
      my $exists = $c->{main}{$d} || $c->{pending}{$d} || $p->{$d};
      die "invalid bootorder: device '$d' does not exist'\n" if !$exists || grep { $_ eq $d } @$delete;
    }
    $p->{boot} = print_order(@devices);
    return;
  }
  my @devices = order_of($c->{main}{boot});
  my @left = grep { my $d = $_; !grep { $_ eq $d } @$delete } @devices;
  $p->{boot} = print_order(@left) if @left != @devices;
  return;
}

sub check_balloon ($c, $p) {
  return if !$p->{memory} && !defined $p->{balloon};
  my ($most) = (($p->{memory} || $c->{pending}{memory} || $c->{main}{memory} || 512) =~ /(\d+)/);
  my $balloon = $p->{balloon} // ($c->{pending}{balloon} || $c->{main}{balloon});
  die "balloon value too large (must be smaller than assigned memory)\n" if $balloon && $balloon > $most;
  return;
}

sub tidy ($param) {
  if (defined $param->{tags}) {
    my %seen;
    $param->{tags} = join ';', sort grep { !$seen{$_}++ } map { lc } split /[,;\s]+/, $param->{tags};
  }
  for my $k (grep { /^net\d+$/ } keys %$param) { $param->{$k} = net_with_mac($param->{$k}) }
  return;
}

sub random_mac {
  open my $fh, '<:raw', '/dev/urandom' or die "unable to read random bytes: $!\n";
  read $fh, my $b, 3;
  return sprintf 'BC:24:11:%02X:%02X:%02X', unpack 'C3', $b;
}

# A network card as it is written: with an address, `virtio=BC:24:11:..` of a VM or the name of a container's card first, the rest sorted (PVE::JSONSchema
# print_property_string).
sub net_with_mac ($text) {
  require LabPVE::GuestFormats;
  require LabPVE::PropertyString;
  my $is_vm = $text !~ /(?:^|,)name=/;
  my %p = %{ LabPVE::PropertyString::parse($is_vm ? \%LabPVE::GuestFormats::VM_NET : \%LabPVE::GuestFormats::CT_NET, $text) };
  my @first = $is_vm ? (delete($p{model}) . '=' . (delete($p{macaddr}) // random_mac())) : 'name=' . delete $p{name};
  if (!$is_vm) { $p{type} = 'veth'; $p{hwaddr} //= random_mac() }
  return join ',', @first, map { "$_=$p{$_}" } sort keys %p;
}

sub no_new_disks ($p) {
  for my $k (grep { /^(?:ide|scsi|virtio|sata|efidisk|tpmstate|mp|rootfs)\d*$/ } keys %$p) {
    next if $p->{$k} !~ /^(?:(?:file|volume)=)?[A-Za-z][\w.-]*:\d+(?:\.\d+)?(?:,|$)/;
    require LabPVE::Unknown;
    LabPVE::Unknown::fail('making a new disk for a guest');
  }
  return;
}

sub set_vm ($param) {
  my %p = %$param;
  my $vmid = delete $p{vmid};
  my @order = sort keys %p;
  my ($skiplock, $digest, $delete_text) = (delete $p{skiplock}, delete $p{digest}, delete $p{delete});
  delete @p{qw(force background_delay)};
  die "no options specified\n" if !%p && !length($delete_text // '');
  my @delete = LabPVE::Formats::split_list($delete_text);
  my @revert = LabPVE::Formats::split_list(delete $p{revert});
  require LabPVE::QemuOptions;
  vm_conflicts(\%p, \@delete, \@revert, \%LabPVE::QemuOptions::CONFIG);
  LabPVE::Env::with_lock("qemu-$vmid", sub {
    my $c = LabPVE::Guests::load('qemu', $vmid);
    die "checksum mismatch (file change by other user?)\n" if defined $digest && $digest ne LabPVE::Env::digest($c->{raw});
    LabPVE::Guests::check_lock('qemu', $c) if !$skiplock;
    check_balloon($c, \%p);
    no_new_disks(\%p);
    print 'update VM ' . $vmid . ': ' . said($param, [grep { $_ ne 'digest' } @order]) . "\n";
    @delete = present($c, @delete);
    for my $k (@delete) { protect($c, "can't remove " . ($k =~ /^unused/ ? "unused disk '" . (LabPVE::Guests::drive($c->{main}{$k})->{''} // '') . "'" : "drive '$k'")) if $k =~ /^unused\d+$/ || $k =~ $LabPVE::Guests::DRIVE_RE }
    boot_order($c, \%p, \@delete);
    tidy(\%p);
    apply($c, \%p, \@delete, \@revert, LabPVE::Guests::is_running($vmid), \%LabPVE::QemuOptions::AT_ONCE);
    LabPVE::Guests::save('qemu', $vmid, $c);
  });
  LabPVE::Env::record_effect('guest.set', $vmid);
  return;
}

# Stopped guests take everything, pending ones included; a running guest takes what can change while it runs.
sub apply ($c, $p, $delete, $revert, $running, $at_once) {
  delete $c->{pending}{$_} for @$revert;
  my %gone = map { ($_ => 1) } LabPVE::Formats::split_list(delete $c->{pending}{delete});
  for my $k (@$delete) { delete $c->{pending}{$k}; $gone{$k} = 1 }
  for my $k (keys %$p) { $c->{pending}{$k} = $p->{$k}; delete $gone{$k} }
  # What is as it is already, or is not there, is not pending.
  for my $k (keys %{ $c->{pending} }) { delete $c->{pending}{$k} if defined $c->{main}{$k} && $c->{main}{$k} eq $c->{pending}{$k} }
  for my $k (keys %gone) { delete $gone{$k} if !defined $c->{main}{$k} }
  for my $k (keys %gone) { next if $running && !$at_once->{$k}; delete $gone{$k}; set_aside($c, $k); delete $c->{main}{$k} }
  for my $k (keys %{ $c->{pending} }) {
    next if $running && !$at_once->{$k} && !live_net_change($c, $k);
    $c->{main}{$k} = delete $c->{pending}{$k};
  }
  $c->{pending}{delete} = join ',', sort keys %gone if %gone;
  return;
}

# A link that goes down or up reaches a running VM.
sub live_net_change ($c, $k) {
  return 0 if $k !~ /^net\d+$/ || !defined $c->{main}{$k};
  my $bare = sub ($v) { join ',', sort grep { !/^link_down=/ } split /,/, $v };
  return $bare->($c->{main}{$k}) eq $bare->($c->{pending}{$k});
}

# A disk that leaves the config is kept as unusedN (CD-ROMs and mount points of directories are just dropped).
sub set_aside ($c, $k) {
  return if !defined $c->{main}{$k} || $k !~ /^(?:ide|scsi|virtio|sata|efidisk|tpmstate|mp)\d+$/;
  my $o = LabPVE::Guests::drive($c->{main}{$k});
  return if LabPVE::Guests::is_cdrom($o) || ($o->{''} // '') =~ m{^/};
  for my $n (0 .. 255) { if (!defined $c->{main}{"unused$n"}) { $c->{main}{"unused$n"} = $o->{''}; return } }
  return;
}

sub set_ct ($param) {
  my %p = %$param;
  my $vmid = delete $p{vmid};
  my $digest = delete $p{digest};
  die "no options specified\n" if !%p;
  my $delete_text = delete $p{delete};
  my @delete = LabPVE::Formats::split_list($delete_text);
  my @revert = LabPVE::Formats::split_list(delete $p{revert});
  require LabPVE::LxcOptions;
  LabPVE::Env::with_lock("lxc-$vmid", sub {
    my $c = LabPVE::Guests::load('lxc', $vmid);
    LabPVE::Guests::check_lock('lxc', $c);
    die "detected modified configuration - file changed by other user? Try again.\n" if $digest && $digest ne LabPVE::Env::digest($c->{raw});
    no_new_disks(\%p);
    ct_conflicts(\%p, \@delete, \@revert, \%LabPVE::LxcOptions::CONFIG);
    @delete = present($c, @delete);
    for my $k (@delete) {
      die "unable to delete required option '$k'\n" if $k =~ /^(?:memory|rootfs|ostype)$/;
      protect($c, "can't remove CT $vmid drive '$k'") if $k =~ /^(?:unused|mp)\d+$/;
      die "unable to delete read-only option: '$k'\n" if $k eq 'unprivileged';
    }
    for my $k (sort keys %p) {
      protect($c, "can't update CT $vmid drive '$k'") if $k =~ /^mp\d+$/ || $k eq 'rootfs';
      die "unable to modify read-only option: '$k'\n" if $k eq 'unprivileged';
    }
    tidy(\%p);
    apply($c, \%p, \@delete, \@revert, LabPVE::Guests::is_running($vmid), \%LabPVE::LxcOptions::AT_ONCE);
    LabPVE::Guests::save('lxc', $vmid, $c);
  });
  LabPVE::Env::record_effect('guest.set', $vmid);
  return;
}

# `qm unlock` of an unlocked VM is silent, `pct unlock` complains.
sub unlock ($type, $vmid) {
  my $changed = LabPVE::Env::with_lock("$type-$vmid", sub {
    my $c = LabPVE::Guests::load($type, $vmid);
    die "no lock found trying to remove any lock\n" if $type eq 'lxc' && !defined $c->{main}{lock};
    return 0 if !defined delete $c->{main}{lock};
    LabPVE::Guests::save($type, $vmid, $c);
    return 1;
  });
  LabPVE::Env::record_effect('guest.unlock', $vmid) if $changed;
  return;
}
1;
