package LabPVE::Program::pvesm;
# pvesm: storages and their contents from the command line (pve-storage PVE/CLI/pvesm.pm).
use v5.36;
use LabPVE::Api::StorageConfig;
use LabPVE::Api::StorageContent;
use LabPVE::Api::StorageStatus;
use LabPVE::Cli;
use LabPVE::Env;
use LabPVE::Unknown;

my %NODE = (node => { format => 'pve-node' });

# An API method with its positional arguments and fixed parameters.
sub api ($method, $args, $fixed = {}) { return { %$method, args => $args, fixed => $fixed } }

sub print_list ($rows) {
  my ($name, $size) = (0, 0);
  for my $r (@$rows) {
    $name = length $r->{volid} if length $r->{volid} > $name;
    $size = $r->{size} if $r->{size} > $size;
  }
  my $format = "%-${name}s %-7s %-9s %" . length($size) . 's';
  printf "$format %s\n", qw(Volid Format Type Size VMID);
  printf "$format %d\n", @$_{qw(volid format content size vmid)} for grep { $_->{vmid} } @$rows;
  printf "$format\n", @$_{qw(volid format content size)} for sort { $a->{format} cmp $b->{format} } grep { !$_->{vmid} } @$rows;
  return;
}

sub print_status ($rows) {
  my $max = 0;
  for my $r (@$rows) { $max = length $r->{storage} if length $r->{storage} > $max }
  $max++;
  printf "%-${max}s %10s %10s %15s %15s %15s %8s\n", 'Name', 'Type', 'Status', 'Total (KiB)', 'Used (KiB)', 'Available (KiB)', '%';
  for my $r (sort { $a->{storage} cmp $b->{storage} } @$rows) {
    my $percent = $r->{enabled} ? sprintf('% 7.2f%%', $r->{total} ? $r->{used} * 100 / $r->{total} : 0) : sprintf('% 8s', 'N/A');
    my $state = $r->{enabled} ? $r->{active} ? 'active' : 'inactive' : 'disabled';
    printf "%-${max}s %10s %10s %15d %15d %15d %s\n", $r->{storage}, $r->{type}, $state, $r->{total} / 1024, $r->{used} / 1024, $r->{avail} / 1024, $percent;
  }
  return;
}

sub print_prune ($rows) {
  if (!@$rows) { print "No backups found\n"; return }
  print "NOTE: this is only a preview and might not be what a subsequent\nprune call does if backups are removed/added in the meantime.\n\n";
  my $max = 0;
  for my $r (@$rows) { $max = length $r->{volid} if length $r->{volid} > $max }
  $max++;
  my $format = "%-${max}s %15s %10s\n";
  printf $format, 'Backup', 'Backup-ID', 'Prune-Mark';
  for my $r (sort { (defined $a->{vmid} <=> defined $b->{vmid}) || ($a->{vmid} // 0) <=> ($b->{vmid} // 0) || $a->{ctime} <=> $b->{ctime} } @$rows) {
    printf $format, $r->{volid}, defined $r->{vmid} ? "$r->{type}/$r->{vmid}" : $r->{type}, $r->{mark};
  }
  return;
}

sub prune_method ($fixed) {
  require LabPVE::PropertyString;
  my $keeps = LabPVE::PropertyString::keep_properties();
  return {
    params => { %NODE, storage => { format => 'pve-storage-id' }, 'dry-run' => { type => 'boolean', optional => 1 }, type => { enum => ['qemu', 'lxc'], optional => 1 }, vmid => { type => 'integer', format => 'pve-vmid', minimum => 100, maximum => 999_999_999, optional => 1 }, %$keeps },
    args => ['storage'], fixed => $fixed, returns => 'null',
    code => sub ($param) {
      my $dry = delete $param->{'dry-run'};
      my @given = map { my $v = delete $param->{$_}; "$_=$v" } grep { defined $param->{$_} } sort keys %$keeps;
      $param->{'prune-backups'} = join ',', @given if @given;
      my $api = $dry ? LabPVE::Api::StorageContent::prune_get({}) : LabPVE::Api::StorageContent::prune_delete({});
      LabPVE::Schema::validate($param, $api->{params});
      my $result = $api->{code}->($param);
      print_prune($result) if $dry;
    },
  };
}

my %VOLUME = (volume => {});

sub commands {
  my $fixed = { node => LabPVE::Env::node() };
  return {
    status => [api(LabPVE::Api::StorageStatus::list_get({}), [], $fixed), \&print_status],
    list => [api(LabPVE::Api::StorageContent::list_get({}), ['storage'], $fixed), \&print_list],
    add => [api(LabPVE::Api::StorageConfig::list_create({}), ['type', 'storage'])],
    set => [api(LabPVE::Api::StorageConfig::one_set({}), ['storage'])],
    remove => [api(LabPVE::Api::StorageConfig::one_delete({}), ['storage'])],
    alloc => [api(LabPVE::Api::StorageContent::list_create({}), ['storage', 'vmid', 'filename', 'size'], $fixed), sub ($v) { print "successfully created '$v'\n" }],
    free => [api(LabPVE::Api::StorageContent::volume_delete({}), ['volume'], $fixed)],
    'prune-backups' => [prune_method($fixed)],
    path => [{ params => { volume => { format => 'pve-volume-id' } }, args => ['volume'], code => sub ($param) { require LabPVE::Storage; print LabPVE::Storage::path_of(LabPVE::Storage::config(), $param->{volume}), "\n" } }],
    extractconfig => [{ params => {%VOLUME}, args => ['volume'], code => sub ($param) { require LabPVE::ArchiveConfig; print LabPVE::ArchiveConfig::extract($param->{volume}), "\n" } }],
    apiinfo => [{ params => {}, args => [], code => sub ($) { print "APIVER 13\nAPIAGE 4\n" } }],
  };
}

sub main (@argv) {
  my $name = shift @argv // '';
  my $entry = commands()->{$name};
  LabPVE::Unknown::fail("'pvesm $name'") if !$entry;
  my ($result) = @{ LabPVE::Cli::call("pvesm $name", $entry->[0], \@argv) };
  $entry->[1]->($result) if $entry->[1];
  return 0;
}
1;
