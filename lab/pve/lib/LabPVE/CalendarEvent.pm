package LabPVE::CalendarEvent;
# Calendar events as the engine of Proxmox reads them (proxmox-rs proxmox-time/src/calendar_event.rs and friends; grammar, walk and traps: docs of the lab).
# parse($text) -> event; dies with the engine's text. next_event($event, $last) -> epoch seconds or undef.
use v5.36;

my %DAY = do { my $i = 0; map { my $n = $i++; (substr($_, 0, 3) => $n, $_ => $n) } qw(monday tuesday wednesday thursday friday saturday sunday) };
my $ZERO = [[0, 0, 1]];    # one component: from, to, step (to undef = no end; step 0 = only `from`)
my %KEYWORD = (
  minutely => { second => $ZERO },
  hourly => { minute => $ZERO, second => $ZERO },
  daily => {},
  weekly => { days => { 0 => 1 } },
  monthly => { day => [[1, 1, 1]] },
  quarterly => { month => [map { [$_, $_, 1] } 1, 4, 7, 10], day => [[1, 1, 1]] },
  semiannually => { month => [[1, 1, 1], [7, 7, 1]], day => [[1, 1, 1]] },
  yearly => { month => [[1, 1, 1]], day => [[1, 1, 1]] },
);
$KEYWORD{'semi-annually'} = $KEYWORD{semiannually};
$KEYWORD{annually} = $KEYWORD{yearly};
my %MIDNIGHT = (hour => $ZERO, minute => $ZERO, second => $ZERO);

sub refuse ($at, $why) { die "unable to parse calendar event at '$at' - $why\n" }

# One number below $max at the head of $s: (value, rest) or nothing.
sub number ($s, $max) { return $s =~ /^([0-9]+)(.*)$/s && length $1 < 10 && $1 < $max ? (0 + $1, $2) : () }

