package LabPVE::Selection;
# Which guests a job means at this moment, and which of their volumes a backup takes (pve-manager PVE/VZDump.pm get_included_guests; guest plug-ins).
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;
use LabPVE::Guests;

# Numerically sorted, leading zeros stripped, 0 dropped, duplicates kept.
sub clean_ids (@ids) { return grep { $_ } map { /^\d+$/ ? 0 + $_ : die "ERROR: strange VM ID '$_'\n" } sort { $a <=> $b } @ids }

# { node => [vmids] }; ids that exist nowhere are under ''. Selection: pool, else vmid, else all minus exclude.
sub per_node ($job) {
  my $list = LabPVE::Guests::all();
  my @ids;
  if (defined $job->{pool} && $job->{pool} ne '') {
    require LabPVE::Users;
    my $pool = LabPVE::Users::pools()->{ $job->{pool} } or die "pool '$job->{pool}' does not exist\n";
    @ids = @{ $pool->{vms} };
  }
  elsif ($job->{vmid}) { @ids = LabPVE::Formats::split_list($job->{vmid}) }
  elsif ($job->{all}) {
    my %not = map { ($_ => 1) } clean_ids(LabPVE::Formats::split_list($job->{exclude}));
    @ids = grep { !$not{$_} } keys %$list;
  }
  else { return {} }
  my %out;
  for my $id (clean_ids(@ids)) {
    my $g = $list->{$id};
    if (!$g) { push @{ $out{''} }, $id; next }
    next if defined $job->{node} && $job->{node} ne $g->{node};
    push @{ $out{ $g->{node} } }, $id;
  }
  return \%out;
}

# [{ key, volume, included, reason }] of a guest's config.
sub volumes ($type, $h) {
  my @rows;
  if ($type eq 'qemu') {
    for my $d (LabPVE::Guests::vm_disks($h)) {
      my ($key, $o) = @$d;
      my $included = $o->{backup} // 1;
      my $reason = defined $o->{backup} ? 'backup=no' : 'backup=yes';
      if ($key =~ /^efidisk/ && ($h->{bios} // '') ne 'ovmf') { ($included, $reason) = (0, 'efidisk but no OVMF BIOS') }
      push @rows, { key => $key, volume => $o->{''}, included => $included ? 1 : 0, reason => $reason, drive => $o };
    }
    return @rows;
  }
  for my $d (LabPVE::Guests::ct_disks($h)) {
    my ($key, $o) = @$d;
    my $volume = $o->{''} // '';
    my ($included, $reason) = $key eq 'rootfs' ? (1, 'rootfs') : $volume =~ m{^/} ? (0, 'not a volume') : $o->{backup} ? (1, 'enabled') : (0, 'disabled');
    push @rows, { key => $key, volume => $volume, included => $included, reason => $reason, drive => $o };
  }
  return @rows;
}
1;
