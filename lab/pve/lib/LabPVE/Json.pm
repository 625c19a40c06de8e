package LabPVE::Json;
# JSON: JSON::XS where the host has it (quick to load), else the core's JSON::PP. Keys come sorted, as Proxmox prints them.
use v5.36;

my $class;
sub class {
  return $class //= eval { require JSON::XS; 'JSON::XS' } // do { require JSON::PP; 'JSON::PP' };
}

sub encode ($data) { return class()->new->canonical->utf8->allow_nonref->encode($data) }
sub pretty ($data) {
  my $text = class()->new->canonical->utf8->allow_nonref->pretty->encode($data);
  chomp $text;
  return $text;
}
sub decode ($raw) { return class()->new->utf8->allow_nonref->decode($raw) }
1;
