package LabPVE::GuestAgent;
# The guest agent behind `qm agent` and `qm guest` (qemu-server PVE/CLI/qm.pm, PVE/QemuServer/Agent.pm). An agent that answers is a word in the power state
# (Guests.pm). Commands inside a guest run where the lab says they run: pve.json {"guest_exec":["program","{vmid}"]} gets the command's words as arguments.
use v5.36;
use LabPVE::Api::Qemu;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Guests;
use LabPVE::Unknown;

my %VMID = %LabPVE::Api::Qemu::VMID;
my @COMMANDS = qw(fsfreeze-freeze fsfreeze-status fsfreeze-thaw fstrim get-fsinfo get-host-name get-memory-block-info get-memory-blocks get-osinfo get-time get-timezone get-users get-vcpus info network-get-interfaces ping shutdown suspend-disk suspend-hybrid suspend-ram);

sub cmd_method {
  return {
    params => { %VMID, command => { enum => \@COMMANDS } }, args => ['vmid', 'command'],
    code => sub ($param) {
      my $result = command($param->{vmid}, $param->{command});
      require LabPVE::Json;
      print LabPVE::Json::pretty($result), "\n" if ref $result && (ref $result eq 'ARRAY' || %$result);
    },
  };
}

# The result of one agent command; `ping` has none.
sub command ($vmid, $name) {
  my $h = LabPVE::Guests::load('qemu', $vmid)->{main};
  LabPVE::Guests::check_agent($vmid, $h);
  return {} if $name eq 'ping' || $name eq 'fstrim';
  return { 'host-name' => $h->{name} // "VM $vmid" } if $name eq 'get-host-name';
  return LabPVE::Env::now() * 1_000_000_000 if $name eq 'get-time';
  return { version => '7.2.17', supported_commands => [map { { enabled => 1, name => "guest-$_", 'success-response' => 1 } } 'ping', 'exec', 'exec-status', @COMMANDS] } if $name eq 'info';
  LabPVE::Unknown::fail("guest agent command '$name'");
}

sub exec_method {
  return {
    params => { %VMID, synchronous => { type => 'boolean', optional => 1 }, timeout => { type => 'integer', minimum => 0, optional => 1 }, 'pass-stdin' => { type => 'boolean', optional => 1 }, 'extra-args' => { type => 'array', items => {}, optional => 1 } },
    args => ['vmid', 'extra-args'],
    code => sub ($param) {
      my $sync = $param->{synchronous} // 1;
      LabPVE::Error::raise_param(synchronous => "needs to be set for 'timeout'") if !$sync && defined $param->{timeout};
      my $vmid = $param->{vmid};
      LabPVE::Guests::check_agent($vmid, LabPVE::Guests::load('qemu', $vmid)->{main});
      my $through = LabPVE::Env::settings()->{guest_exec} // LabPVE::Unknown::fail("'qm guest exec' in guest $vmid (no guest_exec in the lab's settings)");
      my @via = map { s/\{vmid\}/$vmid/gr } @$through;
      require LabPVE::Json;
      print LabPVE::Json::pretty(run_in_guest([@via, @{ $param->{'extra-args'} }])), "\n";
    },
  };
}

# { exitcode | signal, exited, out-data?, err-data? } of a command that the lab runs inside the guest.
sub run_in_guest ($argv) {
  require File::Temp;
  my ($out, $err) = (File::Temp->new, File::Temp->new);
  my $pid = fork // die "unable to fork - $!\n";
  if (!$pid) {
    open STDOUT, '>&', $out;
    open STDERR, '>&', $err;
    exec { $argv->[0] } @$argv or exit 127;
  }
  waitpid $pid, 0;
  my $status = $?;
  my $slurp = sub ($fh) { seek $fh, 0, 0; local $/; <$fh> // '' };
  my %r = (exited => 1, $status & 127 ? (signal => $status & 127) : (exitcode => $status >> 8));
  my ($o, $e) = ($slurp->($out), $slurp->($err));
  $r{'out-data'} = $o if length $o;
  $r{'err-data'} = $e if length $e;
  return \%r;
}

sub exec_status_method {
  return {
    params => { %VMID, pid => { type => 'integer' } }, args => ['vmid', 'pid'],
    code => sub ($param) {
      LabPVE::Guests::check_agent($param->{vmid}, LabPVE::Guests::load('qemu', $param->{vmid})->{main});
      die "Agent error: Invalid parameter 'pid'\n";
    },
  };
}
1;
