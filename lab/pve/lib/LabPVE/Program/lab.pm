package LabPVE::Program::lab;
# nightshift-lab-pve: what only the lab can ask of its emulated Proxmox, so that the real programs' surface stays true.
#   tick            one round of the scheduler now, then one round of the statistics daemon (ended tasks enter the index)
#   statd           the round of the statistics daemon alone
#   play FROM TO    every scheduler round between two clocks (epoch seconds); archives and logs get those times. Up to two minutes after the last round played
#                   the scheduler ran on; later, the host was off in between and the scheduler starts anew (what it missed is not caught up)
#   daemon          scheduler rounds every minute and statistics rounds every ten seconds until it is stopped
use v5.36;
use LabPVE::Env;
use LabPVE::Scheduler;
use LabPVE::Tasks;
use LabPVE::Unknown;

my $LAST_ROUND = '/var/lib/nightshift-lab/last-round';

# The next full minute whose round can do anything; rounds in which nothing is due are not played one by one.
sub next_minute ($at, $to) {
  my $minute = $at + 60 - $at % 60;
  my $due = LabPVE::Scheduler::next_due() // $to + 60;
  $due += (60 - $due % 60) % 60;
  return $due > $minute ? $due : $minute;
}

sub main (@argv) {
  my $command = shift @argv // '';
  if ($command eq 'tick') { my @ids = LabPVE::Scheduler::round(0); LabPVE::Tasks::update_active(); print "started $_\n" for @ids; return 0 }
  if ($command eq 'statd') { LabPVE::Tasks::update_active(); return 0 }
  if ($command eq 'play') {
    my ($from, $to) = @argv;
    die "usage: nightshift-lab-pve play FROM TO (epoch seconds)\n" if ($from // '') !~ /^\d+$/ || ($to // '') !~ /^\d+$/ || $to < $from;
    my $last = LabPVE::Env::read_file($LAST_ROUND);
    my $ran_on = defined $last && $from >= $last && $from - $last <= 120;
    # The rounds that are skipped below count as played.
    LabPVE::Env::write_file($LAST_ROUND, $to);
    my $at = $from;
    while ($at <= $to) {
      LabPVE::Env::set_now($at);
      my @ids = LabPVE::Scheduler::round($at == $from && !$ran_on);
      LabPVE::Tasks::update_active();
      print "$at started $_\n" for @ids;
      $at = next_minute($at, $to);
    }
    return 0;
  }
  if ($command eq 'daemon') {
    require LabPVE::Program::pvescheduler;
    my $minute;
    while (1) {
      my $now = int(time / 60);
      if (!defined $minute || $now != $minute) { LabPVE::Program::pvescheduler::round_in_child(!defined $minute); $minute = $now }
      LabPVE::Tasks::update_active();
      sleep 10 - time % 10;
    }
  }
  LabPVE::Unknown::fail("'nightshift-lab-pve $command'");
}
1;
