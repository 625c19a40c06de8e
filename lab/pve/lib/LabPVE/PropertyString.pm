package LabPVE::PropertyString;
# Values like `keep-daily=7,keep-last=3`: parse to a hash, print back with sorted keys.
use v5.36;
use LabPVE::Error;
use LabPVE::Schema;

my %KEEP = map { ("keep-$_" => { type => 'integer', minimum => 0, optional => 1 }) } qw(last hourly daily weekly monthly yearly);
my %FORMAT = (
  'prune-backups' => { properties => { %KEEP, 'keep-all' => { type => 'boolean', optional => 1 } }, check => \&check_prune },
  'backup-performance' => {
    properties => {
      'max-workers' => { type => 'integer', minimum => 1, maximum => 256, optional => 1 },
      'pbs-entries-max' => { type => 'integer', minimum => 1, optional => 1 },
    },
  },
  'backup-fleecing' => {
    default_key => 'enabled',
    properties => { enabled => { type => 'boolean', optional => 1 }, storage => { format => 'pve-storage-id', optional => 1 } },
    check => sub ($h) { die "'storage' parameter is required when 'enabled' is set\n" if $h->{enabled} && !defined $h->{storage} },
  },
  'pve-qm-memory' => { default_key => 'current', properties => { current => { type => 'integer', minimum => 16 } } },
  'bwlimit' => { default_key => 'default', properties => { map { ($_ => { type => 'number', minimum => 0, optional => 1 }) } qw(default restore migration clone move) } },
);

sub keep_properties { return { %KEEP, 'keep-all' => { type => 'boolean', optional => 1 } } }

# keep-all together with a positive keep is refused; nothing positive at all means keep-all (pve-storage Plugin.pm).
sub check_prune ($h) {
  my $all = delete $h->{'keep-all'};
  my $positive = grep { $h->{$_} > 0 } keys %$h;
  if (!$positive) { %$h = ('keep-all' => 1) }
  elsif ($all) { die "keep-all cannot be set together with other options.\n" }
  return;
}

# Parses $text; integers stay strings (as Proxmox leaves them), booleans become 1/0. Dies with Proxmox' text.
sub parse ($name, $text, $path = '') {
  my $f = ref $name ? $name : $FORMAT{$name};
  my %out;
  $text = $f->{before}->($text) if $f->{before};
  my $plain = sub ($k, $v) { my $pd = $f->{properties}{$k}; $pd && ($pd->{type} // '') eq 'boolean' ? boolean($v) // $v : $v };
  for my $part (split /,/, $text) {
    next if $part =~ /^\s*$/;
    if ($part =~ /^([^=]+)=(.+)$/) {
      my ($k, $v) = ($1, $2);
      die "duplicate key in comma-separated list property: $k\n" if defined $out{$k};
      $out{$k} = $plain->($k, $v);
    }
    elsif ($part !~ /=/) {
      my $k = $f->{default_key} // die "value without key, but schema does not define a default key\n";
      die "duplicate key in comma-separated list property: $k\n" if defined $out{$k};
      $out{$k} = $plain->($k, $part);
    }
    else { die "missing key in comma-separated list property\n" }
  }
  my $errors = {};
  my %checked = $f->{others} ? map { ($_ => $out{$_}) } grep { $f->{properties}{$_} } keys %out : %out;
  LabPVE::Schema::check_object(\%checked, $f->{properties}, $path, $errors);
  if (%$errors) {
    LabPVE::Error::raise("format error\n", errors => $errors);
  }
  $f->{check}->(\%out) if $f->{check};
  return \%out;
}

sub boolean ($v) { return $v =~ /^(?:1|on|yes|true)$/i ? 1 : $v =~ /^(?:0|off|no|false)$/i ? 0 : undef }

sub print_out ($name, $h) {
  return $h if !ref $h;
  my $f = ref $name ? $name : $FORMAT{$name};
  my $dk = $f->{default_key};
  my @parts = defined $dk && defined $h->{$dk} ? ($h->{$dk}) : ();
  push @parts, map { "$_=$h->{$_}" } grep { defined $h->{$_} && (!defined $dk || $_ ne $dk) } sort keys %$h;
  return join ',', @parts;
}
1;
