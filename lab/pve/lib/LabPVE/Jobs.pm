package LabPVE::Jobs;
# Backup jobs: /etc/pve/jobs.cfg, the legacy /etc/pve/vzdump.cron, and the state files of the scheduler (/var/lib/pve-manager/jobs).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::PropertyString;
use LabPVE::SectionConfig;
use LabPVE::VZDumpOptions;

our $FILE = '/etc/pve/jobs.cfg';
our $CRON_FILE = '/etc/pve/vzdump.cron';

my %OPTIONAL = map { ($_ => { optional => 1 }) } keys %LabPVE::VZDumpOptions::SCHEMA;
our %PROPERTIES = (
  (map { my %s = %{ $LabPVE::VZDumpOptions::SCHEMA{$_} }; delete $s{requires}; ($_ => \%s) } keys %LabPVE::VZDumpOptions::SCHEMA),
  id => { optional => 1, format => 'pve-configid', maxLength => 50 },
  schedule => { format => 'pve-calendar-event', maxLength => 128 },
  enabled => { type => 'boolean', optional => 1 },
  comment => { optional => 1, maxLength => 512 },
  'repeat-missed' => { type => 'boolean', optional => 1 },
  realm => { optional => 1, maxLength => 32 },
  'enable-new' => { type => 'boolean', optional => 1 },
  'remove-vanished' => { optional => 1 },
  scope => { optional => 1, enum => ['users', 'groups', 'both'] },
);
my %SHARED = (schedule => { optional => 0 }, map { ($_ => { optional => 1 }) } qw(enabled comment repeat-missed));
my %TYPES = (
  vzdump => { %OPTIONAL, %SHARED },
  'realm-sync' => { (map { ($_ => { optional => 1 }) } qw(enable-new remove-vanished scope)), realm => { optional => 0 }, schedule => { optional => 0 }, enabled => { optional => 1 }, comment => { optional => 1 } },
);

