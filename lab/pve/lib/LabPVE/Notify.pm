package LabPVE::Notify;
# Who is told about a backup run (pve-manager PVE/VZDump.pm send_notification): the lines of the log. The lab sends nothing from here.
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;

# Log lines ([level, text]) for a run with these effective options; $failed: the run had errors.
sub lines ($opts, $failed) {
  my $recording = LabPVE::Env::recording();
  return if $recording && !$recording->{notifications};
  my $mode = $opts->{'notification-mode'} // 'auto';
  my @mailto = ref $opts->{mailto} ? @{ $opts->{mailto} } : LabPVE::Formats::split_list($opts->{mailto});
  if ($mode eq 'legacy-sendmail' || ($mode eq 'auto' && @mailto)) {
    return if !@mailto || (($opts->{mailnotification} // 'always') eq 'failure' && !$failed);
    return ['info', 'notified via target `<' . join(',', @mailto) . '>`'];
  }
  return map { ['info', "notified via target `$_`"] } targets();
}

# Targets of the enabled matchers of /etc/pve/notifications.cfg; without the file the built-in matcher sends to `mail-to-root`.
sub targets {
  my $raw = LabPVE::Env::read_file('/etc/pve/notifications.cfg') // '';
  my (%sections, %off, %built_in);
  for my $section (split /\n\s*\n/, $raw) {
    my ($type, $name, $body) = $section =~ /^(\w+):\s*(\S+)\s*\n(.*)\z/s or next;
    my $disabled = $body =~ /^\s+disable\s+(?:1|true)\s*$/m;
    $built_in{$name} = 1;
    if ($type ne 'matcher') { $off{$name} = 1 if $disabled; next }
    next if $disabled;
    $sections{$1} = 1 while $body =~ /^\s+target\s+(\S+)\s*$/mg;
  }
  $sections{'mail-to-root'} = 1 if !$built_in{'default-matcher'};
  return sort grep { !$off{$_} } keys %sections;
}
1;
