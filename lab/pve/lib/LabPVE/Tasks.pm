package LabPVE::Tasks;
# Tasks: UPIDs, log files, the index and the list of active ones below /var/log/pve/tasks (pve-common PVE/UPID.pm, RESTEnvironment.pm; pve-manager API2/Tasks.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;

my $DIR = '/var/log/pve/tasks';
my $UPID_RE = qr/^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s\/]+):([^:\s\/]*):([^:\s\/]+):$/;
my $ROTATE_BYTES = 50_000;
my $RECENT_TASKS = 25;

# The parts of a UPID, or undef.
sub decode ($upid) {
  my @m = $upid =~ $UPID_RE or return undef;
  my %t = (node => $m[0], pid => hex $m[1], pstart => hex $m[2], starttime => hex $m[3], type => $m[4], id => $m[5], user => $m[6]);
  if ($t{user} =~ /^([^!]+)!(.+)$/) { @t{qw(user tokenid)} = ($1, $2) }
  return \%t;
}

sub log_file ($upid) {
  my $t = decode($upid) or return undef;
  return sprintf '%s/%X/%s', $DIR, $t->{starttime} % 16, $upid;
}

sub process_start ($pid) {
  open my $fh, '<', "/proc/$pid/stat" or return undef;
  my $line = <$fh>;
  # A process that ended and was not collected yet (Z) does not run (pve-common PVE/ProcFSTools.pm check_process_running).
  return $line =~ /^\d+ \(.*\) [^Z](?: \S+){18} (\d+)/s ? 0 + $1 : undef;
}

sub is_running ($t) {
  my $start = process_start($t->{pid});
  return defined $start && $start == $t->{pstart} ? 1 : 0;
}

