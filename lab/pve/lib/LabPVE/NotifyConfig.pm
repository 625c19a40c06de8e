package LabPVE::NotifyConfig;
# /etc/pve/notifications.cfg and /etc/pve/priv/notifications.cfg: sections, built-ins, origins, digest (proxmox-notify lib.rs, config.rs, context/pve.rs over
# proxmox-section-config lib.rs). Unlike jobs.cfg, one bad line fails the whole file, and there are no comments. Two entities exist without any file, and every
# write writes them out.
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::NotifySchema;

our $FILE = '/etc/pve/notifications.cfg';
our $PRIVATE = '/etc/pve/priv/notifications.cfg';

my %BUILTIN = (
  'mail-to-root' => { type => 'sendmail', comment => "Send mails to root\@pam's email address", 'mailto-user' => ['root@pam'] },
  'default-matcher' => { type => 'matcher', comment => 'Route all notifications to mail-to-root', mode => 'all', target => ['mail-to-root'] },
);

sub boolean ($text) { return $text =~ /^(?:1|on|yes|true)\z/i ? 1 : $text =~ /^(?:0|off|no|false)\z/i ? 0 : die "Unable to parse boolean option.\n" }
sub integer ($text) { return $text =~ /^[+-]?[0-9]+\z/ ? 0 + $text : die(length $text ? "invalid digit found in string\n" : "cannot parse integer from empty string\n") }

# The value of one line as it is kept; dies with what is wrong with it.
sub value_of ($type, $key, $kind, $text) {
  my $value = $kind eq 'boolean' ? boolean($text) : $kind eq 'integer' ? integer($text) : $text;
  my $bad = $kind eq 'boolean' ? undef : LabPVE::NotifySchema::fault($type, $key, $value);
  die "$bad\n" if defined $bad;
  return $value;
}

# { name → { type, ... } } of one file and the names in their order; dies when any line is not as it must be. A name that comes twice is in the order twice, as in
# Proxmox, which then also writes it twice.
sub parse ($raw, $properties, $required, $file) {
  my (%sections, @order, $name, $current);
  my $n = 0;
  my $fail = sub ($what) { die qq{could not deserialize configuration: parsing "$file" failed: line $n - $what\n} };
  my $finish = sub {
    for my $k (@{ $required->{ $current->{type} } // [] }) { $fail->("property '$k' is missing and it is not optional.") if !defined $current->{$k} }
    $sections{$name} = $current;
    push @order, $name;
    undef $current;
  };
  utf8::decode($raw);
  my @lines = split /\r?\n/, $raw, -1;
  pop @lines if @lines && $lines[-1] eq '';
  for my $line (@lines) {
    $n++;
    if ($line !~ /\S/) { $finish->() if $current; next }
    if (!$current) {
      (my $type, $name) = $line =~ /^(\pL[^:]*?)\s*:\s*(.*?)\s*\z/ or $fail->('syntax error (expected header)');
      $fail->("unknown section type '$type'") if !$properties->{$type};
      my $bad = $properties != \%LabPVE::NotifySchema::PUBLIC && $type ne 'webhook' ? undef : LabPVE::NotifySchema::name_fault($name);
      $fail->("syntax error in section identifier: $bad") if defined $bad;
      $current = { type => $type };
      next;
    }
    my ($key, $text) = $line =~ /^\s+(\S+)\s(.*)\z/ or $fail->('syntax error (expected section properties)');
    my $kind = $properties->{ $current->{type} }{$key} or $fail->("unknown property '$key'");
    my $value = eval { value_of($current->{type}, $key, $kind, $text =~ s/^\s+|\s+\z//gr) };
    if (!defined $value) { chomp(my $e = $@); $fail->("property '$key': $e") }
    if ($kind eq 'list') { push @{ $current->{$key} }, $value; next }
    $fail->("duplicate property '$key'") if defined $current->{$key};
    $current->{$key} = $value;
  }
  $finish->() if $current;
  return (\%sections, \@order);
}

# { sections, order, private, private_order, raw }: with the built-ins, each with its origin. Matchers are not looked into here.
sub read_config {
  my $raw = LabPVE::Env::read_file($FILE) // '';
  my ($sections, $order) = parse($raw, \%LabPVE::NotifySchema::PUBLIC, \%LabPVE::NotifySchema::REQUIRED, 'notifications.cfg');
  my ($private, $private_order) = parse(LabPVE::Env::read_file($PRIVATE) // '', \%LabPVE::NotifySchema::PRIVATE, \%LabPVE::NotifySchema::PRIVATE_REQUIRED, 'priv/notifications.cfg');
  for my $name (keys %$sections) { $sections->{$name}{origin} = !$BUILTIN{$name} ? 'user-created' : same($sections->{$name}, $BUILTIN{$name}) ? 'builtin' : 'modified-builtin' }
  for my $name (sort keys %BUILTIN) {
    next if $sections->{$name};
    $sections->{$name} = { %{ $BUILTIN{$name} }, origin => 'builtin' };
    push @$order, $name;
  }
  return { sections => $sections, order => $order, private => $private, private_order => $private_order, raw => $raw };
}

# The property of a type that lives in the private file, if any.
sub private_key ($type) { my ($k) = keys %{ $LabPVE::NotifySchema::PRIVATE{$type} // {} }; return $k }

sub is_builtin ($name) { return exists $BUILTIN{$name} }

sub same ($x, $y) {
  my $flat = sub ($h) { join "\0", map { "$_=" . (ref $h->{$_} ? join("\1", @{ $h->{$_} }) : $h->{$_}) } grep { $_ ne 'origin' } sort keys %$h };
  return $flat->($x) eq $flat->($y);
}

sub digest ($cfg) { require Digest::SHA; return Digest::SHA::sha256_hex($cfg->{raw}) }

# A file's text: one blank line between sections, none at the end. Dies when a section has what no file may have.
sub render ($sections, $order, $properties, $file) {
  my @out;
  for my $name (grep { $sections->{$_} } @$order) {
    my $s = $sections->{$name};
    my $kinds = $properties->{ $s->{type} };
    eval { LabPVE::NotifySchema::check_section($name, $s, $kinds, $properties == \%LabPVE::NotifySchema::PUBLIC || $s->{type} eq 'webhook'); 1 }
      or die qq{could not serialize configuration: writing "$file" failed: $@};
    my $text = "$s->{type}: $name\n";
    for my $k (grep { defined $s->{$_} } sort keys %$kinds) {
      my @values = ref $s->{$k} ? @{ $s->{$k} } : ($kinds->{$k} eq 'boolean' ? ($s->{$k} ? 'true' : 'false') : $s->{$k});
      $text .= "\t$k $_\n" for @values;
    }
    push @out, $text;
  }
  return join "\n", @out;
}

# Nothing is written when one of the two files cannot be.
sub write_config ($cfg) {
  my $public = render($cfg->{sections}, $cfg->{order}, \%LabPVE::NotifySchema::PUBLIC, 'notifications.cfg');
  my $private = render($cfg->{private}, $cfg->{private_order}, \%LabPVE::NotifySchema::PRIVATE, 'priv/notifications.cfg');
  LabPVE::Env::write_file($FILE, $public);
  LabPVE::Env::write_file($PRIVATE, $private);
  chmod 0600, LabPVE::Env::path($PRIVATE);
  return;
}

# Sets or (undef) removes the secrets of an endpoint.
sub set_private ($cfg, $name, $section) {
  if (!$section) { delete $cfg->{private}{$name}; return }
  push @{ $cfg->{private_order} }, $name if !$cfg->{private}{$name};
  $cfg->{private}{$name} = $section;
  return;
}
1;
