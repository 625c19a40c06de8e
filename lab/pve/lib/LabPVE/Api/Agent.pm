package LabPVE::Api::Agent;
# /nodes/N/qemu/ID/agent: the guest agent over the API (qemu-server PVE/API2/Qemu/Agent.pm). Reads are wrapped in {"result": ...}.
use v5.36;
use LabPVE::Api::Qemu;
use LabPVE::GuestAgent;
use LabPVE::Guests;
use LabPVE::Unknown;

my %GUEST = (node => { format => 'pve-node' }, %LabPVE::Api::Qemu::VMID);
my %POST = map { ($_ => 1) } qw(ping fsfreeze-status fsfreeze-freeze fsfreeze-thaw fstrim shutdown suspend-disk suspend-hybrid suspend-ram);
my %GET = map { ($_ => 1) } qw(get-fsinfo get-host-name get-memory-block-info get-memory-blocks get-osinfo get-time get-timezone get-users get-vcpus info network-get-interfaces);
my %OTHER = map { ($_ => 1) } qw(exec exec-status file-read file-write set-user-password);

sub index_get ($) {
  return { params => {%GUEST}, returns => 'array', link => 'name', code => sub ($) { [map { { name => $_ } } sort keys %POST, keys %GET, keys %OTHER] } };
}

sub method ($known, $uri) {
  my $name = $uri->{command};
  return if !$known->{$name} && !$OTHER{$name};
  return {
    params => { %GUEST, command => {} }, returns => 'object',
    code => sub ($param) {
      LabPVE::Guests::check_agent($param->{vmid}, LabPVE::Guests::load('qemu', $param->{vmid})->{main});
      LabPVE::Unknown::fail("guest agent call '$name' over the API") if $OTHER{$name};
      return { result => LabPVE::GuestAgent::command($param->{vmid}, $name) };
    },
  };
}
sub command_get ($uri) { return method(\%GET, $uri) }
sub command_create ($uri) { return method(\%POST, $uri) }
1;
