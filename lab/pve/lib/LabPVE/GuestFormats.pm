package LabPVE::GuestFormats;
# The property strings of guests that the lab checks: network cards, boot order, agent, disks (qemu-server PVE/QemuServer.pm and PVE/QemuServer/Drive.pm, pve-container
# PVE/LXC/Config.pm). Only keys whose rules are known are held to them; `others` lets the rest pass.
use v5.36;

my $BOOL = { type => 'boolean', optional => 1 };
my $ANY = { optional => 1 };
my $TAG = { type => 'integer', minimum => 1, maximum => 4094, optional => 1 };
my $RATE = { type => 'number', minimum => 0, optional => 1 };
our @NIC_MODELS = qw(e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa ne2k_pci pcnet rtl8139 virtio vmxnet3);
my $MODEL = join '|', map { quotemeta } @NIC_MODELS;

# `virtio=MAC` means model and address.
sub spell_out_model ($text) { return $text =~ s/(^|,)($MODEL)=([^,]*)/${1}model=$2,macaddr=$3/r }

our %VM_NET = (
  default_key => 'model', before => \&spell_out_model,
  properties => {
    model => { enum => \@NIC_MODELS }, macaddr => $ANY, bridge => $ANY, queues => { type => 'integer', minimum => 0, maximum => 64, optional => 1 }, rate => $RATE, tag => $TAG, trunks => $ANY,
    firewall => $BOOL, link_down => $BOOL, mtu => { type => 'integer', minimum => 1, maximum => 65_520, optional => 1 },
  },
);
our %CT_NET = (
  properties => {
    type => { enum => ['veth'], optional => 1 }, name => { pattern => '[-_.\w\d]+' }, bridge => { pattern => '[-_.\w\d]+', optional => 1 }, (map { ($_ => $ANY) } qw(hwaddr ip gw ip6 gw6 trunks)), firewall => $BOOL, link_down => $BOOL, 'host-managed' => $BOOL,
    tag => $TAG, rate => { type => 'number', optional => 1 }, mtu => { type => 'integer', minimum => 64, maximum => 65_535, optional => 1 },
  },
);
our %AGENT = (
  default_key => 'enabled',
  properties => { enabled => { type => 'boolean' }, fstrim_cloned_disks => $BOOL, 'freeze-fs-on-backup' => $BOOL, 'guest-fsfreeze' => $BOOL, type => { enum => ['virtio', 'isa'], optional => 1 } },
);
our %BOOT = (default_key => 'legacy', properties => { legacy => { pattern => '[acdn]{1,4}', optional => 1 }, order => { format => 'pve-qm-bootdev-list', optional => 1 } });
our %DRIVE = (default_key => 'file', others => 1, properties => { file => { format => 'pve-volume-id-or-qm-path' }, backup => $BOOL, (map { ($_ => $BOOL) } qw(iothread replicate ro shared snapshot ssd)) });
our %MOUNT = (default_key => 'volume', others => 1, properties => { volume => {}, backup => $BOOL, (map { ($_ => $BOOL) } qw(acl quota replicate ro shared)) });
our %MOUNT_POINT = (%MOUNT, properties => { %{ $MOUNT{properties} }, mp => {} });
1;
