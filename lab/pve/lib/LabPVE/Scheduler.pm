package LabPVE::Scheduler;
# One round of the job scheduler: job states kept in step with jobs.cfg, due jobs started (pve-manager PVE/Jobs.pm run_jobs).
use v5.36;
use LabPVE::CalendarEvent;
use LabPVE::Env;
use LabPVE::Jobs;
use LabPVE::Tasks;

sub synchronise ($cfg) {
  for my $id (grep { $cfg->{ids}{$_} } @{ $cfg->{order} }) {
    my $job = $cfg->{ids}{$id};
    if (LabPVE::Jobs::read_state($id, $job->{type})) { LabPVE::Jobs::note_change($id, $job, $job->{type}) }
    else { LabPVE::Jobs::create_state($id, $job, $job->{type}) }
  }
  for my $file (LabPVE::Env::list_dir('/var/lib/pve-manager/jobs')) {
    my ($id) = $file =~ /^(?:vzdump|realm-sync)-(.+)\.json$/ or next;
    LabPVE::Env::remove_file("/var/lib/pve-manager/jobs/$file") if !$cfg->{ids}{$id};
  }
  return;
}

# A started job whose task has ended becomes `stopped` with the task's status.
sub note_end ($id, $type) {
  my $state = LabPVE::Jobs::read_state($id, $type) or return;
  return if $state->{state} ne 'started' || !defined $state->{upid};
  my $task = LabPVE::Tasks::decode($state->{upid}) or die "unable to parse worker upid - $state->{upid}\n";
  return if LabPVE::Tasks::is_running($task);
  my %new = (state => 'stopped', msg => LabPVE::Tasks::status($state->{upid}), upid => $state->{upid}, config => $state->{config});
  $new{updated} = $state->{updated} if $state->{updated};
  LabPVE::Jobs::write_state($id, \%new, $type);
  return;
}

# Reference time of the next run: `updated`, else the start of the last task, else `time`.
sub last_run ($state) {
  return $state->{updated} if defined $state->{updated};
  my $task = defined $state->{upid} ? LabPVE::Tasks::decode($state->{upid}) : undef;
  return $task ? $task->{starttime} : $state->{time} // 0;
}

# $first: the first round after a start of the scheduler (missed runs are skipped unless `repeat-missed`). Gives the IDs of the jobs it started.
sub round ($first = 0) {
  my $cfg = LabPVE::Jobs::read_config();
  synchronise($cfg);
  my @started;
  for my $id (sort grep { $cfg->{ids}{$_} } @{ $cfg->{order} }) {
    my $job = $cfg->{ids}{$id};
    my $type = $job->{type};
    next if defined $job->{node} && $job->{node} ne LabPVE::Env::node();
    if (!eval { note_end($id, $type); 1 }) { print STDERR "could not update job state, skipping - $@"; next }
    if ($first && !$job->{'repeat-missed'}) {
      my $state = LabPVE::Jobs::read_state($id, $type);
      $state->{updated} = LabPVE::Env::now();
      LabPVE::Jobs::write_state($id, $state, $type);
    }
    next if !$job->{enabled} || $type ne 'vzdump';
    my $state = LabPVE::Jobs::read_state($id, $type);
    next if $state->{state} eq 'started';
    my $next = LabPVE::CalendarEvent::next_event(LabPVE::CalendarEvent::parse($job->{schedule}), last_run($state));
    next if !defined $next || LabPVE::Env::now() < $next;
    LabPVE::Jobs::write_state($id, { state => 'starting', time => 0 + LabPVE::Env::now(), config => $state->{config} });
    start_job($id, $job, $state->{config});
    push @started, $id;
  }
  return @started;
}

# The first time after now at which a round could do anything: now while a job runs, undef when no job will ever be due.
sub next_due {
  my $cfg = LabPVE::Jobs::read_config();
  my $due;
  for my $id (grep { $cfg->{ids}{$_} } @{ $cfg->{order} }) {
    my $job = $cfg->{ids}{$id};
    next if !$job->{enabled} || $job->{type} ne 'vzdump' || (defined $job->{node} && $job->{node} ne LabPVE::Env::node());
    my $state = LabPVE::Jobs::read_state($id);
    return LabPVE::Env::now() if $state->{state} eq 'started';
    my $next = LabPVE::CalendarEvent::next_event(LabPVE::CalendarEvent::parse($job->{schedule}), last_run($state)) // next;
    $due = $next if !defined $due || $next < $due;
  }
  return $due;
}

sub start_job ($id, $job, $config) {
  my %param = map { ($_ => $job->{$_}) } grep { $LabPVE::VZDumpOptions::SCHEMA{$_} } keys %$job;
  $param{quiet} = 1;
  require LabPVE::Api::VZDump;
  my $upid = eval { LabPVE::Api::VZDump::start(\%param, { background => 1, job_id => $id }) };
  my $err = $@;
  if (!defined $upid) {
    print STDERR $err;
    LabPVE::Jobs::write_state($id, { state => 'stopped', msg => "$err", time => 0 + LabPVE::Env::now(), config => $config });
  }
  elsif ($upid eq 'OK') { LabPVE::Jobs::write_state($id, { state => 'stopped', msg => 'OK', time => 0 + LabPVE::Env::now(), config => $config }) }
  else { LabPVE::Jobs::write_state($id, { state => 'started', upid => $upid, config => $config }) }
  return;
}
1;
