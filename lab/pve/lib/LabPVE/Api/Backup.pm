package LabPVE::Api::Backup;
# /cluster/backup: list, read, create, change and delete backup jobs (pve-manager PVE/API2/Backup.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Jobs;
use LabPVE::VZDumpOptions;

my %ID = (id => { maxLength => 50 });
my %JOB = (
  %LabPVE::VZDumpOptions::SCHEMA,
  starttime => { pattern => '\d{1,2}:\d{1,2}', optional => 1 },
  dow => { format => 'pve-day-of-week-list', optional => 1, requires => 'starttime' },
  schedule => { format => 'pve-calendar-event', maxLength => 128, optional => 1 },
  enabled => { type => 'boolean', optional => 1 },
  'repeat-missed' => { type => 'boolean', optional => 1 },
  comment => { maxLength => 512, optional => 1 },
);

sub next_run ($schedule) {
  require LabPVE::CalendarEvent;
  return eval { LabPVE::CalendarEvent::next_event(LabPVE::CalendarEvent::parse($schedule), LabPVE::Env::now()) };
}

# Errors below a lock of /etc/pve lose their kind: only the text arrives (`die "$@"`), so no usage line follows.
sub under_lock ($name, $code) {
  my @result;
  eval { @result = LabPVE::Env::with_lock($name, $code); 1 } or die ref $@ ? $@->text : $@;
  return wantarray ? @result : $result[0];
}

sub jobs_get ($) {
  return {
    params => {}, returns => 'array', link => 'id', shown => { id => {} },
    code => sub ($) {
      my @rows = map { LabPVE::Jobs::cron_row($_) } @{ LabPVE::Jobs::read_cron()->{jobs} };
      for my $row (LabPVE::Jobs::rows(LabPVE::Jobs::read_config())) {
        next if defined $row->{type} && $row->{type} ne 'vzdump';
        my $next = defined $row->{schedule} ? next_run($row->{schedule}) : undef;
        $row->{'next-run'} = $next if defined $next;
        push @rows, $row;
      }
      return \@rows;
    },
  };
}

sub schedule_params ($param, $required) {
  if (defined $param->{starttime}) {
    LabPVE::Error::raise_param(starttime => "'starttime' and 'schedule' cannot both be set") if defined $param->{schedule};
    $param->{schedule} = LabPVE::Jobs::schedule_of(delete $param->{starttime}, delete $param->{dow});
  }
  elsif ($required && !defined $param->{schedule}) { LabPVE::Error::raise_param(schedule => "neither 'starttime' nor 'schedule' were set") }
  return;
}

sub pool_exists ($pool) {
  require LabPVE::Users;
  LabPVE::Error::raise("Permission check failed (pool '$pool' does not exist)\n", code => 403) if !LabPVE::Users::pools()->{$pool};
  return;
}

