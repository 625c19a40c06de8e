package LabPVE::NotifyMatch;
# What a matcher takes: severities, fields, hours of the week (proxmox-notify matcher.rs, proxmox-time daily_duration.rs).
use v5.36;
use LabPVE::Env;

my @DAYS = qw(monday tuesday wednesday thursday friday saturday sunday);
my $DAY = join '|', map { my $d = $_; (substr($d, 0, 3) . '(?:' . substr($d, 3) . ')?') } @DAYS;

sub day_number ($word) { for my $i (0 .. 6) { return $i if lc substr($word, 0, 3) eq substr $DAYS[$i], 0, 3 } return }

# `[wd[..wd][,..]] H[:M]-H[:M]` → { days => {0..6}, from, to } (minutes of the day); dies with the parser's text and the place where it gave up.
sub parse_calendar ($text) {
  my %days;
  my $rest = $text;
  my $fail = sub { die "could not parse schedule: unable to parse daily duration at '$rest' - Nom(Digit)\n" };
  while ($rest =~ s/^($DAY)(?:\.\.($DAY))?//i) {
    my ($from, $to) = (day_number($1), day_number($2 // $1));
    for (my $d = $from; ; $d = ($d + 1) % 7) { $days{$d} = 1; last if $d == $to }
    last if $rest !~ s/^,//;
  }
  $rest =~ s/^\s+//;
  my $clock = sub {
    $rest =~ s/^(\d{1,2})(?::(\d{1,2}))?// or $fail->();
    my ($h, $m) = ($1, $2 // 0);
    $fail->() if $h > 23 || $m > 59;
    return $h * 60 + $m;
  };
  my $from = $clock->();
  $rest =~ s/^\s*-\s*// or $fail->();
  my $to = $clock->();
  $fail->() if $rest ne '' || $from > $to;
  %days = map { ($_ => 1) } 0 .. 6 if !%days;
  return { days => \%days, from => $from, to => $to };
}

sub calendar_matches ($text, $epoch) {
  my $c = parse_calendar($text);
  my @t = localtime $epoch;
  my $minute = $t[2] * 60 + $t[1];
  return $c->{days}{ ($t[6] + 6) % 7 } && $minute >= $c->{from} && $minute < $c->{to} ? 1 : 0;
}

sub parse_severities ($text) {
  my @list = map { s/^\s+|\s+$//gr } split /,/, $text, -1;
  for my $s (@list) { die "invalid severity $s\n" if $s !~ /^(?:info|notice|warning|error|unknown)$/ }
  return @list;
}

# `exact:FIELD=a,b` or `regex:FIELD=RE`: (kind, field, value).
sub parse_field ($text) {
  my @m = $text =~ /^(exact|regex):([A-Za-z0-9_][A-Za-z0-9._-]*)=(.*)$/s or die "could not apply filter: invalid match-field statement: $text\n";
  if ($m[0] eq 'regex') { eval { qr/$m[2]/; 1 } or die "could not apply filter: invalid regex: $m[2]\n" }
  return @m;
}

# Dies with the text of the first line that cannot be read.
sub check ($matcher) {
  parse_severities($_) for @{ $matcher->{'match-severity'} // [] };
  parse_field($_) for @{ $matcher->{'match-field'} // [] };
  parse_calendar($_) for @{ $matcher->{'match-calendar'} // [] };
  return;
}

# Whether a matcher takes an event {severity, fields, at}. Every line counts for itself; without any line the matcher always takes it, even inverted.
sub takes ($matcher, $event) {
  my @verdicts = (
    (map { my $t = $_; scalar grep { $_ eq $event->{severity} } parse_severities($t) } @{ $matcher->{'match-severity'} // [] }),
    (map { field_matches($_, $event->{fields}) } @{ $matcher->{'match-field'} // [] }),
    (map { calendar_matches($_, $event->{at}) } @{ $matcher->{'match-calendar'} // [] }),
  );
  return 1 if !@verdicts;
  my $yes = ($matcher->{mode} // 'all') eq 'any' ? (grep { $_ } @verdicts) > 0 : (grep { !$_ } @verdicts) == 0;
  return $matcher->{'invert-match'} ? !$yes : $yes;
}

sub field_matches ($text, $fields) {
  my ($kind, $field, $value) = parse_field($text);
  my $have = $fields->{$field} // return 0;
  return $have =~ /$value/ ? 1 : 0 if $kind eq 'regex';
  return scalar grep { s/^\s+|\s+$//gr eq $have } split /,/, $value;
}
1;
