package LabPVE::SectionConfig;
# Files in sections (`type: id` and indented `key value` lines): jobs.cfg and storage.cfg. Grammar and warnings: pve-common PVE/SectionConfig.pm.
# $def: file (name in warnings), id ($type, $id → undef or error text), types {type => {key => {optional, fixed}}}, properties {key => schema},
#       decode/encode ($type, $key, $value), defaults ($type, $config).
use v5.36;
use LabPVE::Schema;

sub decode_comment ($v) {
  my $out = $v =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
  utf8::decode($out);
  return $out;
}
sub encode_comment ($v) {
  my $bytes = $v;
  utf8::encode($bytes);
  return $bytes =~ s/([^\x20-\x24\x26-\x39\x3b-\x7e])/sprintf '%%%02X', ord $1/ger;
}

sub warn_line ($text) { print STDERR "$text\n"; return }

# { ids => {id => config}, order => [ids], digest }. Bad lines are warned about on stderr and dropped.
sub parse ($def, $raw) {
  my $cfg = { ids => {}, order => [], raw => $raw // '' };
  my @lines = split /\n/, $raw // '';
  my $n = 0;
  my $next = sub {
    while ($n < @lines) {
      my $l = $lines[$n++];
      return $l =~ s/\r$//r if $l !~ /^\s*#/;
    }
    return undef;
  };
  while (defined(my $line = $next->())) {
    next if $line eq '';
    if ($line !~ /^(\S+):\s*(\S+)\s*$/) {
      warn_line("file $def->{file} line $n - ignore config line: $line");
      next;
    }
    my ($type, $id) = ($1, $2);
    my $known = $def->{types}{$type};
    my $at = "file $def->{file} line $n";
    my $bad = $known ? ($def->{id} ? $def->{id}->($type, $id) : undef) : "unsupported type '$type'";
    my $config = {};
    my $last = $n;
    my $where = sub { "file $def->{file} line $n (section '$id')" };
    if (defined $bad) {
      warn_line("$at (skip section '$id'): $bad");
      while (defined(my $l = $next->())) { last if $l eq '' }
      next;
    }
    while (defined(my $l = $next->())) {
      last if $l eq '';
      $last = $n;
      if ($l !~ /^\s+(\S+)(\s+(.*\S))?\s*$/) {
        warn_line($where->() . " - ignore config line: $l");
        next;
      }
      my ($k, $v) = ($1, $3);
      my $ok = eval { parse_value($def, $type, $known, $config, $k, $v, $id); 1 };
      if (!$ok) { chomp(my $e = "$@"); warn_line($where->() . " - unable to parse value of '$k': $e") }
    }
    $def->{defaults}->($type, $config) if $def->{defaults};
    my ($missing) = grep { !$known->{$_}{optional} && !defined $config->{$_} } sort keys %$known;
    $cfg->{order} = [grep { $_ ne $id } @{ $cfg->{order} }];
    push @{ $cfg->{order} }, $id;
    if (defined $missing) {
      warn_line("file $def->{file} line $last (skip section '$id'): missing value for required option '$missing'");
      $cfg->{ids}{$id} = undef;
      next;
    }
    $cfg->{ids}{$id} = { type => $type, %$config };
  }
  return $cfg;
}

sub parse_value ($def, $type, $known, $config, $k, $v, $id) {
  my $schema = $def->{properties}{$k} or die "unknown property type\n";
  if ($k ne 'disable' && $k ne 'comment' && !$known->{$k}) { die "unexpected property '$k'\n" }
  my $kind = $schema->{type} // 'string';
  if (!defined $v) { die "got undefined value\n" if $kind ne 'boolean'; $v = 1 }
  if ($kind eq 'array') {
    my $errors = {};
    LabPVE::Schema::check($v, $schema->{items} // {}, $k, $errors);
    die "$_\n" for values %$errors;
    push @{ $config->{$k} }, $v;
    return;
  }
  die "duplicate attribute\n" if defined $config->{$k};
  my $plain = $k eq 'comment' ? decode_comment($v) : $v;
  my $errors = {};
  LabPVE::Schema::check($plain, $schema, $k, $errors);
  if (%$errors) { my ($e) = values %$errors; chomp $e; die "$e\n" }
  $plain = 0 + $plain if $kind eq 'boolean' || $kind eq 'integer';
  $config->{$k} = $def->{decode} ? $def->{decode}->($type, $k, $plain) : $plain;
  return;
}

# One config back as text. $all_sorted: the second writer (guest purge) that knows no plug-ins: comment first, then every key sorted.
sub render ($def, $cfg, $all_sorted = 0) {
  my $out = '';
  for my $id (@{ $cfg->{order} }) {
    next if !exists $cfg->{ids}{$id};
    my $c = $cfg->{ids}{$id};
    die "unknown section type ''\n" if !defined $c;
    my $known = $def->{types}{ $c->{type} };
    $out .= "$c->{type}: $id\n";
    my %done = (type => 1, comment => 1);
    my $line = sub ($k) {
      return if $done{$k}++;
      my $v = $c->{$k};
      return if !defined $v;
      $v = $def->{encode}->($c->{type}, $k, $v) if $def->{encode};
      if (ref $v eq 'ARRAY') { $out .= "\t$k $_\n" for @$v; return }
      die "property contains a line feed\n" if $v =~ /[\n\r]/;
      $out .= "\t$k $v\n" if $v ne '';
    };
    $out .= "\tcomment " . encode_comment($c->{comment}) . "\n" if defined $c->{comment} && $c->{comment} ne '';
    if (!$all_sorted) {
      $out .= "\tdisable\n" if $c->{disable} && !$done{disable}++;
      $done{disable} = 1;
      $line->($_) for grep { !$known->{$_}{optional} } sort keys %$known;
    }
    $line->($_) for sort keys %$c;
    $out .= "\n";
  }
  return $out;
}
1;
