package LabPVE::Unknown;
# What the emulator does not know fails here: loudly, under its own name, with an exit code that no Proxmox program uses.
use v5.36;

our $EXIT_CODE = 97;

sub fail ($what) {
  print STDERR "nightshift-lab (emulated Proxmox): $what is not emulated. This is a limit of the lab, not an answer of Proxmox. See lab/pve/README.md.\n";
  exit $EXIT_CODE;
}

# Called on a machine that is no lab host, these programs would write their Proxmox into its /etc.
sub no_host {
  print STDERR "nightshift-lab (emulated Proxmox): this machine is no lab host (it has no /etc/nightshift-lab/pve.json). Run it in a lab (`npm run lab -- exec HOST -- ...`), or set NIGHTSHIFT_LAB_ROOT to a folder.\n";
  exit $EXIT_CODE;
}
1;
