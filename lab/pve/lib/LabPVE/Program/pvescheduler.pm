package LabPVE::Program::pvescheduler;
# pvescheduler: the daemon that walks the jobs at the start of every minute (pve-manager PVE/Service/pvescheduler.pm). `start` stays in the foreground with
# --debug 1. Under a fixed clock it plays NIGHTSHIFT_LAB_RUN_SECONDS seconds and ends.
use v5.36;
use LabPVE::Env;
use LabPVE::Scheduler;
use LabPVE::Unknown;

sub main (@argv) {
  my $command = shift @argv // '';
  LabPVE::Unknown::fail("'pvescheduler $command'") if $command ne 'start';
  my $debug = grep { /^--?debug$/ } @argv;
  if (LabPVE::Env::clock_fixed()) { play($ENV{NIGHTSHIFT_LAB_RUN_SECONDS} // 60); return 0 }
  if (!$debug) {
    my $pid = fork // die "unable to fork - $!\n";
    return 0 if $pid;
    require POSIX;
    POSIX::setsid();
  }
  my $first = 1;
  while (1) {
    round_in_child($first);
    $first = 0;
    my $now = time;
    sleep 60 - $now % 60;
  }
}

# A round must not end the daemon, whatever it meets.
sub round_in_child ($first) {
  my $pid = fork // return;
  if (!$pid) {
    eval { LabPVE::Scheduler::round($first); 1 } or print STDERR "scheduler round failed - $@";
    require POSIX;
    POSIX::_exit(0);
  }
  waitpid $pid, 0;
  return;
}

# The rounds of a stretch of the fixed clock: one at its start, one at every full minute in it.
sub play ($seconds) {
  my $end = LabPVE::Env::now() + $seconds;
  LabPVE::Scheduler::round(1);
  my $minute = LabPVE::Env::now() + 60 - LabPVE::Env::now() % 60;
  while ($minute < $end) {
    LabPVE::Env::set_now($minute);
    LabPVE::Scheduler::round(0);
    $minute += 60;
  }
  return;
}
1;
