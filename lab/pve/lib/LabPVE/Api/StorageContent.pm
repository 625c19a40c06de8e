package LabPVE::Api::StorageContent;
# Contents of a storage: list, read, change and delete volumes, retention preview and run (pve-storage PVE/API2/Storage/{Content,PruneBackups}.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Prune;
use LabPVE::Storage;
use LabPVE::Volumes;

my %NODE = (node => { format => 'pve-node' });
my %ID = (storage => { format => 'pve-storage-id' });
my %VMID = (type => 'integer', format => 'pve-vmid', minimum => 100, maximum => 999_999_999);

sub list_get ($) {
  return {
    params => { %NODE, %ID, content => { format => 'pve-storage-content', optional => 1 }, vmid => { %VMID, optional => 1 } },
    returns => 'array', link => 'volid',
    code => sub ($param) { LabPVE::Volumes::listing(LabPVE::Storage::config(), $param->{storage}, $param->{vmid}, $param->{content}) },
  };
}

sub list_create ($) {
  return {
    params => { %NODE, %ID, filename => {}, vmid => {%VMID}, size => { pattern => '\d+[MG]?' }, format => { enum => ['raw', 'qcow2', 'subvol', 'vmdk'], optional => 1, requires => 'size' } },
    returns => 'string',
    code => sub ($param) {
      my ($n, $unit) = $param->{size} =~ /^(\d+)([MG]?)$/;
      my $bytes = $n * 1024 * ($unit eq 'M' ? 1024 : $unit eq 'G' ? 1024**2 : 1);
      my $format = $param->{format};
      if ($param->{filename} =~ /\.(raw|qcow2|vmdk)$/) {
        LabPVE::Error::raise_param(format => "different storage formats ($format != $1)") if defined $format && $format ne $1;
        $format = $1;
      }
      my $cfg = LabPVE::Storage::config();
      my $s = LabPVE::Storage::entry($cfg, $param->{storage});
      $format //= LabPVE::Storage::is_path_type($s) ? $s->{format} // 'raw' : 'raw';
      return LabPVE::Volumes::allocate($cfg, $param->{storage}, $param->{vmid}, $bytes, $format, $param->{filename});
    },
  };
}

# A volume may be given with or without the storage in front.
sub volume_id ($param) {
  my ($sid, $volume) = @$param{qw(storage volume)};
  if ($volume =~ /:/) {
    my ($in) = eval { LabPVE::Storage::parse_volume_id($volume) };
    LabPVE::Error::raise_param(volume => $@) if $@;
    LabPVE::Error::raise_param(volume => "storage ID mismatch ($in != $sid)\n") if defined $sid && $in ne $sid;
    return $volume;
  }
  LabPVE::Error::raise_param(volume => 'no storage specified - incomplete volume ID') if !defined $sid;
  return "$sid:$volume";
}

my %VOLUME = (%NODE, storage => { format => 'pve-storage-id', optional => 1 }, volume => {});

sub volume_get ($) {
  return { params => {%VOLUME}, returns => 'object', code => sub ($param) { LabPVE::Volumes::info(LabPVE::Storage::config(), volume_id($param)) } };
}

sub volume_set ($) {
  return {
    params => { %VOLUME, notes => { optional => 1 }, protected => { type => 'boolean', optional => 1 } }, returns => 'null',
    code => sub ($param) {
      my ($cfg, $volid) = (LabPVE::Storage::config(), volume_id($param));
      my $s = LabPVE::Storage::entry($cfg, (LabPVE::Storage::parse_volume_id($volid))[0]);
      LabPVE::Storage::parse_volname($s, (LabPVE::Storage::parse_volume_id($volid))[1]);
      for my $what (qw(notes protected)) { LabPVE::Volumes::set_attribute($cfg, $volid, $what, $param->{$what}) if exists $param->{$what} }
      return;
    },
  };
}

# The task behind `pvesm free` and DELETE content: imgdel, id VMID@STORAGE.
sub free_task ($volid) {
  my $cfg = LabPVE::Storage::config();
  my ($sid, $name) = LabPVE::Storage::parse_volume_id($volid);
  my $s = LabPVE::Storage::entry($cfg, $sid);
  my (undef, undef, $vmid) = LabPVE::Storage::parse_volname($s, $name);
  require LabPVE::Tasks;
  my $id = defined $vmid ? "$vmid\@$sid" : "\@$sid";
  return LabPVE::Tasks::run('imgdel', $id, sub ($) {
    LabPVE::Volumes::free($cfg, $volid);
    print "Removed volume '$volid'\n";
  });
}

sub volume_delete ($) {
  return {
    params => { %VOLUME, delay => { type => 'integer', minimum => 1, maximum => 30, optional => 1 } }, returns => 'string',
    code => sub ($param) {
      my $upid = free_task(volume_id($param));
      return if defined $param->{delay};
      return $upid;
    },
  };
}

my %PRUNE = (
  %NODE, %ID,
  'prune-backups' => { format => 'prune-backups', optional => 1 },
  type => { enum => ['qemu', 'lxc'], optional => 1 },
  vmid => { %VMID, optional => 1 },
);

sub keep_of ($param) {
  return undef if !defined $param->{'prune-backups'};
  require LabPVE::PropertyString;
  return LabPVE::PropertyString::parse('prune-backups', $param->{'prune-backups'});
}

sub prune_get ($) {
  return {
    params => {%PRUNE}, returns => 'array',
    code => sub ($param) { LabPVE::Prune::storage_backups(LabPVE::Storage::config(), $param->{storage}, keep_of($param), $param->{vmid}, $param->{type}) },
  };
}

sub prune_delete ($) {
  return {
    params => {%PRUNE}, returns => 'string',
    code => sub ($param) {
      my ($cfg, $keep) = (LabPVE::Storage::config(), keep_of($param));
      require LabPVE::Tasks;
      return LabPVE::Tasks::run('prunebackups', defined $param->{vmid} ? "$param->{vmid}\@$param->{storage}" : $param->{storage}, sub ($) {
        LabPVE::Prune::storage_backups($cfg, $param->{storage}, $keep, $param->{vmid}, $param->{type}, 1, sub ($level, $text) {
          if ($level eq 'err') { print STDERR "$text\n" } else { print "$text\n" }
        });
      });
    },
  };
}
1;
