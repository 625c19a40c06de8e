package LabPVE::Json;
# JSON in and out. Own code on purpose: JSON::PP costs 15 ms at every start of a command, and JSON::PP and JSON::XS disagree on which Perl scalars are numbers.
# A scalar is a number when it was made as one (builtin::created_as_number), so `"7"` from a file stays text, as Proxmox prints it. Keys come sorted.
use v5.36;

my %ESCAPE = ("\n" => '\n', "\r" => '\r', "\t" => '\t', "\f" => '\f', "\b" => '\b', '"' => '\"', '\\' => '\\\\');

sub quote ($v) {
  my $s = "$v";
  utf8::decode($s) if !utf8::is_utf8($s);
  $s =~ s/(["\\\x00-\x1f\x7f])/$ESCAPE{$1} \/\/ sprintf '\\u%04x', ord $1/ge;
  utf8::encode($s);
  return "\"$s\"";
}

sub number ($v) { return $v == int $v && abs $v < 1e15 ? sprintf '%d', $v : sprintf '%.15g', $v }

# The BEGIN is `no warnings` (Perl 5.36 calls the function experimental) without loading warnings.pm, which would cost each call 2 ms.
sub is_number ($d) {
  BEGIN { ${^WARNING_BITS} = '' }
  return builtin::created_as_number($d);
}

sub encode ($d) {
  return 'null' if !defined $d;
  if (ref $d eq 'HASH') { return '{' . join(',', map { quote($_) . ':' . encode($d->{$_}) } sort keys %$d) . '}' }
  if (ref $d eq 'ARRAY') { return '[' . join(',', map { encode($_) } @$d) . ']' }
  return is_number($d) ? number($d) : quote($d);
}

# Indented by three blanks, ` : ` between key and value: the shape of JSON::PP and JSON::XS.
sub pretty ($d, $depth = 0) {
  my ($in, $out) = ('   ' x ($depth + 1), '   ' x $depth);
  if (ref $d eq 'HASH' && %$d) { return "{\n" . join(",\n", map { $in . quote($_) . ' : ' . pretty($d->{$_}, $depth + 1) } sort keys %$d) . "\n$out}" }
  if (ref $d eq 'ARRAY' && @$d) { return "[\n" . join(",\n", map { $in . pretty($_, $depth + 1) } @$d) . "\n$out]" }
  return encode($d);
}

my %UNESCAPE = (n => "\n", r => "\r", t => "\t", f => "\f", b => "\b");

sub decode ($raw) {
  my $text = $raw;
  utf8::decode($text);
  my $value = value(\$text);
  $text =~ /\G\s*\z/gc or die "malformed JSON: garbage after the value\n";
  return $value;
}

sub value ($t) {
  $$t =~ /\G\s+/gc;
  if ($$t =~ /\G\{/gc) {
    my %h;
    return \%h if $$t =~ /\G\s*\}/gc;
    while (1) {
      $$t =~ /\G\s*(?=")/gc or die "malformed JSON: expected a key\n";
      my $k = value($t);
      $$t =~ /\G\s*:/gc or die "malformed JSON: expected ':'\n";
      $h{$k} = value($t);
      next if $$t =~ /\G\s*,/gc;
      return \%h if $$t =~ /\G\s*\}/gc;
      die "malformed JSON: expected ',' or '}'\n";
    }
  }
  if ($$t =~ /\G\[/gc) {
    my @a;
    return \@a if $$t =~ /\G\s*\]/gc;
    while (1) {
      push @a, value($t);
      next if $$t =~ /\G\s*,/gc;
      return \@a if $$t =~ /\G\s*\]/gc;
      die "malformed JSON: expected ',' or ']'\n";
    }
  }
  if ($$t =~ /\G"((?:[^"\\]|\\.)*)"/gcs) {
    my $s = $1;
    $s =~ s/\\(?:u([0-9a-fA-F]{4})|(.))/defined $1 ? chr hex $1 : $UNESCAPE{$2} \/\/ $2/ges;
    return $s;
  }
  return 0 + $1 if $$t =~ /\G(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/gc;
  return 1 if $$t =~ /\Gtrue/gc;
  return 0 if $$t =~ /\Gfalse/gc;
  return undef if $$t =~ /\Gnull/gc;
  die "malformed JSON\n";
}
1;
