package LabPVE::Notify;
# Who is told about a backup run, and how it reads (pve-manager PVE/VZDump.pm send_notification, templates/default/vzdump-*): sends, and gives the lines of the log.
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;
use LabPVE::NotifyConfig;
use LabPVE::NotifyMatch;
use LabPVE::NotifySend;

my $MOST_LOG_BYTES = 1024 * 1024;

# $run: { opts, cmdline, failed, error, guests => [{vmid, name, ok, seconds, bytes, target, tmplog}], started, job_id }. Gives log lines [level, text].
sub send_run ($run) {
  my $recording = LabPVE::Env::recording();
  return if $recording && !$recording->{notifications};
  my $opts = $run->{opts};
  my $mode = $opts->{'notification-mode'} // 'auto';
  my @mailto = ref $opts->{mailto} ? @{ $opts->{mailto} } : LabPVE::Formats::split_list($opts->{mailto});
  if ($mode eq 'legacy-sendmail' || ($mode eq 'auto' && @mailto)) {
    return if !@mailto || (($opts->{mailnotification} // 'always') eq 'failure' && !$run->{failed});
    my $name = '<' . join(',', @mailto) . '>';
    my %is_user = map { ($_->{userid} => 1) } @{ LabPVE::Users::users() };
    my $cfg = { sections => { $name => { type => 'sendmail', mailto => [grep { !$is_user{$_} } @mailto], 'mailto-user' => [grep { $is_user{$_} } @mailto] } }, private => {} };
    return told($cfg, $name, event($run));
  }
  return send_event(sub { event($run) });
}

# Gives an event to every target that a matcher sends it to. $event makes it: only a configuration that can be read needs one.
sub send_event ($make) {
  my $cfg = eval { LabPVE::NotifyConfig::read_config() } // return ['err', $@];
  my @matchers = map { { %{ $cfg->{sections}{$_} }, name => $_ } } grep { $cfg->{sections}{$_}{type} eq 'matcher' } @{ $cfg->{order} };
  my @lines = map { ['err', $_] } LabPVE::NotifySend::left_out($cfg);
  # The API's error object is printed as Perl prints a reference, by the real program too.
  for my $m (@matchers) { eval { LabPVE::NotifyMatch::check($m); 1 } or return (@lines, ['err', '' . {}]) }
  my $event = $make->();
  my %targets;
  for my $m (@matchers) {
    if ($m->{disable}) { push @lines, ['info', "skipping disabled matcher '$m->{name}'"]; next }
    next if !LabPVE::NotifyMatch::takes($m, $event);
    $targets{$_} = 1 for @{ $m->{target} // [] };
  }
  for my $name (sort keys %targets) {
    my $s = LabPVE::NotifySend::endpoint($cfg, $name);
    if (!$s) { push @lines, ['err', "could not notify via target '$name', it does not exist"]; next }
    push @lines, $s->{disable} ? ['info', "skipping disabled target '$name'"] : told($cfg, $name, $event);
  }
  return @lines;
}

sub told ($cfg, $name, $event) {
  return ['info', "notified via target `$name`"] if eval { LabPVE::NotifySend::send_to($cfg, $name, $event); 1 };
  chomp(my $e = $@);
  return ['err', "could not notify via target `$name`: $e"];
}

# The node's full name, as /etc/hosts has it.
sub fqdn {
  my $node = LabPVE::Env::node();
  for my $line (split /\n/, LabPVE::Env::read_file('/etc/hosts') // '') {
    next if $line =~ /^\s*#/;
    my (undef, @names) = split ' ', $line;
    for my $n (@names) { return $n if $n =~ /^\Q$node\E\./ }
  }
  return $node;
}

sub duration ($s) {
  my @parts = map { my ($n, $unit) = @$_; $n ? "$n$unit" : () } [int($s / 3600), 'h'], [int($s / 60) % 60, 'm'], [$s % 60, 's'];
  return @parts ? "@parts" : '<0.1s';
}

sub human_bytes ($n) {
  for my $u (['TiB', 1024**4], ['GiB', 1024**3], ['MiB', 1024**2], ['KiB', 1024]) { return sprintf('%.3f', $n / $u->[1]) =~ s/\.?0+$//r . " $u->[0]" if $n >= $u->[1] }
  return "$n B";
}

sub table (@rows) {
  my @width;
  for my $r (@rows) { for my $i (0 .. $#$r) { $width[$i] = length $r->[$i] if length $r->[$i] > ($width[$i] // 0) } }
  return join '', map { my $r = $_; join('    ', map { sprintf "%-$width[$_]s", $r->[$_] } 0 .. $#$r) =~ s/\s+$//r . "\n" } @rows;
}

# Severity, fields, subject and bodies of a run.
sub event ($run) {
  my $error = $run->{error};
  my $status = $run->{failed} ? 'backup failed' : 'backup successful';
  if (defined $error && length $error) {
    chomp $error;
    if ($error =~ /\n/) { $status .= ': multiple problems' } else { $status .= ": $error"; undef $error }
  }
  my @guests = @{ $run->{guests} };
  my $size = 0;
  $size += $_->{ok} ? $_->{bytes} // 0 : 0 for @guests;
  my @rows = map { [$_->{vmid}, $_->{name} // '', $_->{ok} ? 'ok' : 'err', duration($_->{seconds}), $_->{ok} ? human_bytes($_->{bytes} // 0) : human_bytes(0), $_->{ok} ? $_->{target} // '' : ''] } @guests;
  my @head = qw(VMID Name Status Time Size Filename);
  my $logs = "$run->{cmdline}\n\n";
  for my $g (@guests) {
    my $log = defined $g->{tmplog} ? LabPVE::Env::read_file($g->{tmplog}) // '' : "$g->{error}";
    utf8::decode($log);
    $logs .= join('', map { "$g->{vmid}: $_\n" } split /\n/, $log) . "\n";
  }
  $logs = "Log output was too long to be sent. See Task History for details!\n" if length $logs > $MOST_LOG_BYTES;
  my $totals = 'Total running time: ' . duration(LabPVE::Env::now() - $run->{started}) . "\nTotal size: " . human_bytes($size) . "\n";
  my $text = (defined $error ? "$error\n" : "\n") . "Details\n=======\n" . table(\@head, @rows) . "\n$totals\nLogs\n====\n$logs";
  my $h = \&LabPVE::NotifySend::html_escape;
  my $html = '<html><body>' . (defined $error ? '<pre>' . $h->($error) . '</pre>' : '') . '<h1>Details</h1><table><tr>' . join('', map { "<th>$_</th>" } @head) . '</tr>'
    . join('', map { '<tr>' . join('', map { '<td>' . $h->($_) . '</td>' } @$_) . '</tr>' } @rows) . "</table><p>" . $totals =~ s/\n/<br>/gr . '</p><h1>Logs</h1><pre>' . $h->($logs) . '</pre></body></html>';
  return {
    severity => $run->{failed} ? 'error' : 'info', at => LabPVE::Env::now(), text => $text, html => $html,
    subject => 'vzdump backup status (' . fqdn() . "): $status",
    fields => { type => 'vzdump', hostname => LabPVE::Env::node(), defined $run->{job_id} ? ('job-id' => $run->{job_id}) : () },
  };
}
1;
