package LabPVE::Restore;
# Restoring a VM: qmrestore and `qm create --archive` (qemu-server PVE/QemuServer.pm restore_vma_archive, PVE/API2/Qemu.pm create_vm).
# A failed restore leaves the empty config behind, as on a real host.
use v5.36;
use LabPVE::Api::Qemu;
use LabPVE::ArchiveConfig;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::GuestDestroy;
use LabPVE::GuestEdit;
use LabPVE::Guests;
use LabPVE::Storage;
use LabPVE::Tasks;
use LabPVE::Volumes;

my $BOOL = { type => 'boolean', optional => 1 };
our %OPTIONS = (
  storage => { format => 'pve-storage-id', optional => 1 }, pool => { format => 'pve-poolid', optional => 1 }, unique => $BOOL, force => $BOOL, 'live-restore' => $BOOL,
  bwlimit => { type => 'number', minimum => 0, optional => 1 }, start => $BOOL, 'ha-managed' => $BOOL,
);

sub qmrestore_method {
  return { params => { archive => { maxLength => 255 }, %LabPVE::Api::Qemu::VMID, %OPTIONS }, args => ['archive', 'vmid'], code => sub ($param) { restore($param, {}) } };
}

sub create_method {
  require LabPVE::QemuOptions;
  return {
    params => { %LabPVE::QemuOptions::CONFIG, %LabPVE::Api::Qemu::VMID, %OPTIONS, archive => { maxLength => 255, optional => 1 } }, args => ['vmid'],
    code => sub ($param) {
      my %override = map { ($_ => $param->{$_}) } grep { $LabPVE::QemuOptions::CONFIG{$_} } keys %$param;
      LabPVE::GuestEdit::tidy(\%override);
      if (!defined $param->{archive}) { return create_plain($param->{vmid}, \%override) }
      for my $k (sort keys %override) { LabPVE::Error::raise_param($k => "option conflicts with option 'archive'") if $k =~ $LabPVE::Guests::DRIVE_RE && !LabPVE::Guests::is_cdrom(LabPVE::Guests::drive($override{$k})) }
      my $upid = restore($param, \%override);
      $LabPVE::Program::qm::EXIT = 255 if LabPVE::Tasks::is_error(LabPVE::Tasks::status($upid));
      return;
    },
  };
}

# A VM without disks; allocating disks on creation is not emulated.
sub create_plain ($vmid, $h) {
  require LabPVE::Unknown;
  LabPVE::Unknown::fail("'qm create' with a new disk ($_)") for grep { $_ =~ $LabPVE::Guests::DRIVE_RE && !LabPVE::Guests::is_cdrom(LabPVE::Guests::drive($h->{$_})) } sort keys %$h;
  my $all = LabPVE::Guests::all();
  die "unable to create VM $vmid - " . ($all->{$vmid}{type} eq 'qemu' ? 'VM' : 'CT') . " $vmid already exists on node '$all->{$vmid}{node}'\n" if $all->{$vmid};
  $h->{vmgenid} //= uuid();
  $h->{smbios1} //= 'uuid=' . uuid();
  LabPVE::Guests::save('qemu', $vmid, { main => $h, pending => {}, sections => [] });
  return;
}

sub uuid {
  open my $fh, '<', '/proc/sys/kernel/random/uuid' or die "unable to generate a UUID: $!\n";
  chomp(my $u = <$fh>);
  return $u;
}

# Path of an archive given as volume ID or path; dies when it does not exist.
sub archive_path ($archive) {
  if ($archive =~ m{^/}) {
    die "$archive: No such file or directory\n" if !LabPVE::Env::exists_file($archive);
    return $archive;
  }
  my $cfg = LabPVE::Storage::config();
  my ($sid, $name) = LabPVE::Storage::parse_volume_id($archive);
  my $s = LabPVE::Storage::entry($cfg, $sid);
  my ($type) = LabPVE::Storage::parse_volname($s, $name);
  my $path = LabPVE::Storage::path_of($cfg, $archive);
  die "volume '$archive' does not exist\n" if $type ne 'backup' || !LabPVE::Env::exists_file($path);
  LabPVE::Storage::activate($cfg, $sid);
  return $path;
}