# What the last line of a log says: OK, WARNINGS: n, the error's text, or `unexpected status`.
sub status ($upid) {
  my $raw = LabPVE::Env::read_file(log_file($upid));
  return 'unable to read tail (got 0 bytes)' if !defined $raw || $raw eq '';
  my ($last) = $raw =~ /([^\n]+)\n?\z/;
  return $1 if ($last // '') =~ /^TASK ERROR: (.*)$/;
  return $1 if ($last // '') =~ /^TASK (OK|WARNINGS: \d+)$/;
  return 'unexpected status';
}

sub status_class ($s) {
  return 'unknown' if !defined $s || $s eq '' || $s eq 'unexpected status';
  return $s eq 'OK' ? 'ok' : $s =~ /^WARNINGS: \d+$/ ? 'warning' : 'error';
}
sub is_error ($s) { return status_class($s) !~ /^(?:ok|warning)$/ }

# ---- active list and index ---------------------------------------------------------------------------------------

sub read_active {
  my @list;
  for my $line (split /\n/, LabPVE::Env::read_file("$DIR/active") // '') {
    my ($upid, $saved, $end, $status) = $line =~ /^(\S+)(?:\s([01]))?(?:\s([0-9A-Fa-f]{8})(?:\s(\S.*))?)?$/ or next;
    my $t = decode($upid) or next;
    push @list, { %$t, upid => $upid, saved => $saved // '0', (defined $end ? (endtime => hex $end, status => $status) : ()) };
  }
  return @list;
}

# Notices tasks that ended (writes them to the index) and the new one. Called when a task starts, and by the statistics daemon on a real host.
sub update_active ($new_upid = undef) {
  return LabPVE::Env::with_lock('task-list', sub {
    my @list = read_active();
    push @list, { %{ decode($new_upid) }, upid => $new_upid, saved => '0' } if defined $new_upid && !grep { $_->{upid} eq $new_upid } @list;
    for my $t (@list) {
      next if defined $t->{endtime} || (defined $new_upid && $t->{upid} eq $new_upid) || (is_running($t) && $t->{pid} != $$);
      $t->{endtime} = LabPVE::Env::now();
      $t->{status} = status($t->{upid});
    }
    my @done = sort { $a->{endtime} <=> $b->{endtime} } grep { defined $_->{endtime} && !$_->{saved} } @list;
    if (@done) {
      my $file = LabPVE::Env::path("$DIR/index");
      LabPVE::Env::make_dir($DIR);
      open my $fh, '>>', $file or die "unable to open '$DIR/index' - $!\n";
      for my $t (@done) {
        printf $fh "%s %08X %s\n", $t->{upid}, $t->{endtime}, $t->{status} // '';
        $t->{saved} = '1';
      }
      close $fh;
      rename $file, "$file.1" if -s $file > $ROTATE_BYTES;
    }
    my @running = grep { !defined $_->{endtime} } @list;
    my @ended = sort { $b->{starttime} <=> $a->{starttime} } grep { defined $_->{endtime} } @list;
    my $room = $RECENT_TASKS - @running;
    splice @ended, $room > 0 ? $room : 0;
    my $out = '';
    for my $t (sort { $b->{starttime} <=> $a->{starttime} } @running, @ended) {
      $out .= "$t->{upid} $t->{saved}" . (defined $t->{endtime} ? sprintf(' %08X %s', $t->{endtime}, $t->{status} // '') : '') . "\n";
    }
    LabPVE::Env::write_file("$DIR/active", $out);
    return;
  });
}

# Rows of /nodes/N/tasks, newest first. %$p: start limit userfilter typefilter statusfilter vmid errors since until source.
sub rows ($p) {
  my ($start, $limit) = ($p->{start} // 0, $p->{limit} // 50);
  my %class = map { (lc $_ => 1) } split /[,;\s]+/, $p->{statusfilter} // '';
  my ($count, @rows) = (0);
  my $take = sub ($t) {
    return if defined $p->{userfilter} && $t->{user} !~ /\Q$p->{userfilter}\E/i;
    return if defined $p->{typefilter} && $t->{type} ne $p->{typefilter};
    return if defined $p->{vmid} && $t->{id} ne $p->{vmid};
    return if defined $p->{since} && $t->{starttime} < $p->{since};
    return if defined $p->{until} && $t->{starttime} > $p->{until};
    my $status = $t->{status} // '';
    return if $p->{errors} && $status eq 'OK';
    return if %class && $status ne 'RUNNING' && !$class{ status_class($status) };
    return if $count++ < $start;
    return if $limit <= 0;
    $limit--;
    push @rows, $t;
  };
  my $source = $p->{source} // 'archive';
  if ($source ne 'archive') {
    for my $t (read_active()) {
      next if $t->{saved};
      $take->(defined $t->{endtime} ? $t : { %$t, status => 'RUNNING' });
    }
  }
  if ($source ne 'active') {
    for my $file ("$DIR/index", "$DIR/index.1") {
      for my $line (reverse split /\n/, LabPVE::Env::read_file($file) // '') {
        my ($upid, $end, $status) = $line =~ /^(\S+)(?:\s([0-9A-Za-z]{8})(?:\s(\S.*))?)?$/ or next;
        my $t = decode($upid) or next;
        $take->({ %$t, upid => $upid, (defined $end ? (endtime => hex $end) : ()), (defined $status ? (status => $status) : ()) });
      }
    }
  }
  return \@rows;
}

# ---- running one -------------------------------------------------------------------------------------------------

our $WARNINGS = 0;

# Runs $code as a task in the foreground, as command-line tools do: output to stdout and the log, the error's text to stderr. Gives the UPID.
# $opt: quiet (prints nothing); background (prints nothing, the worker writes its own log, the task stays in the active list until somebody looks). A background
# task is waited for only under a fixed clock, which has to move on with it, and not beyond detach().
sub run ($type, $id, $code, $opt = {}) {
  pipe my $read_out, my $write_out or die "pipe: $!\n";
  pipe my $read_ctl, my $write_ctl or die "pipe: $!\n";
  pipe my $read_go, my $write_go or die "pipe: $!\n";
  STDOUT->flush;
  my $started = LabPVE::Env::now();
  my $pid = fork // die "unable to fork worker - $!\n";
  if (!$pid) {
    close $_ for $read_out, $read_ctl, $write_go;
    worker($code, $write_out, $write_ctl, $read_go, $opt->{background});
  }
  close $_ for $write_out, $write_ctl, $read_go;
  # A caller that is gone (a broken connection) does not end the task.
  local $SIG{PIPE} = 'IGNORE';
  my $upid = sprintf 'UPID:%s:%08X:%08X:%08X:%s:%s:root@pam:', LabPVE::Env::node(), $pid, process_start($pid) // 0, $started, $type, $id // '';
  my $log = log_file($upid);
  LabPVE::Env::write_file($log, '');
  open my $log_fh, '>>', LabPVE::Env::path($log) or die "unable to open '$log' - $!\n";
  $log_fh->autoflush(1);
  update_active($upid);
  my $subject = subject_of($upid);
  LabPVE::Env::record_effect('task.start', $subject, { upid => $upid });
  print $write_go "$upid\n";
  close $write_go;
  if ($opt->{background}) {
    my $control = LabPVE::Env::clock_fixed() ? <$read_ctl> // '' : '';
    LabPVE::Env::set_now($1) if $control =~ /^CLOCK (\d+)$/;
    waitpid $pid, 0 if LabPVE::Env::clock_fixed() && $control !~ /^DETACHED$/;
    return $upid;
  }
  while (my $n = sysread $read_out, my $buf, 65536) {
    print $log_fh $buf;
    print STDOUT $buf if !$opt->{quiet};
    STDOUT->flush;
  }
  my $control = do { local $/; <$read_ctl> // '' };
  my ($verdict, $ended) = $control =~ /^(.*?)(?:\nCLOCK (\d+)\n)?\z/s;
  waitpid $pid, 0;
  LabPVE::Env::set_now($ended) if defined $ended && LabPVE::Env::clock_fixed();
  my $complain = sub ($text) { print STDERR "$text\n" if !$opt->{quiet} };
  if ($verdict eq 'TASK OK') { print $log_fh "TASK OK\n" }
  elsif ($verdict =~ /^TASK ERROR: (.*)$/s) { $complain->($1); print $log_fh "\n$verdict\n" }
  elsif ($verdict =~ /^TASK WARNINGS: (\d+)$/) { $complain->("Task finished with $1 warning(s)!"); print $log_fh "\n$verdict\n" }
  else { my $e = 'got unexpected control message:  '; $complain->($e); print $log_fh "TASK ERROR: $e\n" }
  close $log_fh;
  LabPVE::Env::record_effect('task.end', $subject, { upid => $upid, status => status($upid) });
  update_active();
  return $upid;
}

# The child: everything it prints goes to the log; its last word goes through the control pipe, in the background into the log itself.
my $control;
sub worker ($code, $out, $ctl, $go, $background) {
  require POSIX;
  my $upid = <$go> // POSIX::_exit(1);
  chomp $upid;
  if ($background) {
    open $out, '>>', LabPVE::Env::path(log_file($upid)) or POSIX::_exit(1);
    $SIG{PIPE} = 'IGNORE';
    $control = $ctl;
    $ctl->autoflush(1);
  }
  open STDIN, '<', '/dev/null';
  open STDOUT, '>&', $out or die "unable to redirect STDOUT - $!\n";
  open STDERR, '>&', $out or die "unable to redirect STDERR - $!\n";
  STDOUT->autoflush(1);
  STDERR->autoflush(1);
  close $out;
  $WARNINGS = 0;
  local @SIG{qw(INT TERM QUIT HUP)} = (sub { die "received interrupt\n" }) x 4;
  my $ok = eval { $code->($upid); 1 };
  my $err = "$@";
  chomp $err;
  $err =~ s/\n/ /g;
  my $verdict = $ok ? ($WARNINGS ? "TASK WARNINGS: $WARNINGS" : 'TASK OK') : "TASK ERROR: $err";
  if ($background) {
    print "$verdict\n" if $err ne 'LAB-EXIT-WITHOUT-WORD';
    LabPVE::Env::record_effect('task.end', subject_of($upid), { upid => $upid, status => status($upid) });
  }
  elsif ($err ne 'LAB-EXIT-WITHOUT-WORD') { print $ctl $verdict }
  print $ctl ($background ? '' : "\n") . 'CLOCK ' . LabPVE::Env::now() . "\n" if LabPVE::Env::clock_fixed();
  close $ctl;
  POSIX::_exit(0);
}

# From inside a task: the scheduler that started it stops waiting for its end (a command in the foreground waits on).
sub detach { print $control "DETACHED\n" if $control; return }

sub subject_of ($upid) { my $t = decode($upid); return $t->{type} . (length $t->{id} ? ":$t->{id}" : '') }

# A warning inside a task: counted, so that the task ends with `WARNINGS: n`.
sub log_warn ($text) {
  print STDERR "WARN: $text\n";
  $WARNINGS++;
  return;
}
1;
