package LabPVE::Api::VZDump;
# /nodes/N/vzdump: start a backup run, effective defaults, config inside an archive (pve-manager PVE/API2/VZDump.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::VZDumpOptions;

# Checks the options and runs the task; 'OK' without a task when nothing here is meant. $how: background, job_id (scheduler).
sub start ($param, $how = {}) {
  my $node = LabPVE::Env::node();
  LabPVE::VZDumpOptions::check($param, 1);
  return 'OK' if defined $param->{node} && $param->{node} ne $node;
  my $cmdline = LabPVE::VZDumpOptions::command_line($param);
  require LabPVE::Selection;
  my $per_node = LabPVE::Selection::per_node($param);
  my @local = @{ delete $per_node->{$node} // [] };
  push @local, @{ delete $per_node->{''} // [] };
  my @elsewhere = map { @$_ } values %$per_node;
  stop_running() if $param->{stop};
  return 'OK' if !@local && ($param->{stop} || !$param->{all});
  die "you can only backup a single VM with option --stdout\n" if $param->{stdout} && @local != 1;
  if ($param->{stdout}) { require LabPVE::Unknown; LabPVE::Unknown::fail("'vzdump --stdout'") }
  my %opts = %$param;
  $opts{mailto} = [LabPVE::Formats::split_list($opts{mailto})] if defined $opts{mailto};
  require LabPVE::Tasks;
  require LabPVE::VZDump;
  return LabPVE::Tasks::run('vzdump', @local == 1 ? $local[0] : '', sub ($upid) {
    my $run = LabPVE::VZDump->new($cmdline, \%opts, \@elsewhere, $how->{job_id});
    my $lock = $run->lock_run($upid);
    $run->run(\@local);
    close $lock;
  }, { quiet => $param->{quiet}, %$how });
}

# `--stop`: ends the run that /var/run/vzdump.pid names, and waits at most 15 s for it.
sub stop_running {
  require LabPVE::Tasks;
  my ($upid) = (LabPVE::Env::read_file('/var/run/vzdump.pid') // '') =~ /^(\S+)/ or return;
  my $task = LabPVE::Tasks::decode($upid);
  return if !$task || !LabPVE::Tasks::is_running($task);
  kill 'TERM', $task->{pid};
  for (1 .. 150) {
    return if !LabPVE::Tasks::is_running($task);
    select undef, undef, undef, 0.1;
  }
  die "stopping backup process $task->{pid} failed\n";
}

my %NODE = (node => { format => 'pve-node', optional => 1 });

sub run_create ($) {
  return {
    params => { %LabPVE::VZDumpOptions::SCHEMA, %NODE, stdout => { type => 'boolean', optional => 1 } }, returns => 'string',
    code => sub ($param) {
      delete $param->{node} if ($param->{node} // '') eq 'localhost';
      return LabPVE::Api::VZDump::start($param);
    },
  };
}

sub defaults_get ($) {
  return {
    params => { node => { format => 'pve-node' }, storage => { format => 'pve-storage-id', optional => 1 } }, returns => 'object',
    code => sub ($param) {
      my %r = %{ LabPVE::VZDumpOptions::node_defaults() };
      $r{storage} = $param->{storage} if defined $param->{storage};
      $r{storage} //= 'local' if !defined $r{dumpdir};
      if (defined $r{storage}) {
        require LabPVE::Storage;
        my $s = LabPVE::Storage::entry(LabPVE::Storage::config(), $r{storage});
        die "can't use storage '$r{storage}' for backups - wrong content type\n" if !{ LabPVE::Storage::content_types($s) }->{backup};
        $r{dumpdir} = LabPVE::Storage::content_dir($s, 'backup') if LabPVE::Storage::is_path_type($s);
        $r{'prune-backups'} = LabPVE::PropertyString::parse('prune-backups', $s->{'prune-backups'}) if defined $s->{'prune-backups'};
      }
      $r{$_} = LabPVE::PropertyString::print_out($LabPVE::VZDumpOptions::PROPERTY_STRING{$_}, $r{$_}) for grep { $_ eq 'prune-backups' && ref $r{$_} } keys %r;
      $r{mailto} = join ',', LabPVE::Formats::split_list($r{mailto}) if defined $r{mailto};
      $r{'exclude-path'} = join ',', @{ $r{'exclude-path'} } if $r{'exclude-path'};
      return \%r;
    },
  };
}

sub extractconfig_get ($) {
  return {
    params => { node => { format => 'pve-node' }, volume => {} }, returns => 'string',
    code => sub ($param) { require LabPVE::ArchiveConfig; LabPVE::ArchiveConfig::extract($param->{volume}) },
  };
}
1;
