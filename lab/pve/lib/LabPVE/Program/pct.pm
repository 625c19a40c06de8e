package LabPVE::Program::pct;
# pct: containers from the command line (pve-container PVE/CLI/pct.pm).
use v5.36;
use LabPVE::Api::Lxc;
use LabPVE::Api::Qemu;
use LabPVE::Cli;
use LabPVE::Env;
use LabPVE::GuestPrint;
use LabPVE::Guests;
use LabPVE::Unknown;

my %VMID = %LabPVE::Api::Qemu::VMID;
my $BOOL = { type => 'boolean', optional => 1 };
our $EXIT = 0;

sub api ($method) { return { %$method, args => ['vmid'], fixed => { node => LabPVE::Env::node() } } }
sub judged ($method) {
  my $code = $method->{code};
  return {
    %$method,
    code => sub ($param) {
      my $upid = $code->($param);
      require LabPVE::Tasks;
      $EXIT = 255 if defined $upid && LabPVE::Tasks::is_error(LabPVE::Tasks::status($upid));
    },
  };
}
sub printed ($method, $print) { my $code = $method->{code}; return { %$method, code => sub ($param) { $print->($code->($param)) } } }

my %COMMANDS = (
  list => sub { return { params => {}, args => [], code => sub ($) { LabPVE::GuestPrint::ct_list() } } },
  config => sub { return printed(api(LabPVE::Api::Lxc::config_get({})), \&LabPVE::GuestPrint::config) },
  pending => sub { return printed(api(LabPVE::Api::Lxc::pending_get({})), \&LabPVE::GuestPrint::pending) },
  status => sub { return { params => { %VMID, verbose => $BOOL }, args => ['vmid'], code => sub ($param) { LabPVE::GuestPrint::status(LabPVE::Api::Lxc::current_get({})->{code}->({ vmid => $param->{vmid} }), $param->{verbose}) } } },
  set => sub { require LabPVE::LxcOptions; require LabPVE::GuestEdit; return { params => { %LabPVE::LxcOptions::SET }, args => ['vmid'], code => \&LabPVE::GuestEdit::set_ct } },
  unlock => sub { require LabPVE::GuestEdit; return { params => {%VMID}, args => ['vmid'], code => sub ($param) { LabPVE::GuestEdit::unlock('lxc', $param->{vmid}) } } },
  start => sub { return judged(api(LabPVE::Api::Lxc::start_create({}))) },
  stop => sub { return judged(api(LabPVE::Api::Lxc::stop_create({}))) },
  shutdown => sub { return judged(api(LabPVE::Api::Lxc::shutdown_create({}))) },
  destroy => sub { return judged(api(LabPVE::Api::Lxc::one_delete({}))) },
  restore => sub { require LabPVE::RestoreCt; return LabPVE::RestoreCt::method() },
  exec => sub {
    return {
      params => { %VMID, 'extra-args' => { type => 'array', items => {}, optional => 1 }, 'keep-env' => $BOOL }, args => ['vmid', 'extra-args'],
      code => sub ($param) {
        my $vmid = $param->{vmid};
        LabPVE::Guests::load('lxc', $vmid);
        die "container '$vmid' not running!\n" if !LabPVE::Guests::is_running($vmid);
        die "missing command" if !@{ $param->{'extra-args'} };
        LabPVE::Unknown::fail("'pct exec' in a running container");
      },
    };
  },
);

sub main (@argv) {
  my $name = shift @argv // '';
  my $make = $COMMANDS{$name} or LabPVE::Unknown::fail("'pct $name'");
  LabPVE::Cli::call("pct $name", $make->(), \@argv);
  return $EXIT;
}
1;