our $DEF = {
  file => 'jobs.cfg',
  types => \%TYPES,
  properties => \%PROPERTIES,
  decode => sub ($type, $k, $v) { my $f = $LabPVE::VZDumpOptions::PROPERTY_STRING{$k}; $f && !ref $v ? LabPVE::PropertyString::parse($f, $v) : $v },
  encode => sub ($type, $k, $v) { my $f = $LabPVE::VZDumpOptions::PROPERTY_STRING{$k}; $f ? LabPVE::PropertyString::print_out($f, $v) : $v },
  defaults => sub ($type, $c) { $c->{enabled} //= 1 },
};

sub read_config { return LabPVE::SectionConfig::parse($DEF, LabPVE::Env::read_file($FILE)) }
sub write_config ($cfg, $all_sorted = 0) { return LabPVE::Env::write_file($FILE, LabPVE::SectionConfig::render($DEF, $cfg, $all_sorted)) }

# The jobs as API rows in file order (without null sections' content).
sub rows ($cfg) { return map { { %{ $cfg->{ids}{$_} // {} }, id => $_ } } @{ $cfg->{order} } }

# ---- vzdump.cron -------------------------------------------------------------------------------------------------

my @DOW = qw(mon tue wed thu fri sat sun);
my %DOW = (0 => 6, map { ($_ + 1 => $_, $DOW[$_] => $_) } 0 .. 6);

# `mon-fri,sun`, `1-5`, `*` → sorted day numbers (0 = Monday); undef when it is none.
sub parse_dow ($text) {
  return [0 .. 6] if $text eq '*';
  my %on;
  for my $part (LabPVE::Formats::split_list($text)) {
    if ($part =~ /^([a-z]{3})-([a-z]{3})$/i && exists $DOW{ lc $1 } && exists $DOW{ lc $2 }) { $on{$_} = 1 for $DOW{ lc $1 } .. $DOW{ lc $2 } }
    elsif (exists $DOW{ lc $part }) { $on{ $DOW{ lc $part } } = 1 }
    else { return undef }
  }
  return [sort keys %on];
}

# The schedule that a start time and a list of days mean.
sub schedule_of ($starttime, $dow) {
  my $days = parse_dow($dow // '') // [];
  return $starttime if !@$days || @$days == 7;
  return join(',', @DOW[@$days]) . " $starttime";
}

sub split_args ($text) {
  my @args;
  while (length $text) {
    $text =~ s/^\s+//;
    last if !length $text;
    my $word = '';
    while ($text =~ s/^(?:'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+))//s) { $word .= $1 // $2 // $3 // $4 }
    push @args, $word;
    last if $text =~ /^['"]/;
  }
  return @args;
}

# { digest, jobs => [rows with id "<sha1>:<n>"], kept => [lines] }
sub read_cron {
  my $raw = LabPVE::Env::read_file($CRON_FILE);
  my $out = { jobs => [], kept => [], exists => defined $raw };
  return $out if !defined $raw;
  require Digest::SHA;
  require LabPVE::Cli;
  my $digest = Digest::SHA::sha1_hex($raw);
  my $n = 1;
  for my $line (split /\n/, $raw) {
    next if $line =~ /^#/ || $line =~ /^\s*$/ || $line =~ /^PATH\s*=/;
    if ($line =~ m{^(\d+)\s+(\d+)\s+\*\s+\*\s+(\S+)\s+root\s+(/\S+/)?(#)?vzdump(\s+(.*))?$}) {
      my ($minute, $hour, $dow, $off, $rest) = ($1, $2, $3, $5, $7 // '');
      my $row = eval {
        my $days = parse_dow($dow) or die "bad day\n";
        my $method = { params => { %LabPVE::VZDumpOptions::SCHEMA, stdout => { type => 'boolean', optional => 1 } }, args => 'vmid' };
        my $opts = LabPVE::Cli::parse([split_args($rest)], $method);
        LabPVE::VZDumpOptions::decode_property_strings($opts);
        for my $k (keys %$opts) { $opts->{$k} = 0 + $opts->{$k} if ($LabPVE::VZDumpOptions::SCHEMA{$k}{type} // '') =~ /^(?:boolean|integer)$/ }
        +{ %$opts, id => "$digest:" . $n++, enabled => $off ? '' : '1', starttime => sprintf('%02d:%02d', $hour, $minute), dow => join ',', @DOW[@$days] };
      };
      if ($row) { $row->{line} = $line; push @{ $out->{jobs} }, $row } else { push @{ $out->{kept} }, $line }
    }
    elsif ($line =~ /^\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+\S.*$/) { push @{ $out->{kept} }, $line }
  }
  return $out;
}

# An API row of a cron job: schedule instead of time and days; no type, no next-run.
sub cron_row ($job) {
  my %row = %$job;
  delete $row{line};
  $row{schedule} = schedule_of(delete $row{starttime}, delete $row{dow});
  return \%row;
}

sub write_cron ($cron) {
  my $out = "# cluster wide vzdump cron schedule\n# Automatically generated file - do not edit\n\nPATH=\"/usr/sbin:/usr/bin:/sbin:/bin\"\n\n";
  for my $job (@{ $cron->{jobs} }) {
    my $days = parse_dow($job->{dow}) // [];
    my $dow = @$days == 7 || !@$days ? '*' : join ',', map { $_ + 1 } @$days;
    my ($hour, $minute) = map { 0 + $_ } split /:/, $job->{starttime};
    my %options = (%$job, quiet => 1);
    delete @options{qw(id starttime dow enabled line)};
    $out .= sprintf "%d %d * * %-11s root %s%s\n", $minute, $hour, $dow, $job->{enabled} ? '' : '#', LabPVE::VZDumpOptions::command_line(\%options);
  }
  $out .= "$_\n" for @{ $cron->{kept} };
  return LabPVE::Env::write_file($CRON_FILE, $out);
}

# ---- state files -------------------------------------------------------------------------------------------------

sub state_file ($id, $type = 'vzdump') { return "/var/lib/pve-manager/jobs/$type-$id.json" }

sub read_state ($id, $type = 'vzdump') {
  my $raw = LabPVE::Env::read_file(state_file($id, $type)) // return undef;
  require LabPVE::Json;
  return $raw eq '' ? { state => 'created', time => 0 } : LabPVE::Json::decode($raw);
}

sub write_state ($id, $state, $type = 'vzdump') {
  require LabPVE::Json;
  return LabPVE::Env::write_file(state_file($id, $type), LabPVE::Json::encode($state));
}

sub create_state ($id, $job, $type = 'vzdump') {
  my $state = read_state($id, $type) // { state => 'created', time => 0 };
  die "job state already exists\n" if $state->{state} ne 'created';
  $state->{time} = LabPVE::Env::now();
  for my $k (qw(enabled schedule)) { $state->{config}{$k} = $k eq 'enabled' ? 0 + $job->{$k} : $job->{$k} if defined $job->{$k} }
  return write_state($id, $state, $type);
}

# After a change of `enabled` or `schedule` the reference time of the next run is now: a re-enabled job fires no backlog.
sub note_change ($id, $job, $type = 'vzdump') {
  my $state = read_state($id, $type) // { state => 'created', time => 0 };
  my $changed = 0;
  for my $k (qw(enabled schedule)) {
    next if ($state->{config}{$k} // '') eq ($job->{$k} // '');
    if (defined $job->{$k}) { $state->{config}{$k} = "$job->{$k}" } else { delete $state->{config}{$k} }
    $changed = 1;
  }
  return if !$changed;
  $state->{updated} = LabPVE::Env::now();
  return write_state($id, $state, $type);
}
1;
