package LabPVE::NotifyConfig;
# /etc/pve/notifications.cfg and /etc/pve/priv/notifications.cfg: sections, built-ins, origins, digest (proxmox-notify lib.rs, config.rs, context/pve.rs).
# Unlike jobs.cfg, one bad line fails the whole file. Two entities exist without any file, and every write writes them out.
use v5.36;
use LabPVE::Env;
use LabPVE::Error;

our $FILE = '/etc/pve/notifications.cfg';
our $PRIVATE = '/etc/pve/priv/notifications.cfg';

# type → property → kind: text, integer, boolean (`true` in the file, 1 in the API) or list (one line a value).
our %PROPERTIES = (
  sendmail => { mailto => 'list', 'mailto-user' => 'list', 'from-address' => 'text', author => 'text', comment => 'text', disable => 'boolean' },
  smtp => { server => 'text', port => 'integer', mode => 'text', username => 'text', mailto => 'list', 'mailto-user' => 'list', 'from-address' => 'text', author => 'text', comment => 'text', disable => 'boolean' },
  gotify => { server => 'text', comment => 'text', disable => 'boolean' },
  webhook => { url => 'text', method => 'text', header => 'list', body => 'text', comment => 'text', disable => 'boolean' },
  matcher => { 'match-field' => 'list', 'match-severity' => 'list', 'match-calendar' => 'list', mode => 'text', 'invert-match' => 'boolean', target => 'list', comment => 'text', disable => 'boolean' },
);
our %PRIVATE_PROPERTIES = (smtp => { password => 'text' }, gotify => { token => 'text' }, webhook => { secret => 'list' });
my %REQUIRED = (smtp => ['server', 'from-address'], gotify => ['server'], webhook => ['url', 'method']);

my %BUILTIN = (
  'mail-to-root' => { type => 'sendmail', comment => "Send mails to root\@pam's email address", 'mailto-user' => ['root@pam'] },
  'default-matcher' => { type => 'matcher', comment => 'Route all notifications to mail-to-root', mode => 'all', target => ['mail-to-root'] },
);

# { name → { type, ... } } of one file; dies when any line is not as it must be. The texts of these refusals were never recorded.
sub parse ($raw, $properties, $file) {
  my (%sections, @order, $current, $n);
  my $fail = sub ($what) { die "could not deserialize configuration: parsing '$file' failed - line $n - $what\n" };
  for my $line (split /\n/, $raw) {
    $n++;
    next if $line =~ /^\s*#/;
    if ($line =~ /^\s*$/) { undef $current; next }
    if (!$current) {
      my ($type, $name) = $line =~ /^(\w+):\s*(\S+)\s*$/ or $fail->('syntax error - expected header');
      $fail->("unknown section type '$type'") if !$properties->{$type};
      $fail->('invalid name') if $name !~ /^[A-Za-z0-9_][A-Za-z0-9._-]*$/ || length $name > 32;
      $fail->("duplicate section '$name'") if $sections{$name};
      $current = $sections{$name} = { type => $type };
      push @order, $name;
      next;
    }
    my ($key, $value) = $line =~ /^\s+(\S+)(?:\s+(.*?))?\s*$/ or $fail->('syntax error - expected property');
    my $kind = $properties->{ $current->{type} }{$key} or $fail->("unknown property '$key'");
    $value //= '';
    if ($kind eq 'list') { push @{ $current->{$key} }, $value; next }
    $fail->("duplicate property '$key'") if defined $current->{$key};
    if ($kind eq 'boolean') { $value = $value =~ /^(?:true|1|on|yes)$/i ? 1 : $value =~ /^(?:false|0|off|no)$/i ? 0 : $fail->("property '$key': not a boolean") }
    $fail->("property '$key': not an integer") if $kind eq 'integer' && $value !~ /^\d+$/;
    utf8::decode($value);
    $current->{$key} = $kind eq 'integer' || $kind eq 'boolean' ? 0 + $value : $value;
  }
  return (\%sections, \@order);
}

# { sections, order, private, private_order, raw }: with the built-ins, each with its origin. Matchers are not looked into here.
sub read_config {
  my $raw = LabPVE::Env::read_file($FILE) // '';
  my ($sections, $order) = parse($raw, \%PROPERTIES, 'notifications.cfg');
  my ($private, $private_order) = parse(LabPVE::Env::read_file($PRIVATE) // '', \%PRIVATE_PROPERTIES, 'priv/notifications.cfg');
  for my $name (@$order) {
    my $s = $sections->{$name};
    for my $k (@{ $REQUIRED{ $s->{type} } // [] }) { die "could not deserialize configuration: section '$name': missing required property '$k'\n" if !defined $s->{$k} }
    $s->{origin} = !$BUILTIN{$name} ? 'user-created' : same($s, $BUILTIN{$name}) ? 'builtin' : 'modified-builtin';
  }
  for my $name (sort keys %BUILTIN) {
    next if $sections->{$name};
    $sections->{$name} = { %{ $BUILTIN{$name} }, origin => 'builtin' };
    push @$order, $name;
  }
  return { sections => $sections, order => $order, private => $private, private_order => $private_order, raw => $raw };
}

# The property of a type that lives in the private file, if any.
sub private_key ($type) { my ($k) = keys %{ $PRIVATE_PROPERTIES{$type} // {} }; return $k }

sub is_builtin ($name) { return exists $BUILTIN{$name} }

sub same ($x, $y) {
  my $flat = sub ($h) { join "\0", map { "$_=" . (ref $h->{$_} ? join("\1", @{ $h->{$_} }) : $h->{$_}) } grep { $_ ne 'origin' } sort keys %$h };
  return $flat->($x) eq $flat->($y);
}

sub digest ($cfg) { require Digest::SHA; return Digest::SHA::sha256_hex($cfg->{raw}) }

sub render ($sections, $order, $properties) {
  my $out = '';
  for my $name (grep { $sections->{$_} } @$order) {
    my $s = $sections->{$name};
    my $kinds = $properties->{ $s->{type} };
    $out .= "$s->{type}: $name\n";
    for my $k (grep { defined $s->{$_} } sort keys %$kinds) {
      my @values = ref $s->{$k} ? @{ $s->{$k} } : ($kinds->{$k} eq 'boolean' ? ($s->{$k} ? 'true' : 'false') : $s->{$k});
      for my $v (@values) {
        die "could not serialize configuration: property '$k' of '$name' contains a line feed\n" if $v =~ /\n/;
        $out .= "\t$k $v\n";
      }
    }
    $out .= "\n";
  }
  return $out;
}

sub write_config ($cfg) {
  LabPVE::Env::write_file($FILE, render($cfg->{sections}, $cfg->{order}, \%PROPERTIES));
  LabPVE::Env::write_file($PRIVATE, render($cfg->{private}, $cfg->{private_order}, \%PRIVATE_PROPERTIES));
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
