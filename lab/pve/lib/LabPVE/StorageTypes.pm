package LabPVE::StorageTypes;
# Types and properties of storage.cfg (pve-storage PVE/Storage/*Plugin.pm): what each type may hold, which options it takes, which of them can be changed.
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;

my %SCHEMA = (
  path => { format => 'pve-storage-path' },
  content => { format => 'pve-storage-content-list' },
  nodes => { format => 'pve-node-list' },
  disable => { type => 'boolean' },
  shared => { type => 'boolean' },
  'prune-backups' => { format => 'prune-backups' },
  'max-protected-backups' => { type => 'integer', minimum => -1 },
  'content-dirs' => {},
  format => { enum => ['raw', 'qcow2', 'subvol', 'vmdk'] },
  preallocation => { enum => ['off', 'metadata', 'falloc', 'full'] },
  bwlimit => { format => 'bwlimit' },
  mkdir => { type => 'boolean' },
  'create-base-path' => { type => 'boolean' },
  'create-subdirs' => { type => 'boolean' },
  is_mountpoint => {},
  'snapshot-as-volume-chain' => { type => 'boolean' },
  export => { format => 'pve-storage-path' },
  server => { format => 'pve-storage-server' },
  options => { format => 'pve-storage-options' },
  share => {},
  username => {},
  password => { maxLength => 256 },
  domain => { maxLength => 256 },
  smbversion => { enum => ['default', '2.0', '2.1', '3', '3.0', '3.11'] },
  subdir => { format => 'pve-storage-path' },
  datastore => {},
  fingerprint => { pattern => '([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}' },
  namespace => { maxLength => 256 },
  port => { type => 'integer', minimum => 1, maximum => 65535 },
  'encryption-key' => {},
  'master-pubkey' => {},
  'skip-cert-verification' => { type => 'boolean' },
  vgname => { pattern => '[a-z][a-z0-9\-_.]*[a-z0-9]' },
  thinpool => {},
  base => {},
  saferemove => { type => 'boolean' },
  tagged_only => { type => 'boolean' },
  pool => {},
  blocksize => {},
  sparse => { type => 'boolean' },
  mountpoint => { format => 'pve-storage-path' },
  monhost => {},
  krbd => { type => 'boolean' },
  portal => {},
  target => {},
);
our %PROPERTIES = map { ($_ => { %{ $SCHEMA{$_} }, optional => 1 }) } keys %SCHEMA;

my @COMMON = qw(content nodes disable bwlimit);
my @BACKUP = qw(prune-backups max-protected-backups);
my @DIR = qw(format preallocation content-dirs mkdir create-base-path create-subdirs snapshot-as-volume-chain);
sub kind ($fixed, @optional) { return { (map { ($_ => { fixed => 1, optional => 0 }) } @$fixed), map { ($_ => { optional => 1 }) } @optional, @COMMON } }
my %TYPES = (
  dir => kind(['path'], @BACKUP, @DIR, qw(shared is_mountpoint)),
  nfs => { %{ kind(['server', 'export'], @BACKUP, @DIR, qw(options)) }, path => { fixed => 1, optional => 1 } },
  cifs => { %{ kind(['server', 'share'], @BACKUP, @DIR, qw(username password domain smbversion options)) }, path => { fixed => 1, optional => 1 }, subdir => { fixed => 1, optional => 1 } },
  pbs => { %{ kind(['server', 'datastore'], @BACKUP, qw(port namespace username password encryption-key master-pubkey fingerprint skip-cert-verification)) } },
  lvm => kind(['vgname'], qw(shared base saferemove tagged_only snapshot-as-volume-chain)),
  lvmthin => kind(['vgname', 'thinpool']),
  zfspool => kind(['pool'], qw(blocksize sparse mountpoint)),
  btrfs => kind(['path'], @BACKUP, @DIR, qw(is_mountpoint)),
  rbd => kind([], qw(pool monhost username krbd namespace)),
  cephfs => { %{ kind([], @BACKUP, qw(monhost username)) }, path => { fixed => 1, optional => 1 }, subdir => { fixed => 1, optional => 1 } },
  iscsi => kind(['portal', 'target']),
);
# All that Proxmox names; esxi, iscsidirect and zfs are not here.
our @TYPE_NAMES = sort keys %TYPES, qw(esxi iscsidirect zfs);
my %DEFAULT_CONTENT = (pbs => 'backup', cephfs => 'backup', lvm => 'images,rootdir', lvmthin => 'images,rootdir', zfspool => 'images,rootdir', rbd => 'images', iscsi => 'images');
my %SHARED = map { ($_ => 1) } qw(nfs cifs pbs cephfs rbd iscsi);