sub numbers ($h) {
  for my $k (keys %$h) {
    my $type = ($LabPVE::Jobs::PROPERTIES{$k} // {})->{type} // '';
    $h->{$k} = 0 + $h->{$k} if ($type eq 'integer' || $type eq 'boolean') && !ref $h->{$k};
  }
  return $h;
}

sub one_line ($param) {
  for my $v (map { ref $_ eq 'ARRAY' ? @$_ : $_ } grep { defined } values %$param) { die "property contains a line feed\n" if !ref $v && $v =~ /[\n\r]/ }
  return;
}

sub uuid {
  open my $fh, '<', '/proc/sys/kernel/random/uuid' or die "unable to generate a UUID: $!\n";
  chomp(my $u = <$fh>);
  return $u;
}

sub jobs_create ($) {
  return {
    params => { %JOB, id => { format => 'pve-configid', optional => 1, maxLength => 50 } },
    returns => 'null',
    code => sub ($param) {
      pool_exists($param->{pool}) if defined $param->{pool};
      schedule_params($param, 1);
      $param->{enabled} //= 1;
      my $id = delete $param->{id} // uuid();
      delete $param->{dow};
      under_lock('file-jobs_cfg', sub {
        my $cfg = LabPVE::Jobs::read_config();
        die "Job '$id' already exists\n" if $cfg->{ids}{$id};
        LabPVE::VZDumpOptions::check($param, 1);
        one_line($param);
        delete $param->{mailto} if defined $param->{mailto} && $param->{mailto} eq '';
        $cfg->{ids}{$id} = { type => 'vzdump', %{ numbers($param) } };
        push @{ $cfg->{order} }, $id if !grep { $_ eq $id } @{ $cfg->{order} };
        LabPVE::SectionConfig::render($LabPVE::Jobs::DEF, $cfg);
        LabPVE::Jobs::create_state($id, $param);
        LabPVE::Jobs::write_config($cfg);
      });
      LabPVE::Env::record_effect('job.create', $id, { set => {%$param} });
      return;
    },
  };
}

sub no_such_job ($id) { LabPVE::Error::raise_param(id => "No such job '$id'") }

sub find_job ($id) {
  for my $job (@{ LabPVE::Jobs::read_cron()->{jobs} }) { return LabPVE::Jobs::cron_row($job) if $job->{id} eq $id }
  my $cfg = LabPVE::Jobs::read_config();
  my $job = $cfg->{ids}{$id};
  return { %$job, id => $id } if $job && $job->{type} eq 'vzdump';
  return undef;
}

sub job_get ($) {
  return {
    params => {%ID}, returns => 'object',
    code => sub ($param) { return find_job($param->{id}) // no_such_job($param->{id}) },
  };
}

sub job_delete ($) {
  return {
    params => {%ID}, returns => 'null',
    code => sub ($param) {
      my $id = $param->{id};
      my $found = under_lock('file-vzdump_cron', sub {
        my $cron = LabPVE::Jobs::read_cron();
        my @left = grep { $_->{id} ne $id } @{ $cron->{jobs} };
        return 0 if @left == @{ $cron->{jobs} };
        $cron->{jobs} = \@left;
        LabPVE::Jobs::write_cron($cron);
        return 1;
      });
      if ($found) { LabPVE::Env::record_effect('job.delete', $id); return }
      under_lock('file-jobs_cfg', sub {
        my $cfg = LabPVE::Jobs::read_config();
        no_such_job($id) if !$cfg->{ids}{$id} || $cfg->{ids}{$id}{type} ne 'vzdump';
        delete $cfg->{ids}{$id};
        LabPVE::Jobs::write_config($cfg);
        LabPVE::Env::remove_file(LabPVE::Jobs::state_file($id));
      });
      LabPVE::Env::record_effect('job.delete', $id);
      return;
    },
  };
}

my %DELETABLE = map { ($_ => 1) } keys %LabPVE::VZDumpOptions::SCHEMA, 'comment', 'repeat-missed';

sub job_set ($) {
  return {
    params => { %JOB, %ID, delete => { format => 'pve-configid-list', optional => 1 } },
    returns => 'null',
    code => sub ($param) {
      my $id = delete $param->{id};
      my $delete = delete $param->{delete};
      die "no options specified\n" if !%$param && !defined $delete;
      pool_exists($param->{pool}) if defined $param->{pool};
      schedule_params($param, 0);
      delete $param->{dow};
      under_lock('file-vzdump_cron', sub { under_lock('file-jobs_cfg', sub { change_job($id, $param, $delete) }) });
      LabPVE::Env::record_effect('job.set', $id, { set => {%$param}, delete => $delete // '' });
      return;
    },
  };
}

sub change_job ($id, $param, $delete) {
  my $cfg = LabPVE::Jobs::read_config();
  my $cron = LabPVE::Jobs::read_cron();
  my ($old) = grep { $_->{id} eq $id } @{ $cron->{jobs} };
  my $job = $cfg->{ids}{$id};
  if ($old) {
    # The first change of a legacy job moves it to jobs.cfg under its old ID.
    $cron->{jobs} = [grep { $_->{id} ne $id } @{ $cron->{jobs} }];
    $job = LabPVE::Jobs::cron_row($old);
    $job->{enabled} = $job->{enabled} ? 1 : 0;
    delete $job->{id};
    $job->{type} = 'vzdump';
    $cfg->{ids}{$id} = $job;
    push @{ $cfg->{order} }, $id;
  }
  die "no such vzdump job\n" if !$job || $job->{type} ne 'vzdump';
  for my $k (LabPVE::Formats::split_list($delete)) {
    LabPVE::Error::raise_param(delete => "unknown option '$k'") if !$DELETABLE{$k};
    delete $job->{$k};
  }
  one_line($param);
  numbers($param);
  LabPVE::VZDumpOptions::check({%$param}, 0);
  LabPVE::VZDumpOptions::decode_property_strings($param);
  $job->{$_} = $param->{$_} for keys %$param;
  $job->{all} = 1 if defined $job->{exclude} && !defined $job->{pool};
  if (defined $param->{vmid}) { delete @$job{qw(all exclude pool)} }
  elsif ($param->{all}) { delete @$job{qw(vmid pool)} }
  elsif ($job->{pool}) { delete @$job{qw(vmid all exclude)} }
  elsif (defined $param->{exclude}) { delete $job->{vmid} }
  delete $job->{mailto} if defined $job->{mailto} && $job->{mailto} eq '';
  my %checked = %$job;
  LabPVE::VZDumpOptions::check(\%checked, 1);
  LabPVE::SectionConfig::render($LabPVE::Jobs::DEF, $cfg);
  LabPVE::Jobs::write_cron($cron) if $old;
  LabPVE::Jobs::write_config($cfg);
  LabPVE::Jobs::note_change($id, $job);
  return;
}
1;