# N [..N] [/N]
sub component ($s, $max) {
  my ($from, $rest) = number($s, $max) or return;
  my $to;
  if ($rest =~ /^\.\.(.*)$/s) {
    if (my ($end, $after) = number($1, $max)) {
      return if $from > $end;
      ($to, $rest) = ($end, $after);
    }
  }
  if ($rest =~ m{^/(.*)$}s) {
    my ($step, $after) = number($1, $max) or return;
    return ([$from, $to, $step], $after);
  }
  return ([$from, $to // $from, 1], $rest);
}

# "*" [/N] or components: (list, rest); an empty list means every value.
sub list ($s, $max, $start) {
  if ($s =~ /^\*(.*)$/s) {
    my $rest = $1;
    if ($rest =~ m{^/(.*)$}s) {
      my ($step, $after) = number($1, $max) or return;
      return ([[$start, undef, $step]], $after) if $step;
    }
    return ([], $rest);
  }
  my ($first, $rest) = component($s, $max) or return;
  my @all = ($first);
  while ($rest =~ /^,(.*)$/s) {
    my ($more, $after) = component($1, $max) or last;
    push @all, $more;
    $rest = $after;
  }
  return (\@all, $rest);
}

sub date_spec ($s) {
  my ($a, $r1) = list($s, 2200, 0);
  if ($a && $r1 =~ s/^-//) {
    my ($m, $r2) = list($r1, 13, 1);
    if ($m && $r2 =~ s/^-//) {
      my ($d, $r3) = list($r2, 32, 1);
      return ({ year => $a, month => $m, day => $d }, $r3) if $d;
    }
  }
  my ($m, $r2) = list($s, 13, 1) or return;
  $r2 =~ s/^-// or return;
  my ($d, $r3) = list($r2, 32, 1) or return;
  return ({ month => $m, day => $d }, $r3);
}

sub time_spec ($s) {
  my ($hour, $rest) = list($s, 24, 0);
  if (!$hour || $rest !~ s/^://) { ($hour, $rest) = ([], $s) }
  my ($minute, $r2) = list($rest, 60, 0) or return;
  if ($r2 =~ /^:(.*)$/s) {
    my ($second, $r3) = list($1, 60, 0);
    return ({ hour => $hour, minute => $minute, second => $second }, $r3) if $second;
  }
  return ({ hour => $hour, minute => $minute, second => $ZERO }, $r2);
}

sub weekday ($s) {
  my ($word, $rest) = $s =~ /^([A-Za-z]+)(.*)$/s or return;
  return (undef, $word) if !exists $DAY{ lc $word };
  return ($DAY{ lc $word }, $rest);
}

sub weekday_range ($s) {
  my ($from, $rest) = weekday($s) or return;
  return (undef, $rest) if !defined $from;
  if ($rest =~ /^\.\.(.*)$/s) {
    my ($to, $after) = weekday($1);
    if (defined $to) {
      my @days = $from <= $to ? ($from .. $to) : ($from .. 6, 0 .. $to);
      return (\@days, $after);
    }
  }
  return ([$from], $rest);
}

# The event as a hash: utc, days {0=Monday}, year month day hour minute second lists. Text is trimmed (PVE/CalendarEvent.pm does), the engine does not.
sub parse ($text) {
  my $s = $text =~ s/^\s+|\s+$//gr;
  die "unable to parse calendar event - event is empty\n" if $s eq '';
  my %event = (utc => 0);
  if ($s =~ s/ *UTC$//) { $event{utc} = 1 }
  if ($KEYWORD{$s}) { return { %event, ($s eq 'minutely' || $s eq 'hourly' ? () : %MIDNIGHT), %{ $KEYWORD{$s} } } }
  my $seen = 0;
  if ($s =~ /^[A-Za-z]/) {
    my ($days, $rest) = weekday_range($s);
    refuse($rest, 'Context("weekday")') if !$days;
    $event{days}{$_} = 1 for @$days;
    while ($rest =~ /^,(.*)$/s) {
      my ($more, $after) = weekday_range($1);
      last if !$more;
      $event{days}{$_} = 1 for @$more;
      $rest = $after;
    }
    ($s = $rest) =~ s/^[ \t]+//;
    $seen = 1;
  }
  if (my ($date, $rest) = date_spec($s)) {
    %event = (%event, %$date);
    ($s = $rest) =~ s/^[ \t]+//;
    $seen = 1;
  }
  if (my ($time, $rest) = time_spec($s)) {
    %event = (%event, %$time);
    $s = $rest;
    $seen = 1;
  }
  else {
    %event = (%event, %MIDNIGHT);
  }
  refuse($s, 'Context("date or time specification")') if !$seen;
  refuse($s, 'Nom(Eof)') if $s ne '';
  return \%event;
}

sub in_list ($list, $v) {
  return 1 if !$list || !@$list;
  for my $c (@$list) {
    my ($from, $to, $step) = @$c;
    next if $v < $from || (defined $to && $v > $to);
    return 1 if $v == $from || ($step && ($v - $from) % $step == 0);
  }
  return 0;
}

# Smallest listed value above $v, or undef. A step without an end goes on beyond the field: the time is normalised then and searched again from there, so `*:0/45`
# never fires at :00 after its first hour.
sub next_in_list ($list, $v) {
  my $next;
  for my $c (@$list) {
    my ($from, $to, $step) = @$c;
    my $n = $v < $from ? $from : $step ? $from + int(($v - $from + $step) / $step) * $step : undef;
    next if !defined $n || (defined $to && $n > $to);
    $next = $n if !defined $next || $n < $next;
  }
  return $next;
}

# Broken-down time that normalises like mktime: [sec, min, hour, mday, month (1..12), year, weekday (0=Monday)].
sub normalise ($t, $utc) { return broken_down($utc ? utc_epoch($t) : local_epoch($t), $utc) }

sub utc_epoch ($t) {
  my ($y, $m) = ($t->[5], $t->[4]);
  while ($m > 12) { $m -= 12; $y++ }
  my $yy = $m <= 2 ? $y - 1 : $y;
  my $era = int($yy / 400);
  my $yoe = $yy - $era * 400;
  my $doy = int((153 * ($m + ($m > 2 ? -3 : 9)) + 2) / 5);
  my $days = $era * 146097 + $yoe * 365 + int($yoe / 4) - int($yoe / 100) + $doy - 719468 + $t->[3] - 1;
  return $days * 86400 + $t->[2] * 3600 + $t->[1] * 60 + $t->[0];
}

# How far the zone is ahead of UTC at that moment, seconds.
sub zone_offset ($epoch) {
  my @t = localtime $epoch;
  return utc_epoch([@t[0 .. 3], $t[4] + 1, $t[5] + 1900]) - $epoch;
}

# Loading POSIX is a third of a call's time, and its mktime is needed only within a day of a change of the zone's offset.
sub local_epoch ($t) {
  my $as_utc = utc_epoch($t);
  my $offset = zone_offset($as_utc - 86400);
  return $as_utc - $offset if $offset == zone_offset($as_utc + 86400);
  require POSIX;
  return POSIX::mktime($t->[0], $t->[1], $t->[2], $t->[3], $t->[4] - 1, $t->[5] - 1900, 0, 0, -1) // die "mktime failed\n";
}

sub broken_down ($epoch, $utc) {
  my @t = $utc ? gmtime $epoch : localtime $epoch;
  return ([$t[0], $t[1], $t[2], $t[3], $t[4] + 1, $t[5] + 1900, ($t[6] + 6) % 7], $epoch);
}

# The next instant strictly after $last (epoch seconds) in the host's zone, or undef. 1000 rounds at most, as the engine.
sub next_event ($e, $last) {
  my $utc = $e->{utc};
  my ($t, $epoch) = broken_down($last + 1, $utc);
  for (1 .. 1000) {
    if (!in_list($e->{year}, $t->[5])) {
      my $n = next_in_list($e->{year}, $t->[5]) // return undef;
      ($t, $epoch) = normalise([0, 0, 0, 1, 1, $n], $utc);
      next;
    }
    if (!in_list($e->{month}, $t->[4])) {
      my $n = next_in_list($e->{month}, $t->[4]);
      ($t, $epoch) = normalise(defined $n ? [0, 0, 0, 1, $n, $t->[5]] : [0, 0, 0, 1, 1, $t->[5] + 1], $utc);
      next;
    }
    if (!in_list($e->{day}, $t->[3])) {
      my $n = next_in_list($e->{day}, $t->[3]);
      ($t, $epoch) = normalise(defined $n ? [0, 0, 0, $n, $t->[4], $t->[5]] : [0, 0, 0, 1, $t->[4] + 1, $t->[5]], $utc);
      next;
    }
    if ($e->{days} && !$e->{days}{ $t->[6] }) {
      my ($ahead) = grep { $e->{days}{ ($t->[6] + $_) % 7 } } 1 .. 7;
      ($t, $epoch) = normalise([0, 0, 0, $t->[3] + $ahead, $t->[4], $t->[5]], $utc);
      next;
    }
    if (!in_list($e->{hour}, $t->[2])) {
      my $n = next_in_list($e->{hour}, $t->[2]);
      ($t, $epoch) = normalise(defined $n ? [0, 0, $n, @$t[3 .. 5]] : [0, 0, 0, $t->[3] + 1, $t->[4], $t->[5]], $utc);
      next;
    }
    if (!in_list($e->{minute}, $t->[1])) {
      my $n = next_in_list($e->{minute}, $t->[1]);
      ($t, $epoch) = normalise(defined $n ? [0, $n, @$t[2 .. 5]] : [0, 0, $t->[2] + 1, @$t[3 .. 5]], $utc);
      next;
    }
    if (!in_list($e->{second}, $t->[0])) {
      my $n = next_in_list($e->{second}, $t->[0]);
      ($t, $epoch) = normalise(defined $n ? [$n, @$t[1 .. 5]] : [0, $t->[1] + 1, @$t[2 .. 5]], $utc);
      next;
    }
    return $epoch;
  }
  return undef;
}
1;