our $DEF = {
  file => 'storage.cfg',
  types => \%TYPES,
  properties => \%PROPERTIES,
  id => sub ($type, $id) { $id =~ /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i ? undef : "storage ID '$id' contains illegal characters" },
  decode => sub ($type, $k, $v) { $v },
  encode => sub ($type, $k, $v) { $v },
};

sub options ($type) { return $TYPES{$type} }

# Defaults that Proxmox adds after reading: content, shared, path of network storages, the always present `local`.
sub complete ($cfg) {
  for my $id (keys %{ $cfg->{ids} }) {
    my $s = $cfg->{ids}{$id} or next;
    $s->{content} //= $DEFAULT_CONTENT{ $s->{type} } // 'images,rootdir';
    $s->{shared} = 1 if $SHARED{ $s->{type} };
    $s->{path} //= "/mnt/pve/$id" if $s->{type} =~ /^(?:nfs|cifs|cephfs)$/;
  }
  my $local = $cfg->{ids}{local};
  if (!$local || $local->{type} ne 'dir' || $local->{path} ne '/var/lib/vz') {
    $cfg->{ids}{local} = { type => 'dir', path => '/var/lib/vz', content => 'images,rootdir,vztmpl,iso,backup,snippets', 'prune-backups' => 'keep-all=1' };
    $cfg->{order} = ['local', grep { $_ ne 'local' } @{ $cfg->{order} }];
  }
  return;
}

# What a storage without hardware in the lab answers. pve.json may give figures: {"storage":{"ID":{"total":N,"used":N}}}.
sub activate_other ($id, $s) {
  return if (LabPVE::Env::settings()->{storage} // {})->{$id};
  die "no such logical volume $s->{vgname}/$s->{thinpool}\n" if $s->{type} eq 'lvmthin';
  die "no such volume group '$s->{vgname}'\n" if $s->{type} eq 'lvm';
  die "zfs error: cannot open '$s->{pool}': no such pool\n" if $s->{type} eq 'zfspool';
  die "storage '$id' is not online\n";
}

sub capacity_other ($id, $s) {
  my $f = (LabPVE::Env::settings()->{storage} // {})->{$id} // {};
  my ($total, $used) = (0 + ($f->{total} // 0), 0 + ($f->{used} // 0));
  return ($total, $used, $total - $used);
}

# Block storages keep a guest's disk in the lab as a file, so that it can really be archived: /var/lib/nightshift-lab/disks/STORAGE/VOLUME.
sub parse_volname_other ($s, $name) {
  return ('images', $name, $2, 'raw') if $name =~ m{^((?:base|vm)-(\d+)-\S+)$} || $name =~ m{^((?:subvol|basevol)-(\d+)-\S+)$};
  return ('backup', $name, $2, "pbs-$1") if $s->{type} eq 'pbs' && $name =~ m{^backup/(vm|ct)/([1-9][0-9]{2,8})/};
  die "unable to parse $s->{type} volume name '$name'\n";
}

sub path_other ($s, $name) {
  return "/dev/$s->{vgname}/$name" if defined $s->{vgname};
  return "/dev/zvol/$s->{pool}/$name" if $s->{type} eq 'zfspool';
  return $name;
}
1;
