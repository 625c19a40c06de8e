package LabPVE::RustRegex;
# What the regex crate says of a pattern that it cannot read (regex-syntax 0.8, ast/parser.rs; each text seen from the crate itself). Matchers of notifications
# hold such patterns.
use v5.36;

my %NO_EXPRESSION = ('*' => 1, '+' => 1, '?' => 1, '{' => 1);

# Dies with the crate's text.
sub check ($pattern) {
  my $bad = first_fault($pattern) // return;
  my ($at, $width, $what) = @$bad;
  die "regex parse error:\n    $pattern\n    " . ' ' x $at . '^' x $width . "\nerror: $what\n";
}

# Whether a pattern that the crate can read fits a text. Where Perl cannot read it, the lab says so and not Proxmox.
sub fits ($pattern, $text) {
  my $re = eval { qr/$pattern/ };
  return $text =~ $re ? 1 : 0 if defined $re;
  require LabPVE::Unknown;
  LabPVE::Unknown::fail("the pattern '$pattern'");
}

# [offset, width, text] of the first thing that cannot be read, or undef. $repeatable: something stands there that `*` could repeat.
sub first_fault ($pattern) {
  my ($i, $repeatable, @open) = (0, 0);
  my $length = length $pattern;
  while ($i < $length) {
    my $c = substr $pattern, $i, 1;
    my $rest = substr $pattern, $i;
    if ($NO_EXPRESSION{$c} && !$repeatable) { return [$i, 1, 'repetition operator missing expression'] }
    if ($c eq '\\') {
      my ($width, $bad) = escape($rest);
      return [$i, $width, $bad] if $bad;
      ($i, $repeatable) = ($i + $width, 1);
      next;
    }
    if ($c eq '[') {
      my ($width, $bad) = class($rest);
      return [$i + $bad->[0], $bad->[1], $bad->[2]] if $bad;
      ($i, $repeatable) = ($i + $width, 1);
      next;
    }
    if ($c eq '{') {
      my ($width, $bad) = counted($rest);
      return [$i + $bad->[0], $bad->[1], $bad->[2]] if $bad;
      $i += $width;
      next;
    }
    if ($c eq '(') {
      my ($width, $bad) = group($rest);
      return [$i + $bad->[0], $bad->[1], $bad->[2]] if $bad;
      # `(?i)` opens nothing.
      push @open, $i if $rest !~ /^\(\?[a-zA-Z-]+\)/;
      ($i, $repeatable) = ($i + $width, 0);
      next;
    }
    if ($c eq ')') {
      return [$i, 1, 'unopened group'] if !@open;
      pop @open;
    }
    $repeatable = $c ne '|';
    $i++;
  }
  return @open ? [$open[-1], 1, 'unclosed group'] : undef;
}

# (width, text of the fault) of an escape at the beginning of the text.
sub escape ($text) {
  my $c = substr $text, 1, 1;
  return (1, 'incomplete escape sequence, reached end of pattern prematurely') if $c eq '';
  return (2, 'backreferences are not supported') if $c =~ /[0-9]/;
  if ($c =~ /[pP]/) { return $text =~ /^(\\[pP](?:\{[^}]*\}|.))/ ? length $1 : 2 }
  if ($c =~ /[xuU]/) { return $text =~ /^(\\[xuU](?:\{[^}]*\}|[0-9A-Fa-f]{2}))/ ? length $1 : 2 }
  return (2, 'unrecognized escape sequence') if $c =~ /[A-Za-z]/ && $c !~ /[dDsSwWafnrtvbBAz]/;
  return 2;
}

# (width, [offset, width, text]) of a class at the beginning of the text.
sub class ($text) {
  # An unclosed class is shown with its `^` and with the `]` that stand first and are literal.
  my ($head) = $text =~ /^(\[\^?\]?)/;
  my $i = length $head;
  my $depth = 1;
  while ($i < length $text) {
    my $rest = substr $text, $i;
    if ($rest =~ /^(\[:\^?[a-z]+:\])/) { $i += length $1; next }
    if ($rest =~ /^\[/) { $depth++; $i++; next }
    if ($rest =~ /^\]/) { $i++; return $i if --$depth == 0; next }
    if ($rest =~ /^\\/) {
      my ($width, $bad) = escape($rest);
      return (0, [$i, $width, $bad]) if $bad;
      $i += $width;
      next;
    }
    if ($rest =~ /^([^\\\]\[])-([^\\\]\[-])/) {
      return (0, [$i, 3, 'invalid character class range, the start must be <= the end']) if $1 gt $2;
      $i += 3;
      next;
    }
    if ($rest =~ /^[^\\\]\[]-(\\[dDsSwW])/) { return (0, [$i + 2, 2, 'invalid range boundary, must be a literal']) }
    $i++;
  }
  return (0, [0, length $head, 'unclosed character class']);
}

# (width, [offset, width, text]) of `{n,m}` at the beginning of the text.
sub counted ($text) {
  return (0, [0, length $text, 'unclosed counted repetition']) if $text =~ /^\{\s*\d*\s*,?\s*\d*\s*\z/;
  my ($all, $from, $comma, $to) = $text =~ /^(\{\s*(\d+)\s*(,?)\s*(\d*)\s*\}\??)/ or return (0, [1, 1, 'repetition quantifier expects a valid decimal']);
  return (0, [0, length $all =~ s/\?\z//r, 'invalid repetition count range, the start must be <= the end']) if length $to && $from > $to;
  return length $all;
}

# (width, [offset, width, text]) of what opens a group at the beginning of the text.
sub group ($text) {
  return (0, [0, length $1, 'look-around, including look-ahead and look-behind, is not supported']) if $text =~ /^(\(\?<?[=!])/;
  if ($text =~ /^\(\?P?</) {
    my ($name) = $text =~ /^(\(\?P?<[^>]*>)/ or return (0, [length $text, 1, 'unclosed capture group name']);
    return length $name;
  }
  return (0, [1, 1, 'repetition operator missing expression']) if $text =~ /^\(\?\)/;
  if ($text =~ /^\(\?/) {
    my ($flags) = $text =~ /^(\(\?[imsUuxR-]*)/;
    my $next = substr $text, length $flags, 1;
    return (0, [length $flags, 1, 'unrecognized flag']) if $next ne ')' && $next ne ':' && $next ne '';
    return 1 + length $flags;
  }
  return 1;
}
1;
