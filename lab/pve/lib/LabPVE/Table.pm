package LabPVE::Table;
# Text tables of `pvesh` without --output-format json (shape: pve-common PVE/CLIFormatter.pm).
use v5.36;

sub cell ($v) {
  return '' if !defined $v;
  return $v if !ref $v;
  require LabPVE::Json;
  return LabPVE::Json::encode($v);
}

# Scalars: one line. Objects: a key/value table. Lists: one table with all columns, or one line an entry.
sub print_data ($data, $opt = {}) {
  return if !defined $data;
  if (!ref $data) { print "$data\n"; return }
  if (ref $data eq 'HASH') {
    print_table([map { { key => $_, value => $data->{$_} } } sort keys %$data], ['key', 'value'], { %$opt, double => 1 });
    return;
  }
  return if !@$data;
  if (!ref $data->[0]) { print "$_\n" for @$data; return }
  my %all = map { ($_ => 1) } map { keys %$_ } @$data;
  my @columns = $opt->{columns} ? @{ $opt->{columns} } : sort keys %all;
  print_table($data, \@columns, { %$opt, double => 1 });
  return;
}

sub print_table ($rows, $columns, $opt) {
  my %width;
  for my $c (@$columns) {
    $width{$c} = length $c;
    for my $r (@$rows) { my $l = length cell($r->{$c}); $width{$c} = $l if $l > $width{$c} }
  }
  my ($sort) = grep { my $c = $_; !grep { !defined $_->{$c} } @$rows } @$columns;
  my @sorted = defined $sort && !$opt->{unsorted} ? sort { $a->{$sort} cmp $b->{$sort} } @$rows : @$rows;
  if ($opt->{noborder}) {
    my $format = join(' ', (map { "%-$width{$_}s" } @$columns[0 .. $#$columns - 1]), '%s') . "\n";
    printf $format, @$columns if !$opt->{noheader};
    printf $format, map { cell($_) } @$_{@$columns} for @sorted;
    return;
  }
  my $line = '+' . join('+', map { '-' x ($width{$_} + 2) } @$columns) . "+\n";
  my $format = '| ' . join(' | ', map { "%-$width{$_}s" } @$columns) . " |\n";
  print $line;
  if (!$opt->{noheader}) {
    printf $format, @$columns;
    print $line =~ tr/-/=/r;
  }
  for my $r (@sorted) {
    printf $format, map { cell($_) } @$r{@$columns};
    print $line;
  }
  return;
}
1;