sub restore ($param, $override) {
  my $vmid = $param->{vmid};
  my $path = archive_path($param->{archive});
  my $prefix = "unable to restore VM $vmid - ";
  my $here = LabPVE::Guests::all()->{$vmid};
  if ($here) {
    my $what = $here->{type} eq 'qemu' ? 'VM' : 'CT';
    die "$prefix$what $vmid already exists on node '$here->{node}'\n" if !$param->{force} || $here->{type} ne 'qemu';
    die "${prefix}vm is running\n" if LabPVE::Guests::is_running($vmid);
  }
  else {
    LabPVE::Env::write_file(LabPVE::Guests::conf_path('qemu', $vmid), '');
    LabPVE::Env::record_effect('guest.create', $vmid);
  }
  return LabPVE::Tasks::run('qmrestore', $vmid, sub ($) {
    my $ok = eval {
      die "$prefix- protection mode enabled\n" if $here && LabPVE::Guests::load('qemu', $vmid)->{main}{protection};
      die "live-restore is only compatible with backup images from a Proxmox Backup Server\n" if $param->{'live-restore'};
      unpack_archive($param, $path, $override);
      1;
    };
    if (!$ok) {
      my $err = $@;
      print "error before or during data restore, some or all disks were not completely restored. VM $vmid state is NOT cleaned up.\n";
      die $err;
    }
    print "rescan volumes...\n";
    if (defined $param->{pool}) { require LabPVE::Users; LabPVE::Users::add_vm($param->{pool}, $vmid) }
    if ($param->{start}) { require LabPVE::GuestPower; LabPVE::GuestPower::start('qemu', $vmid) }
  });
}

