package LabPVE::Program::qmrestore;
# qmrestore: restore a VM from an archive (qemu-server PVE/CLI/qmrestore.pm).
use v5.36;
use LabPVE::Cli;
use LabPVE::Restore;
use LabPVE::Tasks;

sub main (@argv) {
  my ($upid) = @{ LabPVE::Cli::call('qmrestore', LabPVE::Restore::qmrestore_method(), \@argv) };
  return LabPVE::Tasks::is_error(LabPVE::Tasks::status($upid)) ? 255 : 0;
}
1;
