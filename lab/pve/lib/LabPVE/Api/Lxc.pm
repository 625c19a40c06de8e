package LabPVE::Api::Lxc;
# /nodes/N/lxc: list, config, pending changes, status and power of containers (pve-container PVE/API2/LXC.pm).
use v5.36;
use LabPVE::Api::Qemu;
use LabPVE::Env;
use LabPVE::Guests;

my %NODE = (node => { format => 'pve-node' });
my %VMID = %LabPVE::Api::Qemu::VMID;
my %INTEGER = map { ($_ => 1) } qw(cores cpuunits memory onboot protection swap template tty unprivileged console debug snaptime);

sub list_get ($) { return { params => {%NODE}, returns => 'array', link => 'vmid', code => sub ($) { [map { LabPVE::Guests::row('lxc', $_) } LabPVE::Guests::local_ids('lxc')] } } }
sub one_get ($) { return { params => { %NODE, %VMID }, returns => 'array', link => 'subdir', code => sub ($) { [map { { subdir => $_ } } qw(config pending status vncproxy termproxy vncwebsocket spiceproxy migrate clone initlog rrd rrddata firewall snapshot resize interfaces)] } } }
sub status_index_get ($) { return { params => { %NODE, %VMID }, returns => 'array', link => 'subdir', code => sub ($) { [map { { subdir => $_ } } qw(current start stop shutdown migrate reboot)] } } }
sub config_get ($) {
  return {
    params => { %NODE, %LabPVE::Api::Qemu::CONFIG_PARAMS }, returns => 'object',
    code => sub ($param) {
      my $row = LabPVE::Api::Qemu::config_of('lxc', $param, \%INTEGER);
      my $raw = LabPVE::Guests::load('lxc', $param->{vmid})->{main}{lxc};
      $row->{lxc} = $raw if $raw;
      return $row;
    },
  };
}
sub pending_get ($) { return { params => { %NODE, %VMID }, returns => 'array', code => sub ($param) { LabPVE::Api::Qemu::pending_rows('lxc', $param->{vmid}, \%INTEGER) } } }
sub config_set ($) {
  require LabPVE::LxcOptions;
  return { params => { %NODE, %LabPVE::LxcOptions::SET }, returns => 'null', code => sub ($param) { require LabPVE::GuestEdit; delete $param->{node}; LabPVE::GuestEdit::set_ct($param) } };
}

sub current_get ($) {
  return {
    params => { %NODE, %VMID }, returns => 'object',
    code => sub ($param) {
      my %r = %{ LabPVE::Guests::row('lxc', $param->{vmid}) };
      $r{ha} = LabPVE::Env::recording() && LabPVE::Env::recording()->{no_ha} ? undef : { managed => 0 };
      return \%r;
    },
  };
}

sub power ($action) {
  return {
    params => { %NODE, %VMID, timeout => { type => 'integer', minimum => 0, optional => 1 }, skiplock => { type => 'boolean', optional => 1 }, ($action eq 'shutdown' ? (forceStop => { type => 'boolean', optional => 1 }) : ()) }, returns => 'string',
    code => sub ($param) { require LabPVE::GuestPower; LabPVE::GuestPower::task('lxc', $action, $param) },
  };
}
sub start_create ($) { return power('start') }
sub stop_create ($) { return power('stop') }
sub shutdown_create ($) { return power('shutdown') }

sub one_delete ($) {
  return {
    params => { %NODE, %VMID, purge => { type => 'boolean', optional => 1 }, force => { type => 'boolean', optional => 1 }, 'destroy-unreferenced-disks' => { type => 'boolean', optional => 1 } }, returns => 'string',
    code => sub ($param) { require LabPVE::GuestDestroy; LabPVE::GuestDestroy::destroy('lxc', $param) },
  };
}
1;
