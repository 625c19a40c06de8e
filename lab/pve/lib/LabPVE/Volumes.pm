package LabPVE::Volumes;
# What lies in a storage: archives, disk images, ISO images, templates; their attributes; making and freeing them.
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;
use LabPVE::Storage;

my $EXT = qr/(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)/;

# { vmid, ctime, type, format, standard, filename } of an archive's path; dies when it is no archive (pve-storage archive_info).
sub archive_info ($path) {
  my ($file) = $path =~ m{([^/]+)$};
  my ($type, $rest, $ext) = $file =~ /^vzdump-(lxc|openvz|qemu)-(.+)\.($EXT)$/ or die "ERROR: couldn't determine archive info from '$file'\n";
  my $info = { filename => $file, type => $type, format => $ext, standard => 0 };
  if ($rest =~ /^([1-9][0-9]{2,8})-(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)$/) {
    $info->{vmid} = 0 + $1;
    my ($y, $mo, $d, $h, $mi, $s) = ($2, $3, $4, $5, $6, $7);
    my @days = (31, ($y % 4 == 0 && ($y % 100 || $y % 400 == 0)) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31);
    die "Month '" . ($mo - 1) . "' out of range 0..11\n" if $mo < 1 || $mo > 12;
    die "Day '" . (0 + $d) . "' out of range 1..$days[$mo - 1]\n" if $d < 1 || $d > $days[$mo - 1];
    die "time of '$file' is out of range\n" if $h > 23 || $mi > 59 || $s > 59;
    require POSIX;
    $info->{ctime} = POSIX::mktime($s, $mi, $h, $d, $mo - 1, $y - 1900, 0, 0, -1);
    $info->{standard} = 1;
    ($info->{logfilename} = $file) =~ s/\.$EXT$/.log/;
    $info->{notesfilename} = "$file.notes";
  }
  return $info;
}

