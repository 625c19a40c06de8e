package LabPVE::GuestPower;
# Starting and stopping guests as tasks. The power state is a file of the lab (Guests.pm); a machine behind it is started by the lab, not here.
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;
use LabPVE::Tasks;

my %TASK = (qemu => { start => 'qmstart', stop => 'qmstop', shutdown => 'qmshutdown' }, lxc => { start => 'vzstart', stop => 'vzstop', shutdown => 'vzshutdown' });
my %WHAT = (qemu => 'VM', lxc => 'CT');

# Runs the task in the foreground and gives its UPID.
sub task ($type, $action, $param) {
  my $vmid = $param->{vmid};
  my $c = LabPVE::Guests::load($type, $vmid);
  my $what = $WHAT{$type};
  my $running = LabPVE::Guests::is_running($vmid);
  if ($type eq 'lxc') {
    die "CT $vmid already running\n" if $action eq 'start' && $running;
    die "CT $vmid not running\n" if $action ne 'start' && !$running;
    die "you can't start a CT if it's a template\n" if $action eq 'start' && $c->{main}{template};
  }
  # Said before the task begins, so it is on stderr and not in the log.
  print STDERR "VM $vmid not running\n" if $action eq 'shutdown' && !$running;
  return LabPVE::Tasks::run($TASK{$type}{$action}, $vmid, sub ($) {
    my $now = LabPVE::Guests::load($type, $vmid);
    LabPVE::Guests::check_lock($type, $now) if !$param->{skiplock};
    if ($action eq 'start') {
      die "you can't start a vm if it's a template\n" if $now->{main}{template};
      die "VM $vmid already running\n" if $running;
      start($type, $vmid);
      return;
    }
    stop($vmid) if $running;
  });
}

# A start applies what was pending.
sub start ($type, $vmid) {
  my $c = LabPVE::Guests::load($type, $vmid);
  if (%{ $c->{pending} }) {
    $c->{main} = LabPVE::Guests::applied($c);
    $c->{pending} = {};
    LabPVE::Guests::save($type, $vmid, $c);
  }
  my $old = LabPVE::Guests::power($vmid);
  LabPVE::Guests::set_state($vmid, { (defined $old->{agent} ? (agent => $old->{agent}) : ()), status => 'running', since => LabPVE::Env::now(), pid => 1000 + $vmid });
  LabPVE::Env::record_effect('guest.start', $vmid);
  return;
}

sub stop ($vmid) {
  my $old = LabPVE::Guests::power($vmid);
  LabPVE::Guests::set_state($vmid, { (defined $old->{agent} ? (agent => $old->{agent}) : ()), status => 'stopped' });
  LabPVE::Env::record_effect('guest.stop', $vmid);
  return;
}
1;
