package LabPVE::LxcOptions;
# The options of a container's config that `pct set` takes (pve-container PVE/LXC/Config.pm confdesc).
use v5.36;
use LabPVE::GuestFormats;

my $BOOL = { type => 'boolean', optional => 1 };
my $STR = { optional => 1 };
sub property_string ($format) { return { format => $format, optional => 1 } }
sub int_range ($min, $max = undef) { return { type => 'integer', optional => 1, minimum => $min, (defined $max ? (maximum => $max) : ()) } }

our %CONFIG = (
  lock => { optional => 1, enum => [qw(backup create destroyed disk fstrim migrate mounted rollback snapshot snapshot-delete)] },
  onboot => $BOOL, startup => { format => 'pve-startup-order', optional => 1 }, template => $BOOL, arch => { optional => 1, enum => [qw(amd64 i386 arm64 armhf riscv32 riscv64)] }, ostype => { optional => 1, enum => [qw(debian devuan ubuntu centos fedora opensuse archlinux alpine gentoo nixos unmanaged)] }, console => $BOOL, tty => int_range(0, 6), cores => int_range(1, 8192),
  cpulimit => { type => 'number', minimum => 0, maximum => 8192, optional => 1 }, cpuunits => int_range(0, 500000), memory => int_range(16), swap => int_range(0), hostname => { optional => 1, format => 'dns-name', maxLength => 255 },
  description => { optional => 1, maxLength => 8192 }, searchdomain => { optional => 1, format => 'dns-name-list' }, ipmanagehost => $BOOL, nameserver => $STR, timezone => $STR, rootfs => property_string(\%LabPVE::GuestFormats::MOUNT), cmode => { optional => 1, enum => ['shell', 'console', 'tty'] }, protection => $BOOL, unprivileged => $BOOL,
  features => $STR, hookscript => $STR, tags => { optional => 1, format => 'pve-tag-list' }, debug => $BOOL, entrypoint => $STR, env => $STR,
  (map { ("net$_" => property_string(\%LabPVE::GuestFormats::CT_NET)) } 0 .. 31), (map { ("mp$_" => property_string(\%LabPVE::GuestFormats::MOUNT_POINT)) } 0 .. 255), (map { ("unused$_" => $STR) } 0 .. 255), (map { ("dev$_" => $STR) } 0 .. 255),
);
our %SET = (
  %CONFIG,
  vmid => { type => 'integer', format => 'pve-vmid', minimum => 100, maximum => 999_999_999 },
  delete => { optional => 1, format => 'pve-configid-list' }, revert => { optional => 1, format => 'pve-configid-list' }, digest => { optional => 1, maxLength => 40 },
);
our %AT_ONCE = map { ($_ => 1) } qw(lock onboot description startup tags protection hookscript hostname cores cpulimit cpuunits memory swap);
1;