# One row of a content listing per archive of a directory.
sub archives ($sid, $s, $vmid = undef) {
  my $dir = LabPVE::Storage::content_dir($s, 'backup');
  my @rows;
  for my $file (LabPVE::Env::list_dir($dir)) {
    my ($ext) = $file =~ /\.($EXT)$/ or next;
    next if defined $vmid && $file !~ /-\Q$vmid\E-/;
    my @st = stat LabPVE::Env::path("$dir/$file") or next;
    next if -d _;
    my $info = eval { archive_info($file) };
    my %row = (volid => "$sid:backup/$file", content => 'backup', format => $ext, size => $st[7], ctime => $info->{ctime} // $st[10], subtype => $info->{type} // 'unknown');
    if (defined $vmid) { $row{vmid} = 0 + $vmid }
    elsif ($info && $info->{vmid}) { $row{vmid} = $info->{vmid} }
    elsif ($file =~ /-([1-9][0-9]{2,8})-[^\/]+\.$EXT$/) { $row{vmid} = 0 + $1 }
    my $notes = LabPVE::Env::read_file("$dir/$file.notes");
    if (defined $notes) { ($row{notes}) = split /\n/, $notes; $row{notes} //= ''; utf8::decode($row{notes}) }
    $row{protected} = 1 if LabPVE::Env::exists_file("$dir/$file.protected");
    push @rows, \%row;
  }
  return @rows;
}

sub images ($sid, $s, $vmid = undef, $content = 'images') {
  my $dir = LabPVE::Storage::content_dir($s, 'images');
  my @rows;
  for my $owner (LabPVE::Env::list_dir($dir)) {
    next if $owner !~ /^[1-9][0-9]{2,8}$/ || (defined $vmid && $owner != $vmid);
    for my $file (LabPVE::Env::list_dir("$dir/$owner")) {
      my ($format) = $file =~ /\.(raw|qcow2|vmdk)$/ or next;
      my @st = stat LabPVE::Env::path("$dir/$owner/$file") or next;
      push @rows, { volid => "$sid:$owner/$file", content => $content, format => $format, size => $st[7], used => $st[12] * 512, ctime => $st[10], parent => undef, vmid => 0 + $owner };
    }
  }
  return @rows;
}

sub plain_files ($sid, $s, $content, $prefix, $re) {
  my $dir = LabPVE::Storage::content_dir($s, $content);
  my @rows;
  for my $file (LabPVE::Env::list_dir($dir)) {
    my ($ext) = $file =~ $re or next;
    my @st = stat LabPVE::Env::path("$dir/$file") or next;
    push @rows, { volid => "$sid:$prefix/$file", content => $content, format => $content eq 'vztmpl' ? "t$ext" : $content eq 'iso' ? 'iso' : 'snippet', size => $st[7], ctime => $st[10] };
  }
  return @rows;
}

# Everything in a storage, sorted by lower-case volume ID (volume_list); dies when the storage cannot be used.
sub listing ($cfg, $sid, $vmid = undef, $content = undef) {
  my $s = LabPVE::Storage::entry($cfg, $sid);
  LabPVE::Storage::activate($cfg, $sid);
  my %has = LabPVE::Storage::content_types($s);
  my @want = grep { $has{$_} } defined $content ? LabPVE::Formats::split_list($content) : sort keys %has;
  my @rows;
  for my $type (LabPVE::Storage::is_path_type($s) ? @want : ()) {
    if ($type eq 'backup') { push @rows, archives($sid, $s, $vmid) }
    elsif ($type eq 'images' || $type eq 'rootdir') {
      for my $row (images($sid, $s, $vmid)) {
        my $is_ct = ($row->{volid} =~ /(?:subvol|\.subvol)/ || owner_type($row->{vmid}) eq 'lxc');
        next if ($type eq 'rootdir') != $is_ct;
        push @rows, { %$row, content => $type };
      }
    }
    elsif ($type eq 'iso') { push @rows, plain_files($sid, $s, 'iso', 'iso', qr/\.(iso|img)$/i) if !defined $vmid }
    elsif ($type eq 'vztmpl') { push @rows, plain_files($sid, $s, 'vztmpl', 'vztmpl', qr/\.tar\.(gz|xz|zst)$/) if !defined $vmid }
    elsif ($type eq 'snippets') { push @rows, plain_files($sid, $s, 'snippets', 'snippets', qr/^(.)/) if !defined $vmid }
  }
  return [sort { lc $a->{volid} cmp lc $b->{volid} } @rows];
}

my $guests;
sub owner_type ($vmid) {
  require LabPVE::Guests;
  $guests //= LabPVE::Guests::all();
  return ($guests->{$vmid} // { type => 'qemu' })->{type};
}

# { path, format, size, used, notes, protected } of one volume (GET content/VOLID): size as `qemu-img info` says it, rounded up to 512.
sub info ($cfg, $volid) {
  my ($sid, $name) = LabPVE::Storage::parse_volume_id($volid);
  my $s = LabPVE::Storage::entry($cfg, $sid);
  my $path = LabPVE::Storage::path_of($cfg, $volid);
  my ($type, undef, undef, $format) = LabPVE::Storage::parse_volname($s, $name);
  my @st = stat LabPVE::Env::path($path);
  die "volume_size_info on '$volid' failed - no format\n" if !@st;
  my $size = int(($st[7] + 511) / 512) * 512;
  die "volume '$volid' has size zero\n" if !$size;
  my %row = (path => $path, size => $size, used => $st[12] * 512, format => $type eq 'images' ? $format : 'raw');
  if ($type eq 'backup') {
    my $notes = LabPVE::Env::read_file("$path.notes");
    utf8::decode($notes) if defined $notes;
    $row{notes} = $notes // '';
    $row{protected} = LabPVE::Env::exists_file("$path.protected") ? 1 : 0;
  }
  return \%row;
}

# Notes (text) and protection (0/1) of an archive.
sub set_attribute ($cfg, $volid, $what, $value) {
  my ($sid, $name) = LabPVE::Storage::parse_volume_id($volid);
  my $s = LabPVE::Storage::entry($cfg, $sid);
  my ($type) = LabPVE::Storage::parse_volname($s, $name);
  die "attribute '$what' is not supported for storage type '$s->{type}' and content type '$type'\n" if $type ne 'backup' || !LabPVE::Storage::is_path_type($s);
  my $path = LabPVE::Storage::path_of($cfg, $volid);
  if ($what eq 'notes') {
    if (defined $value && $value ne '') { LabPVE::Env::write_file("$path.notes", $value) } else { LabPVE::Env::remove_file("$path.notes") }
    LabPVE::Env::record_effect('archive.notes', $volid);
    return;
  }
  return if !!$value == !!LabPVE::Env::exists_file("$path.protected");
  if ($value) {
    if (!LabPVE::Env::exists_file($path)) { die "unable to create protection file '$path.protected' - No such file or directory\n" if !-d LabPVE::Env::path($path =~ s{/[^/]+$}{}r) }
    LabPVE::Env::write_file("$path.protected", '');
  }
  else { LabPVE::Env::remove_file("$path.protected") }
  LabPVE::Env::record_effect($value ? 'archive.protect' : 'archive.unprotect', $volid);
  return;
}

# Removes an archive ($volid names it in the ledger) with its log and notes; dies when it is protected.
sub remove_archive ($path, $volid = $path) {
  die "cannot remove protected archive '$path'\n" if LabPVE::Env::exists_file("$path.protected");
  LabPVE::Env::remove_file($path) or die "removing archive $path failed: $!\n";
  my $info = eval { archive_info($path) } // {};
  my ($dir) = $path =~ m{^(.*)/};
  LabPVE::Env::remove_file("$path.notes");
  LabPVE::Env::remove_file("$dir/$info->{logfilename}") if $info->{logfilename};
  LabPVE::Env::record_effect('archive.remove', $volid);
  return;
}

# vdisk_free: prints what Proxmox prints; dies with the refusals of the real one.
sub free ($cfg, $volid) {
  my ($sid, $name) = LabPVE::Storage::parse_volume_id($volid);
  my $s = LabPVE::Storage::entry($cfg, $sid);
  LabPVE::Storage::activate($cfg, $sid);
  my ($type, $file) = LabPVE::Storage::parse_volname($s, $name);
  my $path = LabPVE::Storage::path_of($cfg, $volid);
  if ($type eq 'backup') {
    die "cannot remove protected volume '$name' on '$sid'\n" if LabPVE::Env::exists_file("$path.protected");
  }
  my $gone = LabPVE::Env::remove_file(disk_file($cfg, $volid));
  print STDERR "disk image '$path' does not exist\n" if !$gone;
  if ($type eq 'backup') {
    my $info = eval { archive_info($path) } // {};
    my ($dir) = $path =~ m{^(.*)/};
    LabPVE::Env::remove_file("$path.notes");
    LabPVE::Env::remove_file("$dir/$info->{logfilename}") if $info->{logfilename};
  }
  elsif ($type eq 'images') { rmdir LabPVE::Env::path($path =~ s{/[^/]+$}{}r) if $path =~ m{/images/\d+/} }
  LabPVE::Env::record_effect($type eq 'backup' ? 'archive.remove' : 'disk.remove', $volid) if $gone;
  return;
}

# The file that holds a volume's bytes in the lab: its path, or for block storages /var/lib/nightshift-lab/disks/STORAGE/VOLUME.
sub disk_file ($cfg, $volid) {
  my ($sid, $name) = LabPVE::Storage::parse_volume_id($volid);
  my $s = LabPVE::Storage::entry($cfg, $sid);
  return LabPVE::Storage::path_of($cfg, $volid) if LabPVE::Storage::is_path_type($s) && $name =~ m{/};
  return "/var/lib/nightshift-lab/disks/$sid/$name";
}

# Allocates an image of $bytes for a guest: volume ID. Prints the line of the allocator.
sub allocate ($cfg, $sid, $vmid, $bytes, $format = 'raw', $file = undef) {
  my $s = LabPVE::Storage::entry($cfg, $sid);
  LabPVE::Storage::activate($cfg, $sid);
  my %has = LabPVE::Storage::content_types($s);
  my $ct = owner_type($vmid) eq 'lxc';
  die "Content type '" . ($ct ? 'rootdir' : 'images') . "' is not available on storage '$sid'\n" if !$has{ $ct ? 'rootdir' : 'images' };
  my $dir = LabPVE::Storage::is_path_type($s);
  if (!defined $file) {
    for my $n (0 .. 999) {
      $file = $dir ? "vm-$vmid-disk-$n.$format" : "vm-$vmid-disk-$n";
      my $volid = $dir ? "$sid:$vmid/$file" : "$sid:$file";
      last if !LabPVE::Env::exists_file(disk_file($cfg, $volid));
    }
  }
  my $volid = $dir ? "$sid:$vmid/$file" : "$sid:$file";
  my $path = disk_file($cfg, $volid);
  die "disk image '$path' already exists\n" if LabPVE::Env::exists_file($path);
  print $dir ? "Formatting '$path', fmt=$format size=$bytes preallocation=off\n" : "  Logical volume \"$file\" created.\n";
  LabPVE::Env::make_dir($path =~ s{/[^/]+$}{}r);
  open my $fh, '>', LabPVE::Env::path($path) or die "unable to create image '$path' - $!\n";
  truncate $fh, $bytes or die "unable to create image '$path' - $!\n";
  close $fh;
  LabPVE::Env::record_effect('disk.create', $volid, { bytes => 0 + $bytes });
  return $volid;
}
1;
