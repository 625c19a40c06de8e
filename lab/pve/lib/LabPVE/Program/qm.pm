package LabPVE::Program::qm;
# qm: VMs from the command line (qemu-server PVE/CLI/qm.pm).
use v5.36;
use LabPVE::Api::Qemu;
use LabPVE::Cli;
use LabPVE::Env;
use LabPVE::GuestPrint;
use LabPVE::Guests;
use LabPVE::Unknown;

my %VMID = %LabPVE::Api::Qemu::VMID;
my $BOOL = { type => 'boolean', optional => 1 };

sub api ($method, $args = ['vmid']) { return { %$method, args => $args, fixed => { node => LabPVE::Env::node() } } }

# A power task ends the program with an error when the task ended with one.
sub judged ($method) {
  my $code = $method->{code};
  return { %$method, code => sub ($param) { failed_task($code->($param)); return } };
}
sub failed_task ($upid) {
  require LabPVE::Tasks;
  $LabPVE::Program::qm::EXIT = 255 if defined $upid && LabPVE::Tasks::is_error(LabPVE::Tasks::status($upid));
  return;
}
our $EXIT = 0;

sub lazy ($module, $function) {
  require "LabPVE/$module.pm";
  return "LabPVE::$module"->can($function);
}

my %COMMANDS = (
  list => sub { return { params => { full => $BOOL }, args => [], code => sub ($param) { LabPVE::GuestPrint::vm_list($param->{full}) } } },
  config => sub { my $m = api(LabPVE::Api::Qemu::config_get({})); my $c = $m->{code}; return { %$m, code => sub ($param) { LabPVE::GuestPrint::config($c->($param)) } } },
  pending => sub { my $m = api(LabPVE::Api::Qemu::pending_get({})); my $c = $m->{code}; return { %$m, code => sub ($param) { LabPVE::GuestPrint::pending($c->($param)) } } },
  status => sub { return { params => { %VMID, verbose => $BOOL }, args => ['vmid'], code => sub ($param) { LabPVE::GuestPrint::status(LabPVE::Api::Qemu::current_get({})->{code}->({ vmid => $param->{vmid} }), $param->{verbose}) } } },
  set => sub { require LabPVE::QemuOptions; return { params => { %LabPVE::QemuOptions::SET }, args => ['vmid'], code => lazy('GuestEdit', 'set_vm') } },
  unlock => sub { my $code = lazy('GuestEdit', 'unlock'); return { params => {%VMID}, args => ['vmid'], code => sub ($param) { $code->('qemu', $param->{vmid}) } } },
  start => sub { return judged(api(LabPVE::Api::Qemu::start_create({}))) },
  stop => sub { return judged(api(LabPVE::Api::Qemu::stop_create({}))) },
  shutdown => sub { return judged(api(LabPVE::Api::Qemu::shutdown_create({}))) },
  destroy => sub { return judged(api(LabPVE::Api::Qemu::one_delete({}))) },
  create => sub { return lazy('Restore', 'create_method')->() },
  agent => sub { return lazy('GuestAgent', 'cmd_method')->() },
  'guest cmd' => sub { return lazy('GuestAgent', 'cmd_method')->() },
  'guest exec' => sub { return lazy('GuestAgent', 'exec_method')->() },
  'guest exec-status' => sub { return lazy('GuestAgent', 'exec_status_method')->() },
);

sub main (@argv) {
  my $name = shift @argv // '';
  $name .= ' ' . (shift @argv // '') if $name eq 'guest';
  my $make = $COMMANDS{$name} or LabPVE::Unknown::fail("'qm $name'");
  LabPVE::Cli::call("qm $name", $make->(), \@argv);
  return $EXIT;
}
1;
