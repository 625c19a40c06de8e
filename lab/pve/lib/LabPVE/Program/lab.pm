package LabPVE::Program::lab;
# nightshift-lab-pve: what only the lab can ask of its emulated Proxmox, so that the real programs' surface stays true.
#   tick            one round of the scheduler now, then one round of the statistics daemon (ended tasks enter the index)
#   statd           the round of the statistics daemon alone
#   play FROM TO    every scheduler round between two clocks (epoch seconds); archives and logs get those times
#   daemon          scheduler and statistics rounds every minute until it is stopped
use v5.36;
use LabPVE::Env;
use LabPVE::Scheduler;
use LabPVE::Tasks;
use LabPVE::Unknown;

sub main (@argv) {
  my $command = shift @argv // '';
  if ($command eq 'tick') { my @ids = LabPVE::Scheduler::round(0); LabPVE::Tasks::update_active(); print "started $_\n" for @ids; return 0 }
  if ($command eq 'statd') { LabPVE::Tasks::update_active(); return 0 }
  if ($command eq 'play') {
    my ($from, $to) = @argv;
    die "usage: nightshift-lab-pve play FROM TO (epoch seconds)\n" if ($from // '') !~ /^\d+$/ || ($to // '') !~ /^\d+$/ || $to < $from;
    for (my $at = $from; $at <= $to; $at += 60 - $at % 60) {
      LabPVE::Env::set_now($at);
      my @ids = LabPVE::Scheduler::round($at == $from);
      LabPVE::Tasks::update_active();
      print "$at started $_\n" for @ids;
    }
    return 0;
  }
  if ($command eq 'daemon') {
    require LabPVE::Program::pvescheduler;
    my $first = 1;
    while (1) {
      LabPVE::Program::pvescheduler::round_in_child($first);
      LabPVE::Tasks::update_active();
      $first = 0;
      my $now = time;
      sleep 60 - $now % 60;
    }
  }
  LabPVE::Unknown::fail("'nightshift-lab-pve $command'");
}
1;
