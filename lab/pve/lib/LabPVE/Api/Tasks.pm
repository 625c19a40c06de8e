package LabPVE::Api::Tasks;
# /nodes/N/tasks and /cluster/tasks (pve-manager PVE/API2/Tasks.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Tasks;

my %NODE = (node => { format => 'pve-node' });
my %UPID = (%NODE, upid => {});
my %COUNT = (type => 'integer', minimum => 0, optional => 1);

sub list_get ($) {
  return {
    params => {
      %NODE, start => {%COUNT}, limit => {%COUNT},
      userfilter => { optional => 1 }, typefilter => { optional => 1 },
      vmid => { type => 'integer', format => 'pve-vmid', minimum => 100, maximum => 999_999_999, optional => 1 },
      errors => { type => 'boolean', optional => 1 },
      source => { enum => ['archive', 'active', 'all'], optional => 1 },
      since => { type => 'integer', optional => 1 }, until => { type => 'integer', optional => 1 },
      statusfilter => { format => 'pve-task-status-type-list', optional => 1 },
    },
    returns => 'array', link => 'upid',
    code => sub ($param) { LabPVE::Tasks::rows($param) },
  };
}

sub cluster_get ($) {
  return {
    params => {}, returns => 'array', link => 'upid',
    code => sub ($) {
      my @rows = map { my %t = %$_; delete $t{saved} if !defined $t{endtime}; \%t } LabPVE::Tasks::read_active();
      return \@rows;
    },
  };
}

sub parsed ($upid) { return LabPVE::Tasks::decode($upid) // LabPVE::Error::raise_param(upid => 'unable to parse worker upid') }

sub one_get ($) {
  return { params => {%UPID}, returns => 'array', link => 'name', code => sub ($) { [{ name => 'log' }, { name => 'status' }] } };
}

sub one_delete ($) {
  return {
    params => {%UPID}, returns => 'null',
    code => sub ($param) {
      my $t = parsed($param->{upid});
      LabPVE::Error::raise_param(upid => 'no such task') if !LabPVE::Env::exists_file(LabPVE::Tasks::log_file($param->{upid}));
      kill 'TERM', $t->{pid} if LabPVE::Tasks::is_running($t);
      return;
    },
  };
}

sub log_get ($) {
  return {
    params => { %UPID, start => {%COUNT}, limit => {%COUNT}, download => { type => 'boolean', optional => 1 } }, returns => 'array',
    code => sub ($param) {
      parsed($param->{upid});
      my $raw = LabPVE::Env::read_file(LabPVE::Tasks::log_file($param->{upid}));
      return [{ n => 1, t => 'unable to open file - No such file or directory' }] if !defined $raw;
      utf8::decode($raw);
      my @lines = split /\n/, $raw;
      return [{ n => 1, t => 'no content' }] if !@lines;
      my ($start, $limit) = ($param->{start} // 0, $param->{limit} // 50);
      my $last = $limit == 0 ? $#lines : $start + $limit - 1;
      $last = $#lines if $last > $#lines;
      return [map { { n => $_ + 1, t => $lines[$_] } } $start .. $last];
    },
  };
}

sub status_get ($) {
  return {
    params => {%UPID}, returns => 'object',
    code => sub ($param) {
      my $t = parsed($param->{upid});
      LabPVE::Error::raise_param(upid => 'no such task') if !LabPVE::Env::exists_file(LabPVE::Tasks::log_file($param->{upid}));
      $t->{upid} = $param->{upid};
      $t->{status} = LabPVE::Tasks::is_running($t) ? 'running' : 'stopped';
      $t->{exitstatus} = LabPVE::Tasks::status($param->{upid}) if $t->{status} eq 'stopped';
      return $t;
    },
  };
}
1;
