package LabPVE::Guests;
# Guests as files: /etc/pve/nodes/NODE/{qemu-server,lxc}/ID.conf, and their power state, which no Proxmox file holds:
#   /var/lib/nightshift-lab/guests/ID.json  {"status":"running","since":EPOCH,"pid":N,"agent":"alive|dead","qmp":"running|prelaunch|paused|..."}
# A missing file means stopped. `agent` absent means alive. Whoever builds a lab estate writes these files.
use v5.36;
use LabPVE::Env;

my %DIR = (qemu => 'qemu-server', lxc => 'lxc');
our @QEMU_DISKS = ((map { "ide$_" } 0 .. 3), (map { "scsi$_" } 0 .. 30), (map { "virtio$_" } 0 .. 15), (map { "sata$_" } 0 .. 5), 'efidisk0', 'tpmstate0');
our @LXC_DISKS = ('rootfs', map { "mp$_" } 0 .. 255);
our $DRIVE_RE = qr/^(?:ide[0-3]|scsi(?:[0-9]|[12][0-9]|30)|virtio(?:[0-9]|1[0-5])|sata[0-5]|efidisk0|tpmstate0)$/;

# { vmid => { node, type } } of the whole cluster.
sub all {
  my %list;
  for my $node (LabPVE::Env::list_dir('/etc/pve/nodes')) {
    for my $type (qw(qemu lxc)) {
      for my $f (LabPVE::Env::list_dir("/etc/pve/nodes/$node/$DIR{$type}")) {
        $list{$1} = { node => $node, type => $type } if $f =~ /^([1-9][0-9]{2,8})\.conf$/;
      }
    }
  }
  return \%list;
}

sub local_ids ($type) {
  return sort { $a <=> $b } map { /^([1-9][0-9]{2,8})\.conf$/ ? $1 : () } LabPVE::Env::list_dir('/etc/pve/nodes/' . LabPVE::Env::node() . "/$DIR{$type}");
}

sub conf_path ($type, $vmid, $node = LabPVE::Env::node()) { return "/etc/pve/nodes/$node/$DIR{$type}/$vmid.conf" }

sub decode_text ($v) {
  my $t = $v =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
  utf8::decode($t);
  return $t;
}
sub encode_text ($v) {
  my $b = $v;
  utf8::encode($b) if utf8::is_utf8($b);
  return $b =~ s/([\x00-\x1f%:\x7f-\xff])/sprintf '%%%02X', ord $1/ger;
}

