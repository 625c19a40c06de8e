package LabPVE::NotifyMatch;
# What a matcher takes: severities, fields, hours of the week (proxmox-notify matcher.rs, proxmox-time daily_duration.rs, parse_helpers.rs, week_days.rs).
use v5.36;
use LabPVE::Env;
use LabPVE::RustRegex;

my %DAY;
for my $i (0 .. 6) { my $day = (qw(monday tuesday wednesday thursday friday saturday sunday))[$i]; $DAY{$day} = $DAY{ substr $day, 0, 3 } = $i }
my $LARGEST_U32 = 4_294_967_295;

sub calendar_fault ($at, $what) { die "could not parse schedule: unable to parse daily duration at '$at' - $what\n" }

# One number below $limit from the front of the text: (number, rest); dies with the parser's text and the place where it gave up.
sub clock_part ($text, $limit) {
  my ($digits, $rest) = $text =~ /^([0-9]+)(.*)\z/s or calendar_fault($text, 'Nom(Digit)');
  calendar_fault($text, 'Nom(MapRes)') if $digits > $LARGEST_U32;
  calendar_fault($rest, 'Context("time value too large")') if $digits >= $limit;
  return (0 + $digits, $rest);
}

# `H` or `H:M`: (minutes of the day, rest). A minute that cannot be read stands as rest.
sub clock ($text) {
  my ($hour, $rest) = clock_part($text, 24);
  my ($minute, $after) = $rest =~ /^:(.*)\z/s ? eval { clock_part($1, 60) } : ();
  return defined $minute ? ($hour * 60 + $minute, $after) : ($hour * 60, $rest);
}

# One day's name from the front of the text: (0..6, rest), or the word that is none.
sub day ($text) {
  my ($word, $rest) = $text =~ /^([A-Za-z]+)(.*)\z/s or return (undef, $text);
  my $number = $DAY{ lc $word };
  return defined $number ? ($number, $rest) : (undef, $word);
}

# `[wd[..wd][,..]] H[:M]-H[:M]` → { days => {0..6}, from, to } (minutes of the day). Dies with the parser's text.
sub parse_calendar ($text) {
  my (%days, $rest);
  $rest = $text;
  if ($rest =~ /^[A-Za-z]/) {
    while (1) {
      my ($from, $after) = day($rest);
      if (!defined $from) {
        calendar_fault($after, 'Context("weekday")') if !%days;
        $rest = ",$rest";
        last;
      }
      my ($to, $behind) = $after =~ /^\.\.(.*)\z/s ? day($1) : ();
      ($to, $rest) = defined $to ? ($to, $behind) : ($from, $after);
      for (my $d = $from; ; $d = ($d + 1) % 7) { $days{$d} = 1; last if $d == $to }
      last if $rest !~ s/^,//;
    }
    $rest =~ s/^[ \t]+//;
  }
  (my $from, $rest) = clock($rest);
  $rest =~ s/^[ \t]+//;
  $rest =~ s/^-// or calendar_fault($rest, 'Nom(Tag)');
  $rest =~ s/^[ \t]+//;
  my $end = $rest;
  (my $to, $rest) = clock($rest);
  calendar_fault($end, 'Context("end time before start time")') if $from > $to;
  calendar_fault($rest, 'Nom(Eof)') if length $rest;
  %days = map { ($_ => 1) } 0 .. 6 if !%days;
  return { days => \%days, from => $from, to => $to };
}

sub calendar_matches ($text, $epoch) {
  my $c = parse_calendar($text);
  my @t = localtime $epoch;
  my $minute = $t[2] * 60 + $t[1];
  return $c->{days}{ ($t[6] + 6) % 7 } && $minute >= $c->{from} && $minute < $c->{to} ? 1 : 0;
}

sub comma_list ($text) { return length $text ? map { s/^\s+|\s+$//gr } split /,/, $text, -1 : '' }

sub parse_severities ($text) {
  my @list = comma_list($text);
  for my $s (@list) { die "invalid severity $s\n" if $s !~ /^(?:info|notice|warning|error|unknown)\z/ }
  return @list;
}

# `exact:FIELD=a,b` or `regex:FIELD=RE`: (kind, field, value).
sub parse_field ($text) {
  my @m = $text =~ /^(exact|regex):([A-Za-z0-9_][A-Za-z0-9._-]*)=(.*)\z/ or die "could not apply filter: invalid match-field statement: $text\n";
  eval { LabPVE::RustRegex::check($m[2]); 1 } or die "could not apply filter: invalid regex: $@" if $m[0] eq 'regex';
  return @m;
}

my %NORMAL = (
  'match-severity' => sub ($text) { join ',', parse_severities($text) },
  'match-field' => sub ($text) { my ($kind, $field, $value) = parse_field($text); "$kind:$field=" . ($kind eq 'exact' ? join(',', comma_list($value)) : $value) },
  'match-calendar' => sub ($text) { parse_calendar($text); $text },
);

# A matcher's lines as Proxmox writes and shows them, in place. Dies with the text of the first line that cannot be read.
sub normalise ($matcher) {
  for my $key (qw(match-severity match-field match-calendar)) { $matcher->{$key} = [map { $NORMAL{$key}->($_) } @{ $matcher->{$key} }] if $matcher->{$key} }
  return;
}

# Dies with the text of the first line that cannot be read.
sub check ($matcher) { normalise({%$matcher}); return }

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
  return LabPVE::RustRegex::fits($value, $have) if $kind eq 'regex';
  return scalar grep { $_ eq $have } comma_list($value);
}
1;
