package LabPVE::Datacenter;
# /etc/pve/datacenter.cfg as far as the lab reads it (pve-cluster PVE/DataCenterConfig.pm): the description is its comment lines, some values are property strings.
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;
use LabPVE::PropertyString;

our $FILE = '/etc/pve/datacenter.cfg';
my $ID = { type => 'integer', optional => 1 };
our %FORMAT = (
  'next-id' => { properties => { lower => $ID, upper => $ID } },
  notify => {
    properties => {
      'package-updates' => { enum => [qw(auto always never)], optional => 1 },
      (map { ($_ => { enum => [qw(always never)], optional => 1 }) } qw(fencing replication)),
      (map { ("target-$_" => { optional => 1 }) } qw(package-updates fencing replication)),
    },
  },
);

# The values as they stand in the file.
sub raw {
  my (%conf, $description);
  for my $line (split /\n/, LabPVE::Env::read_file($FILE) // '') {
    if ($line =~ /^#(.*)$/) { $description .= LabPVE::Guests::decode_text($1) . "\n" }
    elsif ($line =~ /^([a-z0-9_-]+):\s*(.+?)\s*$/) { $conf{$1} = $2 }
  }
  return { %conf, description => $description // '' };
}

sub read_config {
  my $conf = raw();
  for my $k (keys %FORMAT) { $conf->{$k} = LabPVE::PropertyString::parse($FORMAT{$k}, $conf->{$k}) if defined $conf->{$k} }
  return $conf;
}

sub write_config ($conf) {
  my %conf = %$conf;
  my $description = delete $conf{description};
  if (defined $conf{'next-id'}) {
    my $range = LabPVE::PropertyString::parse($FORMAT{'next-id'}, $conf{'next-id'});
    my ($lower, $upper) = (int($range->{lower} // 100), int($range->{upper} // 1_000_000));
    die "lower ($lower) <= upper ($upper) boundary rule broken\n" if $lower > $upper;
    $conf{'next-id'} = LabPVE::PropertyString::print_out($FORMAT{'next-id'}, $range);
  }
  my $out = join '', map { '#' . LabPVE::Guests::encode_text($_) . "\n" } split /\n/, $description // '';
  LabPVE::Env::write_file($FILE, "$out\n" . join '', map { "$_: $conf{$_}\n" } sort keys %conf);
  return;
}
1;
