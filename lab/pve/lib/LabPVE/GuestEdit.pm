package LabPVE::GuestEdit;
# Changing the config of a guest: `qm set`, `pct set`, unlock (qemu-server PVE/API2/Qemu.pm update_vm, pve-container PVE/API2/LXC/Config.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::Guests;

# `-cores 4 -name web`: what `qm set` says it does.
sub said ($param, $order) {
  return join ' ', map { my $v = $param->{$_}; "-$_ " . ($v =~ m{^[A-Za-z0-9_./:@%,+=\-;]+$} || $v =~ / / ? $v : "'$v'") } $order->@*;
}

sub conflicts ($param, $delete) {
  for my $k (@$delete) {
    LabPVE::Error::raise_param(delete => "you can't use '-$k' and -delete $k' at the same time") if defined $param->{$k};
  }
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

# `virtio,bridge=vmbr0` gets an address: `virtio=BC:24:11:..,bridge=vmbr0`.
sub net_with_mac ($text) {
  return $text if $text =~ /(?:^|,)(?:\w+=)?(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}/;
  my @parts = split /,/, $text;
  if (grep { /^name=/ } @parts) {
    my ($type) = grep { /^type=/ } @parts;
    return join ',', (grep { /^name=/ } @parts), (sort grep { !/^(?:name|type)=/ } @parts, 'hwaddr=' . random_mac()), $type // 'type=veth';
  }
  my ($model) = map { /^(?:model=)?([a-z0-9-]+)$/ ? $1 : () } @parts;
  $model //= 'virtio';
  return join ',', "$model=" . random_mac(), grep { $_ ne $model && $_ ne "model=$model" } @parts;
}

sub set_vm ($param) {
  my %p = %$param;
  my $vmid = delete $p{vmid};
  my @order = sort keys %p;
  die "no options specified\n" if !@order;
  my ($skiplock, $digest, $delete_text) = (delete $p{skiplock}, delete $p{digest}, delete $p{delete});
  delete @p{qw(force background_delay)};
  my @delete = LabPVE::Formats::split_list($delete_text);
  my @revert = LabPVE::Formats::split_list(delete $p{revert});
  require LabPVE::QemuOptions;
  conflicts(\%p, \@delete);
  for my $k (@delete) { LabPVE::Error::raise_param(delete => "unknown option '$k'") if !$LabPVE::QemuOptions::CONFIG{$k} }
  LabPVE::Env::with_lock("qemu-$vmid", sub {
    my $c = LabPVE::Guests::load('qemu', $vmid);
    die "checksum mismatch (file change by other user?)\n" if defined $digest && $digest ne LabPVE::Env::digest($c->{raw});
    LabPVE::Guests::check_lock('qemu', $c) if !$skiplock;
    print 'update VM ' . $vmid . ': ' . said($param, [grep { $_ ne 'digest' } @order]) . "\n";
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
  die "no options specified\n" if !%p;
  my ($digest, $delete_text) = (delete $p{digest}, delete $p{delete});
  my @delete = LabPVE::Formats::split_list($delete_text);
  my @revert = LabPVE::Formats::split_list(delete $p{revert});
  require LabPVE::LxcOptions;
  conflicts(\%p, \@delete);
  for my $k (@delete) {
    LabPVE::Error::raise_param(delete => "unknown option '$k'") if !$LabPVE::LxcOptions::CONFIG{$k};
    LabPVE::Error::raise_param(delete => "unable to delete required option '$k'") if $k =~ /^(?:rootfs|unprivileged|arch|ostype)$/;
  }
  LabPVE::Env::with_lock("lxc-$vmid", sub {
    my $c = LabPVE::Guests::load('lxc', $vmid);
    die "checksum mismatch (file change by other user?)\n" if defined $digest && $digest ne LabPVE::Env::digest($c->{raw});
    LabPVE::Guests::check_lock('lxc', $c);
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
