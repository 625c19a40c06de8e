package LabPVE::GuestPrint;
# What qm and pct print: lists, configs, status (qemu-server PVE/CLI/qm.pm, pve-container PVE/CLI/pct.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;

sub vm_list ($full) {
  my @ids = LabPVE::Guests::local_ids('qemu') or return;
  printf "%10s %-20s %-10s %-10s %12s %-10s\n", 'VMID', 'NAME', 'STATUS', 'MEM(MB)', 'BOOTDISK(GB)', 'PID';
  for my $id (@ids) {
    my $r = LabPVE::Guests::row('qemu', $id);
    my $status = $full ? LabPVE::Guests::qmp_status($id) : $r->{status};
    printf "%10s %-20s %-10s %-10s %12.2f %-10s\n", $id, $r->{name}, $status, $r->{maxmem} / 1024**2, $r->{maxdisk} / 1024**3, $r->{pid} // 0;
  }
  return;
}

sub ct_list {
  my @ids = LabPVE::Guests::local_ids('lxc') or return;
  my $format = "%-10s %-10s %-12s %-20s\n";
  printf $format, 'VMID', 'Status', 'Lock', 'Name';
  for my $id (@ids) {
    my $r = LabPVE::Guests::row('lxc', $id);
    printf $format, $id, $r->{status}, $r->{lock} // '', $r->{name};
  }
  return;
}

sub config ($row) {
  for my $k (sort keys %$row) {
    next if $k eq 'digest' || $k eq 'lxc';
    my $v = $row->{$k};
    $v = LabPVE::Guests::encode_text($v) if $k eq 'description';
    print "$k: $v\n";
  }
  print "$_->[0]: $_->[1]\n" for @{ $row->{lxc} // [] };
  return;
}

sub pending ($rows) {
  for my $r (@$rows) {
    my $show = sub ($v) { $r->{key} eq 'description' ? LabPVE::Guests::encode_text($v) : $v };
    if (defined $r->{delete}) { print "del $r->{key}: " . $show->($r->{value} // '') . "\n"; next }
    print "cur $r->{key}: " . $show->($r->{value}) . "\n" if defined $r->{value};
    print "new $r->{key}: " . $show->($r->{pending}) . "\n" if defined $r->{pending};
  }
  return;
}

sub status ($row, $verbose) {
  if (!$verbose) { print "status: $row->{status}\n"; return }
  for my $k (sort keys %$row) {
    next if $k eq 'cpu' || $k eq 'ha' || $k eq 'agent' || !defined $row->{$k};
    print "$k: $row->{$k}\n";
  }
  return;
}
1;
