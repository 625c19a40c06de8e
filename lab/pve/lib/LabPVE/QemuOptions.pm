package LabPVE::QemuOptions;
# The options of a VM's config that `qm set` and `qm create` take (qemu-server PVE/QemuServer.pm confdesc, drive and net descriptions).
use v5.36;
use LabPVE::GuestFormats;
use LabPVE::Guests;

my $BOOL = { type => 'boolean', optional => 1 };
my $STR = { optional => 1 };
my $STARTUP = { format => 'pve-startup-order', optional => 1 };
sub property_string ($format) { return { format => $format, optional => 1 } }
sub int_range ($min, $max = undef) { return { type => 'integer', optional => 1, minimum => $min, (defined $max ? (maximum => $max) : ()) } }

our %CONFIG = (
  onboot => $BOOL, autostart => $BOOL, hotplug => $STR, reboot => $BOOL, lock => { optional => 1, enum => [qw(backup clone create migrate rollback snapshot snapshot-delete suspending suspended)] },
  cpulimit => { type => 'number', minimum => 0, maximum => 128, optional => 1 }, cpuunits => int_range(1, 262144), memory => { format => 'pve-qm-memory', optional => 1 },
  balloon => int_range(0), shares => int_range(0, 50000), keyboard => $STR, name => { format => 'dns-name', optional => 1 }, scsihw => { optional => 1, enum => [qw(lsi lsi53c810 virtio-scsi-pci virtio-scsi-single megasas pvscsi)] },
  description => { optional => 1, maxLength => 8192 }, ostype => { optional => 1, enum => [qw(other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris)] },
  boot => property_string(\%LabPVE::GuestFormats::BOOT), bootdisk => { optional => 1, pattern => '(?:ide|sata|scsi|virtio)\d+' }, smp => int_range(1), sockets => int_range(1), cores => int_range(1), numa => $BOOL, vcpus => int_range(1), acpi => $BOOL, agent => property_string(\%LabPVE::GuestFormats::AGENT), kvm => $BOOL,
  tdf => $BOOL, localtime => $BOOL, freeze => $BOOL, vga => $STR, watchdog => $STR, startdate => $STR, startup => $STARTUP, template => $BOOL, args => $STR, tablet => $BOOL, migrate_speed => int_range(0),
  migrate_downtime => { type => 'number', minimum => 0, optional => 1 }, cdrom => $STR, cpu => $STR, machine => $STR, arch => { optional => 1, enum => ['x86_64', 'aarch64'] }, smbios1 => { optional => 1, maxLength => 512 },
  protection => $BOOL, bios => { optional => 1, enum => ['seabios', 'ovmf'] }, vmgenid => { optional => 1 }, hookscript => $STR, ivshmem => $STR, audio0 => $STR, spice_enhancements => $STR, tags => { optional => 1, format => 'pve-tag-list' }, rng0 => $STR,
  meta => $STR, vmstatestorage => { format => 'pve-storage-id', optional => 1 }, affinity => $STR, citype => $STR, ciuser => $STR, cipassword => $STR, ciupgrade => $BOOL, cicustom => $STR, searchdomain => $STR, nameserver => $STR, sshkeys => $STR,
  'amd-sev' => $STR, 'intel-tdx' => $STR, 'allow-ksm' => $BOOL, hugepages => { optional => 1, enum => ['any', '2', '1024'] }, keephugepages => $BOOL,
  (map { ($_ => property_string(\%LabPVE::GuestFormats::DRIVE)) } @LabPVE::Guests::QEMU_DISKS),
  (map { ("net$_" => property_string(\%LabPVE::GuestFormats::VM_NET)) } 0 .. 31), (map { ("ipconfig$_" => $STR) } 0 .. 31), (map { ("unused$_" => $STR) } 0 .. 255), (map { ("hostpci$_" => $STR) } 0 .. 15), (map { ("usb$_" => $STR) } 0 .. 13),
  (map { ("serial$_" => $STR) } 0 .. 3), (map { ("parallel$_" => $STR) } 0 .. 2), (map { ("numa$_" => $STR) } 0 .. 7), (map { ("virtiofs$_" => $STR) } 0 .. 9),
);

our %SET = (
  %CONFIG,
  vmid => { type => 'integer', format => 'pve-vmid', minimum => 100, maximum => 999_999_999 },
  skiplock => $BOOL, delete => { optional => 1, format => 'pve-configid-list' }, revert => { optional => 1, format => 'pve-configid-list' }, force => $BOOL, digest => { optional => 1, maxLength => 64 }, background_delay => int_range(1, 30),
);

# Changes that reach a running VM at once; the others wait as pending (vmconfig_hotplug_pending).
our %AT_ONCE = map { ($_ => 1) } qw(lock name onboot shares startup description protection vmstatestorage hookscript tags);
1;
