package LabPVE::Api::StorageStatus;
# /nodes/N/storage: which storages are active, and how full (pve-storage PVE/API2/Storage/Status.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::Storage;

my %NODE = (node => { format => 'pve-node' });
my %ID = (storage => { format => 'pve-storage-id' });

# Every read probes all storages and prints the warnings of the broken ones, whichever was asked for.
sub rows ($param) {
  my $cfg = LabPVE::Storage::config();
  LabPVE::Error::raise_param(storage => 'No such storage.') if defined $param->{storage} && !$cfg->{ids}{ $param->{storage} };
  my @rows;
  for my $id (@{ $cfg->{order} }) {
    my $s = $cfg->{ids}{$id} or next;
    my %has = LabPVE::Storage::content_types($s);
    next if defined $param->{content} && !grep { $has{$_} } LabPVE::Formats::split_list($param->{content});
    my $row = LabPVE::Storage::status_row($cfg, $id);
    next if $param->{enabled} && !$row->{enabled};
    next if defined $param->{storage} && $id ne $param->{storage};
    push @rows, $row;
  }
  return \@rows;
}

our %LIST_PARAMS = (
  %NODE,
  storage => { format => 'pve-storage-id', optional => 1 },
  content => { format => 'pve-storage-content-list', optional => 1 },
  enabled => { type => 'boolean', optional => 1 },
  target => { format => 'pve-node', optional => 1 },
  format => { type => 'boolean', optional => 1 },
);

sub list_get ($) { return { params => {%LIST_PARAMS}, returns => 'array', link => 'storage', code => \&rows } }

sub one_get ($) {
  return {
    params => { %NODE, %ID }, returns => 'array', link => 'subdir',
    code => sub ($) { [map { { subdir => $_ } } qw(content download-url file-restore import-metadata prunebackups rrd rrddata status upload)] },
  };
}

sub status_get ($) {
  return {
    params => { %NODE, %ID }, returns => 'object',
    code => sub ($param) {
      my ($row) = @{ rows({ storage => $param->{storage} }) };
      LabPVE::Error::raise_param(storage => 'No such storage.') if !$row;
      my %r = %$row;
      delete @r{qw(storage used_fraction)};
      return \%r;
    },
  };
}
1;
