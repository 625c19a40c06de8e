package LabPVE::Program::vzdump;
# vzdump: one backup run in the foreground; exit code 0 for OK and for warnings (pve-manager PVE/CLI/vzdump.pm).
use v5.36;
use LabPVE::Api::VZDump;
use LabPVE::Cli;
use LabPVE::Tasks;
use LabPVE::VZDumpOptions;

sub main (@argv) {
  my $method = {
    params => { %LabPVE::VZDumpOptions::SCHEMA, stdout => { type => 'boolean', optional => 1 } }, args => 'vmid',
    code => sub ($param) { LabPVE::Api::VZDump::start($param) },
  };
  my ($upid) = @{ LabPVE::Cli::call('vzdump', $method, \@argv) };
  return 0 if $upid eq 'OK';
  return LabPVE::Tasks::is_error(LabPVE::Tasks::status($upid)) ? 255 : 0;
}
1;
