package LabPVE::Storage;
# Storages: /etc/pve/storage.cfg, activation, capacity, paths, volume names (pve-storage PVE/Storage.pm, Storage/Plugin.pm, DirPlugin.pm, NFSPlugin.pm).
# The lab has directories only: dir, nfs and cifs are served; other types are configuration (status says what a host without that hardware would say).
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;
use LabPVE::SectionConfig;
use LabPVE::StorageTypes;

our $FILE = '/etc/pve/storage.cfg';

sub config {
  my $cfg = LabPVE::SectionConfig::parse($LabPVE::StorageTypes::DEF, LabPVE::Env::read_file($FILE));
  LabPVE::StorageTypes::complete($cfg);
  return $cfg;
}
sub write_config ($cfg) { return LabPVE::Env::write_file($FILE, LabPVE::SectionConfig::render($LabPVE::StorageTypes::DEF, $cfg)) }

sub entry ($cfg, $id, $quiet = 0) {
  my $s = $cfg->{ids}{$id};
  die "storage '$id' does not exist\n" if !$s && !$quiet;
  return $s;
}

sub is_path_type ($s) { return $s->{type} =~ /^(?:dir|nfs|cifs|btrfs|cephfs)$/ }
sub content_types ($s) { return map { ($_ => 1) } LabPVE::Formats::split_list($s->{content}) }

sub enabled_here ($s) {
  return 0 if $s->{disable};
  return 1 if !defined $s->{nodes};
  return scalar grep { $_ eq LabPVE::Env::node() } LabPVE::Formats::split_list($s->{nodes});
}

sub check_enabled ($cfg, $id) {
  my $s = entry($cfg, $id);
  die "storage '$id' is disabled\n" if $s->{disable};
  die "storage '$id' is not available on node '" . LabPVE::Env::node() . "'\n" if !enabled_here($s);
  return $s;
}

# Mount points of the host (below the root prefix there are none).
sub is_mounted ($dir, $type = undef) {
  open my $fh, '<', '/proc/mounts' or return 0;
  my $want = LabPVE::Env::path($dir);
  while (my $line = <$fh>) {
    my (undef, $at, $fs) = split ' ', $line;
    $at =~ s/\\([0-7]{3})/chr oct $1/ge;
    return 1 if $at eq $want && (!defined $type || $fs =~ /^$type/);
  }
  return 0;
}