# { main => {k => v}, pending => {k => v, delete => text}, snapshots => {name => {}}, order of sections, digest }
sub parse ($raw) {
  my $c = { main => {}, pending => {}, sections => [], raw => $raw };
  my ($cur, $descr, $name) = ($c->{main}, undef, '');
  my $flush = sub {
    if (defined $descr) { $descr =~ s/\s+$//; $cur->{description} = $descr }
    $descr = undef;
  };
  for my $line (split /\n/, $raw) {
    next if $line =~ /^\s*$/;
    if ($line =~ /^\[([^\]]+)\]\s*$/) {
      $flush->();
      $name = $1;
      if (uc $name eq 'PENDING') { $cur = $c->{pending}; next }
      push @{ $c->{sections} }, { name => $name, conf => $cur = {} };
      next;
    }
    if ($line =~ /^#(.*)$/) { $descr = ($descr // '') . decode_text($1) . "\n"; next }
    if ($line =~ /^(?:description|notes):\s*(.*\S)\s*$/) { $descr = ($descr // '') . decode_text($1) . "\n"; next }
    if ($line =~ /^([A-Za-z][\w.-]*)\s*:\s*(.*?)\s*$/) {
      my ($k, $v) = ($1, $2);
      if ($k =~ /^lxc\./) { push @{ $cur->{lxc} }, [$k, $v]; next }
      $cur->{$k} = $v;
    }
  }
  $flush->();
  return $c;
}

sub render ($c) {
  my $section = sub ($h) {
    my $out = '';
    if (defined $h->{description} && $h->{description} ne '') {
      $out .= '#' . encode_text($_) . "\n" for split /\n/, $h->{description};
    }
    $out .= "$_: $h->{$_}\n" for grep { $_ ne 'description' && $_ ne 'lxc' } sort keys %$h;
    $out .= "$_->[0]: $_->[1]\n" for @{ $h->{lxc} // [] };
    return $out;
  };
  my $out = $section->($c->{main});
  $out .= "\n[PENDING]\n" . $section->($c->{pending}) if %{ $c->{pending} };
  $out .= "\n[$_->{name}]\n" . $section->($_->{conf}) for @{ $c->{sections} };
  return $out;
}

# The config of a local guest; dies with Proxmox' text when there is none of that type here.
sub load ($type, $vmid, $node = LabPVE::Env::node()) {
  my $raw = LabPVE::Env::read_file(conf_path($type, $vmid, $node));
  die "Configuration file 'nodes/$node/$DIR{$type}/$vmid.conf' does not exist\n" if !defined $raw;
  return parse($raw);
}

sub save ($type, $vmid, $c) { return LabPVE::Env::write_file(conf_path($type, $vmid), render($c)) }

# The config as it will be: pending changes applied.
sub applied ($c) {
  my %h = (%{ $c->{main} }, %{ $c->{pending} });
  if (defined(my $gone = delete $h{delete})) {
    for my $k (split /[,; ]+/, $gone) { $k =~ s/^!//; delete $h{$k} if !exists $c->{pending}{$k} }
  }
  return \%h;
}

sub check_lock ($type, $c) {
  my $what = $type eq 'qemu' ? 'VM' : 'CT';
  die "$what is locked ($c->{main}{lock})\n" if defined $c->{main}{lock};
  return;
}

sub state_path ($vmid) { return "/var/lib/nightshift-lab/guests/$vmid.json" }

# Power state: { status => running|stopped, since, pid, agent, qmp }
sub power ($vmid) {
  my $raw = LabPVE::Env::read_file(state_path($vmid));
  return { status => 'stopped' } if !defined $raw;
  require LabPVE::Json;
  my $s = LabPVE::Json::decode($raw);
  $s->{status} //= 'stopped';
  return $s;
}

sub set_state ($vmid, $s) {
  require LabPVE::Json;
  return LabPVE::Env::write_file(state_path($vmid), LabPVE::Json::encode($s) . "\n");
}

sub is_running ($vmid) { return power($vmid)->{status} eq 'running' }

# `a=b,c` → { '' => first word without key, a => b }
sub options ($text) {
  my %o;
  for my $part (split /,/, $text // '') {
    if ($part =~ /^([^=]+)=(.*)$/) { $o{$1} = $2 } else { $o{''} //= $part }
  }
  return \%o;
}

sub drive ($text) {
  my $o = options($text);
  $o->{''} //= $o->{file} // $o->{volume};
  return $o;
}

sub is_cdrom ($o) { return ($o->{media} // '') eq 'cdrom' || ($o->{''} // '') =~ /^(?:none|cdrom)$/ }

my %UNIT = ('' => 1, K => 1024, M => 1024**2, G => 1024**3, T => 1024**4);
sub bytes ($text) { return defined $text && $text =~ /^(\d+(?:\.\d+)?)([KMGT]?)$/ ? int($1 * $UNIT{$2}) : 0 }

# [[name, drive options]] of a VM without CD-ROMs, in Proxmox' order.
sub vm_disks ($h) { return map { [$_, drive($h->{$_})] } grep { defined $h->{$_} && !is_cdrom(drive($h->{$_})) } @QEMU_DISKS }
sub ct_disks ($h) { return map { [$_, drive($h->{$_})] } grep { defined $h->{$_} } @LXC_DISKS }

sub boot_disk ($h) {
  if (defined(my $order = options($h->{boot})->{order})) {
    for my $d (split /;/, $order) { return $d if $d =~ $DRIVE_RE && defined $h->{$d} && !is_cdrom(drive($h->{$d})) }
    return undef;
  }
  return defined $h->{bootdisk} && defined $h->{ $h->{bootdisk} } ? $h->{bootdisk} : undef;
}

sub host_cpus {
  return LabPVE::Env::settings()->{host_cpus} // do {
    my $info = '';
    if (open my $fh, '<', '/proc/cpuinfo') { local $/; $info = <$fh> }
    (scalar(() = $info =~ /^processor\s*:/mg)) || 1;
  };
}

# One row of /nodes/N/qemu or /nodes/N/lxc (numbers are numbers).
sub row ($type, $vmid) {
  my $c = load($type, $vmid)->{main};
  my $s = power($vmid);
  my $up = $s->{status} eq 'running' ? 1 : 0;
  my $max = host_cpus();
  my %r = (vmid => 0 + $vmid, status => $s->{status}, cpu => 0, disk => 0, mem => 0, netin => 0, netout => 0, uptime => 0);
  $r{uptime} = LabPVE::Env::now() - ($s->{since} // LabPVE::Env::now()) if $up;
  $r{pid} = $s->{pid} // 1000 + $vmid if $up;
  if ($type eq 'qemu') {
    my $cpus = ($c->{sockets} // 1) * ($c->{cores} // 1);
    my $boot = boot_disk($c);
    $r{cpus} = $cpus > $max ? $max : $cpus;
    $r{maxmem} = options($c->{memory} // 512)->{''} * 1024**2;
    $r{maxdisk} = defined $boot ? bytes(drive($c->{$boot})->{size}) : 0;
    $r{memhost} = 0;
    $r{name} = $c->{name} // "VM $vmid";
    $r{template} = 1 if $c->{template};
  }
  else {
    $r{cpus} = 0 + ($c->{cores} // $max);
    $r{maxmem} = ($c->{memory} // 512) * 1024**2;
    $r{maxswap} = ($c->{swap} // 512) * 1024**2;
    $r{maxdisk} = bytes(drive($c->{rootfs} // '')->{size}) || 4 * 1024**3;
    $r{$_} = 0 for qw(diskread diskwrite swap);
    $r{type} = 'lxc';
    $r{name} = $c->{hostname} // "CT$vmid";
    $r{template} = 1 if $c->{template};
  }
  if ($up) { $r{mem} = int($r{maxmem} * 0.6); $r{memhost} = $r{mem} if $type eq 'qemu'; $r{cpu} = 0.02 }
  $r{lock} = $c->{lock} if defined $c->{lock};
  $r{tags} = $c->{tags} if defined $c->{tags};
  return \%r;
}

sub qmp_status ($vmid) {
  my $s = power($vmid);
  return $s->{status} eq 'running' ? $s->{qmp} // 'running' : 'stopped';
}

sub agent_enabled ($h) {
  return 0 if !defined $h->{agent};
  my $o = options($h->{agent});
  return ($o->{enabled} // $o->{''} // 0) eq '1' ? 1 : 0;
}

# The order of refusals of every guest agent call (qemu-server PVE/QemuServer/Agent.pm).
sub check_agent ($vmid, $h) {
  die "No QEMU guest agent configured\n" if !agent_enabled($h);
  die "VM $vmid is not running\n" if !is_running($vmid);
  if ((power($vmid)->{agent} // 'alive') ne 'alive') {
    LabPVE::Env::pass_seconds(LabPVE::Env::settings()->{agent_timeout_s} // 3);
    die "QEMU guest agent is not running\n";
  }
  return;
}
1;
