package LabPVE::Unknown;
# What the emulator does not know fails here: loudly, under its own name, with an exit code that no Proxmox program uses.
use v5.36;

our $EXIT_CODE = 97;

sub fail ($what) {
  print STDERR "nightshift-lab (emulated Proxmox): $what is not emulated. This is a limit of the lab, not an answer of Proxmox. See lab/pve/README.md.\n";
  exit $EXIT_CODE;
}
1;