sub unpack_archive ($param, $path, $override) {
  my $vmid = $param->{vmid};
  my $tmp = "/var/tmp/vzdumptmp$$";
  my @zip = LabPVE::ArchiveConfig::decompressor($path);
  my $extract = @zip ? join(' ', @zip) . " $path | vma extract -v -r $tmp.fifo - $tmp" : "vma extract -v -r $tmp.fifo $path $tmp";
  print "restore vma archive: $extract\n";
  my $command = @zip ? "set -o pipefail && $extract" : $extract;
  my $recording = LabPVE::Env::recording();
  my ($fh, $h);
  if ($recording) {
    require LabPVE::Recording;
    my $a = LabPVE::Recording::read_archive($path);
    my $n = 0;
    $h = { configs => [['qemu-server.conf', $a->{config}]], devices => [map { [++$n, @$_] } @{ $a->{devices} }], ctime_text => $a->{ctime_text} };
  }
  else {
    require LabPVE::Vma;
    $fh = LabPVE::ArchiveConfig::open_archive($path);
    $h = eval { LabPVE::Vma::read_header($fh) };
    if (!$h) { print STDERR "** ERROR **: $@"; die "command '$command' failed: got signal 5\n" }
  }
  print 'CFG: size: ' . length($_->[1]) . " name: $_->[0]\n" for @{ $h->{configs} };
  print "DEV: dev_id=$_->[0] size: $_->[2] devname: $_->[1]\n" for @{ $h->{devices} };
  print 'CTIME: ' . ($h->{ctime_text} // LabPVE::Env::ctime_text($h->{ctime})) . "\n";
  my ($config) = map { $_->[1] } grep { $_->[0] eq 'qemu-server.conf' } @{ $h->{configs} };
  my %map = map { /^#qmdump#map:(\S+):(drive-\S+?):(\S*?):(\S*?):/ ? ($2 => { drive => $1, storage => $3 }) : () } split /\n/, $config;
  my $old = LabPVE::Guests::load('qemu', $vmid);
  LabPVE::GuestDestroy::remove_disks('qemu', $vmid, $old);
  my $volumes = eval { allocate($param, $h, \%map) };
  if (!$volumes) { chomp(my $e = $@); die "command '$command' failed: $e\n" }
  if ($recording) { LabPVE::Recording::restore_lines($_->[2]) for @{ $h->{devices} } }
  else { copy_data($fh, $h, $volumes, $command) }
  my $c = { main => new_config($config, $h, \%map, $volumes, $param->{unique}), pending => {}, sections => [] };
  $c->{main} = { %{ $c->{main} }, %$override };
  LabPVE::Guests::save('qemu', $vmid, $c);
  LabPVE::Env::record_effect('guest.restore', $vmid);
  return;
}

# Device ID → volume ID, with the lines of the allocation and the map.
sub allocate ($param, $h, $map) {
  my $cfg = LabPVE::Storage::config();
  my %volume;
  for my $d (@{ $h->{devices} }) {
    my $m = $map->{ $d->[1] } or next;
    my $sid = $param->{storage} // ($m->{storage} || 'local');
    $volume{ $d->[0] } = LabPVE::Volumes::allocate($cfg, $sid, $param->{vmid}, $d->[2]);
    print "new volume ID is '$volume{$d->[0]}'\n";
  }
  for my $d (grep { $volume{ $_->[0] } } @{ $h->{devices} }) {
    print "map '$d->[1]' to '" . LabPVE::Storage::path_of($cfg, $volume{ $d->[0] }) . "' (write zeros = 0)\n";
  }
  return \%volume;
}

sub copy_data ($fh, $h, $volumes, $command) {
  require LabPVE::Program::vma;
  my $cfg = LabPVE::Storage::config();
  my %out;
  for my $id (keys %$volumes) { open $out{$id}, '+<:raw', LabPVE::Env::path(LabPVE::Volumes::disk_file($cfg, $volumes->{$id})) or die "unable to open '$volumes->{$id}' - $!\n" }
  my %size = map { ($_->[0] => $_->[2]) } @{ $h->{devices} };
  my $stat = eval {
    LabPVE::Vma::read_extents($fh, $h, sub ($id, $n, $data) {
      return if !defined $data || !$out{$id};
      my $left = $size{$id} - $n * 65536;
      $data = substr $data, 0, $left if $left < length $data;
      sysseek $out{$id}, $n * 65536, 0;
      syswrite $out{$id}, $data or die "write failed - $!\n";
    }, LabPVE::Program::vma::reporter());
  };
  if (!$stat) { print STDERR "** ERROR **: restore failed - $@"; die "command '$command' failed: got signal 5\n" }
  close $fh or die "command '$command' failed: exit code 1\n";
  LabPVE::Program::vma::totals($stat);
  return;
}

# The config of the restored VM: new vmgenid always; with `unique` new MACs and SMBIOS UUID; disks on their new volumes; disks without backup become comments.
sub new_config ($text, $h, $map, $volumes, $unique) {
  my %new = map { ($map->{ $_->[1] }{drive} => $volumes->{ $_->[0] }) } grep { $map->{ $_->[1] } } @{ $h->{devices} };
  my $out = '';
  for my $line (split /\n/, $text) {
    next if $line =~ /^#qmdump#/ || $line =~ /^(?:lock|parent|unused\d+):/;
    last if $line =~ /^\[/;
    if ($line =~ /^vmgenid:/) { $out .= 'vmgenid: ' . uuid() . "\n"; next }
    if ($unique && $line =~ /^smbios1:/) { $line =~ s/uuid=[0-9a-f-]+/'uuid=' . uuid()/e }
    if ($unique && $line =~ /^net\d+:/) { $line =~ s/(?:[0-9A-F]{2}:){5}[0-9A-F]{2}/LabPVE::GuestEdit::random_mac()/ie }
    my ($k, $v) = $line =~ /^(\w+): (.*)$/;
    if (defined $k && $k =~ $LabPVE::Guests::DRIVE_RE) {
      my $o = LabPVE::Guests::drive($v);
      if (defined $o->{backup} && !$o->{backup}) { $out .= "#$line\n"; next }
      if ($new{$k}) { $v =~ s/^[^,]+/$new{$k}/; $line = "$k: $v" }
    }
    $out .= "$line\n";
  }
  my $new = LabPVE::Guests::parse($out)->{main};
  $new->{vmgenid} //= uuid();
  return $new;
}
1;
