package LabPVE::Program::pveversion;
# pveversion: one line with the manager's version.
use v5.36;
use LabPVE::Api::Cluster;
use LabPVE::Unknown;

sub main (@argv) {
  LabPVE::Unknown::fail("'pveversion @argv'") if @argv;
  chomp(my $kernel = do { open my $fh, '<', '/proc/sys/kernel/osrelease' or die "unable to read the kernel's version: $!\n"; scalar <$fh> });
  print "pve-manager/$LabPVE::Api::Cluster::VERSION_TEXT/$LabPVE::Api::Cluster::REPOSITORY (running kernel: $kernel)\n";
  return 0;
}
1;
