package LabPVE::NotifySchema;
# Which properties a section of notifications.cfg may have and what their values may be: proxmox-notify endpoints/*.rs, matcher.rs, schema.rs with proxmox-schema
# api_types.rs (formats) and schema.rs (texts). The API's own checks (Api/Notifications.pm) are looser; these strike when the file is read or written.
use v5.36;

# type → property → kind: text, integer, boolean (`true` in the file, 1 in the API) or list (one line a value). `filter` is an old property that is read and never shown.
our %PUBLIC = (
  sendmail => { mailto => 'list', 'mailto-user' => 'list', 'from-address' => 'text', author => 'text', comment => 'text', disable => 'boolean', filter => 'text' },
  smtp => { server => 'text', port => 'integer', mode => 'text', username => 'text', mailto => 'list', 'mailto-user' => 'list', 'from-address' => 'text', author => 'text', comment => 'text', disable => 'boolean' },
  gotify => { server => 'text', comment => 'text', disable => 'boolean', filter => 'text' },
  webhook => { url => 'text', method => 'text', header => 'list', body => 'text', secret => 'list', comment => 'text', disable => 'boolean' },
  matcher => { 'match-field' => 'list', 'match-severity' => 'list', 'match-calendar' => 'list', mode => 'text', 'invert-match' => 'boolean', target => 'list', comment => 'text', disable => 'boolean' },
);
our %PRIVATE = (smtp => { password => 'text' }, gotify => { token => 'text' }, webhook => { secret => 'list' });
# In the order in which a missing one is found.
our %REQUIRED = (smtp => ['from-address', 'server'], gotify => ['server'], webhook => ['method', 'url']);
our %PRIVATE_REQUIRED = (gotify => ['token']);