# Makes a storage ready or dies with the reason, as `activate_storage` does.
sub activate ($cfg, $id) {
  my $s = check_enabled($cfg, $id);
  die "storage '$id' is not online\n" if ($s->{type} eq 'nfs' || $s->{type} eq 'cifs' || $s->{type} eq 'pbs') && !online($id, $s);
  if ($s->{type} eq 'dir') {
    my $mp = $s->{is_mountpoint};
    if (defined $mp && $mp !~ /^(?:no|0|off|false)$/i) {
      my $at = $mp =~ m{^/} ? $mp : $s->{path};
      die "unable to activate storage '$id' - directory is expected to be a mount point but is not mounted: '$at'\n" if !is_mounted($at);
    }
    LabPVE::Env::make_dir($s->{path}) if ($s->{mkdir} // 1) && ($s->{'create-base-path'} // 1);
  }
  if (is_path_type($s)) {
    die "unable to activate storage '$id' - directory '$s->{path}' does not exist or is unreachable\n" if !-d LabPVE::Env::path($s->{path});
    my %c = content_types($s);
    if (($s->{'create-subdirs'} // 1) && ($s->{mkdir} // 1)) { LabPVE::Env::make_dir(content_dir($s, $_)) for grep { $c{$_} } qw(images iso vztmpl backup rootdir snippets) }
    return;
  }
  LabPVE::StorageTypes::activate_other($id, $s);
  return;
}

# A network storage is online when it is mounted where it should be. The lab may say otherwise in pve.json: {"storage":{"ID":{"online":true}}}.
sub online ($id, $s) {
  my $said = (LabPVE::Env::settings()->{storage}{$id} // {})->{online};
  return $said ? 1 : 0 if defined $said;
  return 0 if $s->{type} eq 'pbs';
  return is_mounted($s->{path}, undef);
}

my %SUBDIR = (images => 'images', rootdir => 'private', vztmpl => 'template/cache', iso => 'template/iso', backup => 'dump', snippets => 'snippets', import => 'import');
sub content_dir ($s, $type) {
  my %own = map { /^([^=]+)=(.+)$/ ? ($1 => $2) : () } LabPVE::Formats::split_list($s->{'content-dirs'});
  return "$s->{path}/" . ($own{$type} // $SUBDIR{$type});
}

# Capacity in bytes: (total, used, avail) of the file system below the storage.
sub capacity ($s) {
  my $dir = LabPVE::Env::path($s->{path});
  # statvfs through `df`: the core of Perl has no statvfs.
  open my $df, '-|', 'df', '-P', '-B1', $dir or return (0, 0, 0);
  my @lines = <$df>;
  close $df;
  my (undef, $total, $used, $avail) = split ' ', $lines[1] // '';
  return (0 + ($total // 0), 0 + ($used // 0), 0 + ($avail // 0));
}

# Row of /nodes/N/storage; warnings of inactive storages go to stderr.
sub status_row ($cfg, $id, $warn = 1) {
  my $s = entry($cfg, $id);
  my %row = (storage => $id, type => $s->{type}, content => $s->{content}, active => 0, enabled => enabled_here($s) ? 1 : 0, shared => $s->{shared} ? 1 : 0, total => 0, used => 0, avail => 0);
  return \%row if !$row{enabled};
  if (!eval { activate($cfg, $id); 1 }) {
    print STDERR $@ if $warn;
    return \%row;
  }
  $row{active} = 1;
  @row{qw(total used avail)} = is_path_type($s) ? capacity($s) : LabPVE::StorageTypes::capacity_other($id, $s);
  $row{used_fraction} = $row{used} / $row{total} if $row{total};
  return \%row;
}

# ---- volumes -----------------------------------------------------------------------------------------------------

sub parse_volume_id ($volid) {
  return ($1, $2) if $volid =~ /^([a-z][a-z0-9\-_.]*[a-z0-9]):(.+)$/i;
  die "unable to parse volume ID '$volid'\n";
}

# (content type, file name, vmid, format) of a volume name in a directory storage.
sub parse_volname ($s, $name) {
  if (!is_path_type($s)) { return LabPVE::StorageTypes::parse_volname_other($s, $name) }
  return ('images', $2, $1, $3) if $name =~ m{^(\d+)/([^/\s]+\.(raw|qcow2|vmdk|subvol))$};
  return ('iso', $1, undef, 'iso') if $name =~ m{^iso/([^/]+\.(?:iso|img))$}i;
  return ('vztmpl', $1, undef, "t$2") if $name =~ m{^vztmpl/([^/]+\.tar\.(gz|xz|zst))$};
  return ('rootdir', $1, $1, 'raw') if $name =~ m{^rootdir/(\d+)$};
  if ($name =~ m{^backup/([^/]+\.(tgz|(?:(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)))$}) {
    my ($file, $format) = ($1, $2);
    my $vmid = $file =~ /^vzdump-(?:openvz|lxc|qemu)-([1-9][0-9]{2,8})-.+/ ? $1 : undef;
    return ('backup', $file, $vmid, 'raw');
  }
  return ('snippets', $1, undef, 'snippet') if $name =~ m{^snippets/([^/]+)$};
  die "unable to parse directory volume name '$name'\n";
}

sub path_of ($cfg, $volid) {
  my ($sid, $name) = parse_volume_id($volid);
  my $s = entry($cfg, $sid);
  my ($type, $file, $vmid) = parse_volname($s, $name);
  return LabPVE::StorageTypes::path_other($s, $name) if !is_path_type($s);
  return content_dir($s, 'images') . "/$vmid/$file" if $type eq 'images';
  return content_dir($s, $type) . "/$file";
}
1;
