package LabPVE::VZDumpOptions;
# The options of a vzdump run and of a job (pve-guest-common PVE/VZDump/Common.pm): schema, checks between options, effective defaults, command line.
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::PropertyString;

my $BOOL = { type => 'boolean', optional => 1 };
my $STR = { optional => 1 };
sub int_from ($min, $max = undef) { return { type => 'integer', optional => 1, (defined $min ? (minimum => $min) : ()), defined $max ? (maximum => $max) : () } }

our %SCHEMA = (
  vmid => { format => 'pve-vmid-list', optional => 1 },
  node => { format => 'pve-node', optional => 1 },
  all => { %$BOOL, default => 0 },
  stdexcludes => { %$BOOL, default => 1 },
  compress => { enum => ['0', '1', 'gzip', 'lzo', 'zstd'], optional => 1, default => '0' },
  pigz => { %{ int_from(undef) }, default => 0 },
  zstd => { %{ int_from(undef) }, default => 1 },
  quiet => { %$BOOL, default => 0 },
  mode => { enum => ['snapshot', 'suspend', 'stop'], optional => 1, default => 'snapshot' },
  exclude => { format => 'pve-vmid-list', optional => 1 },
  'exclude-path' => { type => 'array', items => {}, optional => 1 },
  mailto => { format => 'email-or-username-list', optional => 1 },
  mailnotification => { enum => ['always', 'failure'], optional => 1, default => 'always' },
  'notification-mode' => { enum => ['auto', 'legacy-sendmail', 'notification-system'], optional => 1, default => 'auto' },
  tmpdir => $STR,
  dumpdir => $STR,
  script => $STR,
  storage => { format => 'pve-storage-id', optional => 1 },
  stop => { %$BOOL, default => 0 },
  bwlimit => { %{ int_from(0) }, default => 0 },
  ionice => { %{ int_from(0, 8) }, default => 7 },
  performance => { format => 'backup-performance', optional => 1 },
  fleecing => { format => 'backup-fleecing', optional => 1 },
  lockwait => { %{ int_from(0) }, default => 180 },
  stopwait => { %{ int_from(0) }, default => 10 },
  'prune-backups' => { format => 'prune-backups', optional => 1, default => 'keep-all=1' },
  remove => { %$BOOL, default => 1 },
  pool => $STR,
  'notes-template' => { optional => 1, requires => 'storage', maxLength => 1024 },
  protected => { %$BOOL, requires => 'storage' },
  'pbs-change-detection-mode' => { enum => ['legacy', 'data', 'metadata'], optional => 1 },
);

our %PROPERTY_STRING = (performance => 'backup-performance', fleecing => 'backup-fleecing', 'prune-backups' => 'prune-backups');

# Numbers inside property strings decode to objects; a text that is none stays text.
sub decode_property_strings ($h) {
  for my $k (keys %PROPERTY_STRING) {
    $h->{$k} = LabPVE::PropertyString::parse($PROPERTY_STRING{$k}, $h->{$k}) if defined $h->{$k} && !ref $h->{$k};
  }
  return $h;
}

sub check_notes_template ($text) {
  LabPVE::Error::raise_param('notes-template' => 'contains a line feed') if $text =~ /\n/;
  my @problems;
  while ($text =~ /\\(.?)/gs) {
    push @problems, "escape sequence '\\$1' at char $-[0]" if $1 ne '\\' && $1 ne 'n';
  }
  while ($text =~ /\{\{(.*?)\}\}/g) {
    push @problems, "variable '$1' at char " . ($-[0] + 4) if $1 !~ /^(?:cluster|guestname|node|vmid)$/;
  }
  LabPVE::Error::raise_param('notes-template' => 'found unknown: ' . join(', ', @problems)) if @problems;
  return;
}

# Conflicts between options; $complete: a selection must be there. Changes %$p: property strings to objects, `exclude` implies `all`.
sub check ($p, $complete) {
  for my $k (qw(all exclude pool)) {
    LabPVE::Error::raise_param($k => "option conflicts with option 'vmid'") if $p->{$k} && $p->{vmid};
  }
  decode_property_strings($p);
  check_notes_template($p->{'notes-template'}) if defined $p->{'notes-template'};
  $p->{all} = 1 if defined $p->{exclude} && !$p->{pool};
  return if !$complete;
  LabPVE::Error::raise_param(vmid => 'property is missing') if !($p->{all} || $p->{stop} || $p->{pool}) && !$p->{vmid};
  return;
}

# Effective defaults of the node: /etc/vzdump.conf over the schema's. Unknown keys are kept, bad values warned about (stderr) and dropped.
sub node_defaults {
  my %default = map { defined $SCHEMA{$_}{default} ? ($_ => $SCHEMA{$_}{default}) : () } keys %SCHEMA;
  decode_property_strings(\%default);
  my $raw = LabPVE::Env::read_file('/etc/vzdump.conf') // return \%default;
  my %conf;
  for my $line (split /\n/, $raw) {
    $line =~ s/^\s+|\s+$//g;
    next if $line eq '' || $line =~ /^#/;
    if ($line !~ /^(\S+?):\s*(.*)$/) { print STDERR "ignore config line: $line\n"; next }
    my ($k, $v) = ($1, $2);
    my $type = $SCHEMA{$k}{type} // 'string';
    $v = LabPVE::PropertyString::boolean($v) // $v if $SCHEMA{$k} && $type eq 'boolean';
    if ($SCHEMA{$k} && $type eq 'array') { push @{ $conf{$k} }, $v; next }
    $conf{$k} = $v;
  }
  my $errors = {};
  for my $k (sort keys %conf) {
    next if !$SCHEMA{$k};
    require LabPVE::Schema;
    LabPVE::Schema::check($conf{$k}, $SCHEMA{$k}, $k, $errors);
  }
  for my $k (sort keys %$errors) {
    print STDERR "parse error in '/etc/vzdump.conf' - '$k': $errors->{$k}\n";
    delete $conf{$k};
  }
  $conf{'exclude-path'} = [map { grep { length } split ' ', $_ } @{ $conf{'exclude-path'} }] if $conf{'exclude-path'};
  decode_property_strings(\%conf);
  my $merged = { %default, %conf };
  if (defined $merged->{storage} && defined $merged->{dumpdir}) {
    print STDERR "WARN: both 'storage' and 'dumpdir' defined in '/etc/vzdump.conf' - ignoring 'dumpdir'\n";
    delete $merged->{dumpdir};
  }
  return $merged;
}

sub shell_quote ($v) { return $v =~ m{^[A-Za-z0-9_./:@%,+\-]+$} ? $v : "'" . ($v =~ s/'/'"'"'/gr) . "'" }

# `vzdump 100 --storage nas ...`: the line a task log begins with.
sub command_line ($p) {
  my $cmd = 'vzdump';
  $cmd .= ' ' . join ' ', LabPVE::Formats::split_list($p->{vmid}) if $p->{vmid};
  for my $k (sort keys %$p) {
    next if !$SCHEMA{$k} || $k eq 'vmid' || !defined $p->{$k};
    my $v = $p->{$k};
    if ($k eq 'exclude-path') { $cmd .= " --$k " . shell_quote($_) for @$v; next }
    $v = join ',', LabPVE::Formats::split_list($v) if $k eq 'mailto' && !ref $v;
    $v = LabPVE::PropertyString::print_out($PROPERTY_STRING{$k}, $v) if $PROPERTY_STRING{$k};
    $cmd .= " --$k " . shell_quote($v) if $v ne '';
  }
  return $cmd;
}
1;