my $CONTROL = qr/[\x00-\x1f\x7f]/;
my $SAFE_ID = qr/^[A-Za-z0-9_][A-Za-z0-9._\-]*\z/;
my $LABEL = qr/[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?/;
my $PORT = qr/[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]/;
my $HTTP_URL = qr{^https?://(?:(?:(?:$LABEL\.)*$LABEL|\[[0-9a-fA-F:.]+\])(?::$PORT)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(?:/[^\x00-\x1f\x7f]*)?\z};
my $NO_PATTERN = 'value does not match the regex pattern';

sub length_fault ($value, $min, $max) {
  return "value must be at least $min characters long" if length $value < $min;
  return "value may only be $max characters long" if length $value > $max;
  return;
}
sub text_fault ($value, $min, $max) { return length_fault($value, $min, $max) // ($value =~ $CONTROL ? $NO_PATTERN : undef) }
sub name_fault ($value) { return length_fault($value, 2, 32) // ($value =~ $SAFE_ID ? undef : $NO_PATTERN) }
sub one_of (@values) { return sub ($v) { (grep { $_ eq $v } @values) ? undef : "value '$v' is not defined in the enumeration." } }

my $ADDRESS = sub ($v) { text_fault($v, 2, 64) };
my %VALUE = (
  comment => sub ($v) { text_fault($v, 0, 128) },
  mailto => $ADDRESS, 'mailto-user' => $ADDRESS,
  target => \&name_fault, filter => \&name_fault,
  port => sub ($v) { $v > 65535 ? "value must have a maximum value of 65535 (got $v)" : $v < 0 ? "value must have a minimum value of 0 (got $v)" : undef },
  url => sub ($v) { $v =~ $HTTP_URL ? undef : $NO_PATTERN },
  method => one_of(qw(post put get)),
  'mode of smtp' => one_of(qw(insecure starttls tls)),
  'mode of matcher' => one_of(qw(all any)),
  header => \&pair_fault, secret => \&pair_fault,
);

# What is wrong with one value of a property, or undef.
sub fault ($type, $key, $value) {
  my $check = $VALUE{$key} // $VALUE{"$key of $type"} // return;
  return $check->($value);
}

# `name=N,value=V` → ([key, value], ...), keys in order; a part without a key dies as the crate does. A quoted value may hold commas.
sub pairs ($text) {
  my @pairs;
  while (length $text) {
    my $key = $text =~ s/^([^,="][^,=]*)?=// ? $1 // '' : die "missing key\n";
    my $value;
    if ($text =~ s/^"((?:[^"\\]|\\["\\n])*)"//) {
      $value = $1 =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ger;
      die "garbage after quoted string\n" if length $text && $text !~ s/^,//;
    }
    else { $text =~ s/^([^,]*),?//; $value = $1 }
    push @pairs, [$key, $value];
  }
  return @pairs;
}

# The bytes of base64 with or without its padding; dies with the text of the base64 crate.
sub base64_bytes ($v) {
  die 'Invalid symbol ' . ord($2) . ', offset ' . length($1) . ".\n" if $v =~ m{^([A-Za-z0-9+/]*)([^A-Za-z0-9+/=])};
  my ($data) = $v =~ /^([^=]*)/;
  my ($over, $padding) = (length($data) % 4, length($v) - length $data);
  die 'Invalid symbol 61, offset ' . length($data) . ".\n" if $padding && ($over < 2 || $over + $padding > 4 || $v !~ /=\z/);
  die 'Invalid input length: ' . length($v) . "\n" if $over == 1;
  require MIME::Base64;
  my $bytes = MIME::Base64::decode_base64($data . '=' x (-$over % 4));
  die 'Invalid last symbol ' . ord(substr $data, -1) . ', offset ' . (length($data) - 1) . ".\n" if MIME::Base64::encode_base64($bytes, '') !~ /^\Q$data\E=*\z/;
  return $bytes;
}

# The text in base64, or undef.
sub base64_text ($v) {
  my $text = eval { base64_bytes($v) } // return;
  return !length $text || utf8::decode($text) ? $text : undef;
}

# The texts with which a file's `header` or `secret` line is refused.
sub pair_fault ($text) {
  my @pairs = eval { pairs($text) };
  if (my $e = $@) { chomp $e; return $e }
  my (%seen, @faults);
  for my $p (@pairs) {
    if ($p->[0] !~ /^(?:name|value)\z/) { push @faults, [$p->[0], 'schema does not allow additional properties'] }
    elsif ($seen{ $p->[0] }++) { push @faults, [$p->[0], 'duplicate key'] }
  }
  push @faults, ['name', 'property is missing and it is not optional'] if !$seen{name};
  return @faults ? faults_text(@faults) : undef;
}

# The texts with which the API refuses one, and else the value as it is stored.
sub normal_pair ($text) {
  my %pair;
  for my $p (pairs($text)) {
    die "unknown key \"$p->[0]\"\n" if $p->[0] !~ /^(?:name|value)\z/;
    die "duplicate field `$p->[0]`\n" if defined $pair{ $p->[0] };
    $pair{ $p->[0] } = $p->[1];
  }
  die "missing field `name`\n" if !defined $pair{name};
  if (grep { /[",\\\n]/ } values %pair) { require LabPVE::Unknown; LabPVE::Unknown::fail('a header or secret with quotes') }
  return join ',', map { defined $pair{$_} ? "$_=$pair{$_}" : () } qw(name value);
}

# [name, text] ... as one text.
sub faults_text (@faults) {
  return "parameter verification failed - '$faults[0][0]': $faults[0][1]" if @faults == 1;
  return "parameter verification failed:\n" . join "\n", map { "- '$_->[0]': $_->[1]" } @faults;
}

# Dies when a section cannot be written: values first, then characters that no line may have.
sub check_section ($name, $s, $kinds, $has_name_rule) {
  if ($has_name_rule and my $bad = name_fault($name)) { die "syntax error in section identifier: $bad\n" }
  my @faults;
  for my $key (sort grep { $kinds->{$_} } keys %$s) {
    my @values = ref $s->{$key} ? @{ $s->{$key} } : $s->{$key};
    for my $i (0 .. $#values) {
      my $bad = fault($s->{type}, $key, $values[$i]) // next;
      push @faults, [ref $s->{$key} ? "$key/[$i]" : $key, $bad];
      last;
    }
  }
  die "verify section '$name' failed - " . faults_text(@faults) . "\n" if @faults;
  for my $key (sort grep { $kinds->{$_} } keys %$s) {
    for my $v (ref $s->{$key} ? @{ $s->{$key} } : $s->{$key}) { die "detected unexpected control character in section '$name' key '$key'\n" if $v =~ /\p{Cc}/ }
  }
  return;
}
1;
