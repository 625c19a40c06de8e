package LabPVE::Api::Qemu;
# /nodes/N/qemu: list, config, pending changes, status and power of VMs (qemu-server PVE/API2/Qemu.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;

my %NODE = (node => { format => 'pve-node' });
our %VMID = (vmid => { type => 'integer', format => 'pve-vmid', minimum => 100, maximum => 999_999_999 });
my %INTEGER = map { ($_ => 1) } qw(balloon cores cpuunits freeze kvm localtime migrate_downtime migrate_speed numa onboot protection shares sockets tablet template tdf vcpus acpi autostart reboot snaptime);

sub list_get ($) {
  return {
    params => { %NODE, full => { type => 'boolean', optional => 1 } }, returns => 'array', link => 'vmid',
    code => sub ($) { [map { LabPVE::Guests::row('qemu', $_) } LabPVE::Guests::local_ids('qemu')] },
  };
}

sub one_get ($) {
  return { params => { %NODE, %VMID }, returns => 'array', link => 'subdir', code => sub ($) { [map { { subdir => $_ } } qw(config pending status unlink vncproxy termproxy migrate resize move rrd rrddata monitor agent snapshot spiceproxy sendkey firewall mtunnel remote_migrate)] } };
}

sub status_index_get ($) {
  return { params => { %NODE, %VMID }, returns => 'array', link => 'subdir', code => sub ($) { [map { { subdir => $_ } } qw(current start stop reset shutdown suspend reboot)] } };
}

# Values as the API types them: numbers for integers and booleans, text for everything else.
sub typed ($h, $integer = \%INTEGER) {
  return { map { my $v = $h->{$_}; ($_ => $integer->{$_} && $v =~ /^-?\d+$/ ? 0 + $v : $v) } grep { $_ ne 'lxc' } keys %$h };
}

sub config_of ($type, $param, $integer) {
  my $c = LabPVE::Guests::load($type, $param->{vmid});
  my $h = $c->{main};
  if (defined(my $name = $param->{snapshot})) {
    my ($s) = grep { $_->{name} eq $name } @{ $c->{sections} };
    die "snapshot '$name' does not exist\n" if !$s;
    $h = $s->{conf};
  }
  elsif (!$param->{current}) { $h = LabPVE::Guests::applied($c) }
  return { %{ typed($h, $integer) }, digest => LabPVE::Env::digest($c->{raw}) };
}

our %CONFIG_PARAMS = (%VMID, current => { type => 'boolean', optional => 1 }, snapshot => { format => 'pve-configid', maxLength => 40, optional => 1 });

sub config_get ($) { return { params => { %NODE, %CONFIG_PARAMS }, returns => 'object', code => sub ($param) { config_of('qemu', $param, \%INTEGER) } } }

# [{key, value, pending, delete}] sorted by key.
sub pending_rows ($type, $vmid, $integer) {
  my $c = LabPVE::Guests::load($type, $vmid);
  my ($main, $pending) = (typed($c->{main}, $integer), typed($c->{pending}, $integer));
  my %gone = map { (my $k = $_) =~ s/^!//; ($k => /^!/ ? 2 : 1) } split /[,; ]+/, delete $pending->{delete} // '';
  my @rows;
  for my $k (sort keys %{ { %$main, %$pending, %gone } }) {
    push @rows, { key => $k, (exists $main->{$k} ? (value => $main->{$k}) : ()), (exists $pending->{$k} ? (pending => $pending->{$k}) : ()), (!exists $pending->{$k} && $gone{$k} ? (delete => $gone{$k}) : ()) };
  }
  return \@rows;
}

sub pending_get ($) { return { params => { %NODE, %VMID }, returns => 'array', code => sub ($param) { pending_rows('qemu', $param->{vmid}, \%INTEGER) } } }

sub config_set ($) {
  require LabPVE::QemuOptions;
  return { params => { %NODE, %LabPVE::QemuOptions::SET }, returns => 'null', code => sub ($param) { require LabPVE::GuestEdit; delete $param->{node}; LabPVE::GuestEdit::set_vm($param) } };
}
sub config_create ($uri) { return config_set($uri) }

sub current_get ($) {
  return {
    params => { %NODE, %VMID }, returns => 'object',
    code => sub ($param) {
      my $vmid = $param->{vmid};
      my %r = %{ LabPVE::Guests::row('qemu', $vmid) };
      $r{qmpstatus} = LabPVE::Guests::qmp_status($vmid);
      $r{ha} = LabPVE::Env::recording() && LabPVE::Env::recording()->{no_ha} ? undef : { managed => 0 };
      $r{agent} = 1 if LabPVE::Guests::agent_enabled(LabPVE::Guests::load('qemu', $vmid)->{main});
      return \%r;
    },
  };
}

sub power ($action) {
  return {
    params => { %NODE, %VMID, timeout => { type => 'integer', minimum => 0, optional => 1 }, skiplock => { type => 'boolean', optional => 1 }, ($action eq 'shutdown' ? (forceStop => { type => 'boolean', optional => 1 }) : ()) },
    returns => 'string',
    code => sub ($param) { require LabPVE::GuestPower; LabPVE::GuestPower::task('qemu', $action, $param) },
  };
}
sub start_create ($) { return power('start') }
sub stop_create ($) { return power('stop') }
sub shutdown_create ($) { return power('shutdown') }

sub one_delete ($) {
  return {
    params => { %NODE, %VMID, purge => { type => 'boolean', optional => 1 }, skiplock => { type => 'boolean', optional => 1 }, 'destroy-unreferenced-disks' => { type => 'boolean', optional => 1 } }, returns => 'string',
    code => sub ($param) { require LabPVE::GuestDestroy; LabPVE::GuestDestroy::destroy('qemu', $param) },
  };
}
1;
