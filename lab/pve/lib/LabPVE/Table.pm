package LabPVE::Table;
# Text tables of `pvesh` without --output-format json (pve-common PVE/CLIFormatter.pm). $opt->{props}: what the method says it returns, name → schema; without it
# the columns are the keys that there are. The border is the one of a terminal that is not UTF-8, as in the recordings.
use v5.36;

sub cell ($v, $schema) {
  return '' if !defined $v;
  return $v ? 1 : 0 if ($schema->{type} // '') eq 'boolean';
  return $v if !ref $v;
  require LabPVE::Json;
  return LabPVE::Json::encode($v);
}

# Required ones first.
sub columns_of ($props) { return ((sort grep { !$props->{$_}{optional} } keys %$props), sort grep { $props->{$_}{optional} } keys %$props) }

# Scalars: one line. Objects: a key/value table of what is defined. Lists: one table, or one column without a head.
sub print_data ($data, $opt = {}) {
  return if !defined $data;
  my $props = $opt->{props} // {};
  if (!ref $data) { print "$data\n"; return }
  if (ref $data eq 'HASH') {
    my @keys = grep { defined $data->{$_} } %$props ? columns_of($props) : sort keys %$data;
    print_table([map { { key => $_, value => cell($data->{$_}, $props->{$_} // {}) } } @keys], ['key', 'value'], $opt, {});
    return;
  }
  return if !@$data;
  if (ref $data->[0] ne 'HASH') { print_table([map { { value => $_ } } @$data], ['value'], { %$opt, noheader => 1 }, {}); return }
  my %all = map { ($_ => 1) } map { keys %$_ } @$data;
  print_table($data, [%$props ? columns_of($props) : sort keys %all], $opt, $props);
  return;
}

sub is_numeric ($schema) { return ($schema->{type} // '') =~ /^(?:integer|number)\z/ }

# Sorted by the first column or sort_key, what has none first; a cell may have several lines.
sub print_table ($rows, $columns, $opt, $props = {}) {
  my $first = $opt->{sort_key} // $columns->[0] // die "unable to detect list properties\n";
  my $order = is_numeric($props->{$first} // {}) ? sub ($x, $y) { $x <=> $y } : sub ($x, $y) { $x cmp $y };
  my $compare = sub ($x, $y) { defined $x && defined $y ? $order->($x, $y) : (defined $x <=> defined $y) };
  my @sorted = sort { $compare->($a->{$first}, $b->{$first}) } @$rows;
  my (%width, @cells);
  $width{$_} = length $_ for @$columns;
  for my $row (@sorted) {
    my %lines = map { ($_ => [split /\n/, cell($row->{$_}, $props->{$_} // {})]) } @$columns;
    for my $c (@$columns) { for my $l (@{ $lines{$c} }) { $width{$c} = length $l if length $l > $width{$c} } }
    push @cells, \%lines;
  }
  my @format = map { '%' . (is_numeric($props->{$_} // {}) ? '' : '-') . "$width{$_}s" } @$columns;
  $format[-1] = '%s' if $opt->{noborder};
  my $format = ($opt->{noborder} ? join(' ', @format) : '| ' . join(' | ', @format) . ' |') . "\n";
  my $line = $opt->{noborder} ? '' : '+' . join('+', map { '-' x ($width{$_} + 2) } @$columns) . "+\n";
  print $line;
  if (!$opt->{noheader}) {
    printf $format, @$columns;
    print $line =~ tr/-/=/r;
  }
  for my $cells (@cells) {
    my $height = 1;
    for my $c (@$columns) { $height = @{ $cells->{$c} } if @{ $cells->{$c} } > $height }
    for my $i (0 .. $height - 1) { printf $format, map { $cells->{$_}[$i] // '' } @$columns }
    print $line;
  }
  return;
}
1;
