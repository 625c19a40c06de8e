package LabPVE::Prune;
# Which backups a retention keeps, and removing the rest (pve-storage PVE/Storage.pm prune_mark_backup_group, Plugin.pm prune_backups).
use v5.36;
use LabPVE::Env;
use LabPVE::Storage;
use LabPVE::Volumes;

sub iso_week ($t) {
  my ($wday, $yday, $year) = (($t->[6] + 6) % 7 + 1, $t->[7] + 1, $t->[5] + 1900);
  my $week = int(($yday - $wday + 10) / 7);
  my $weeks_in = sub ($y) {
    my $p = sub ($n) { ($n + int($n / 4) - int($n / 100) + int($n / 400)) % 7 };
    $p->($y) == 4 || $p->($y - 1) == 3 ? 53 : 52;
  };
  if ($week < 1) { $year--; $week = $weeks_in->($year) }
  elsif ($week > $weeks_in->($year)) { $year++; $week = 1 }
  return "$week/$year";
}

my @RULES = (
  [last => sub ($c) { $c }],
  [hourly => sub ($c) { my @t = localtime $c; "$t[2]/$t[3]/$t[4]/$t[5]" }],
  [daily => sub ($c) { my @t = localtime $c; "$t[3]/$t[4]/$t[5]" }],
  [weekly => sub ($c) { iso_week([localtime $c]) }],
  [monthly => sub ($c) { my @t = localtime $c; "$t[4]/$t[5]" }],
  [yearly => sub ($c) { my @t = localtime $c; $t[5] }],
);

# Sets `mark` (keep, remove; protected ones keep theirs) on the backups of one guest: [{ctime, mark?}].
sub mark_group ($backups, $keep) {
  my @open = grep { ($_->{mark} // '') ne 'protected' } @$backups;
  if ($keep->{'keep-all'} || !grep { /^keep-(?!all)/ && $keep->{$_} } keys %$keep) {
    $_->{mark} = 'keep' for @open;
    return;
  }
  @open = sort { $b->{ctime} <=> $a->{ctime} } @open;
  for my $rule (@RULES) {
    my ($name, $period) = @$rule;
    my $count = $keep->{"keep-$name"} or next;
    my %covered = map { ($period->($_->{ctime}) => 1) } grep { ($_->{mark} // '') eq 'keep' } @$backups;
    my %taken;
    for my $b (@open) {
      next if $b->{mark};
      my $id = $period->($b->{ctime});
      next if $covered{$id};
      if (!$taken{$id}) {
        last if keys %taken >= $count;
        $taken{$id} = 1;
        $b->{mark} = 'keep';
      }
      else { $b->{mark} = 'remove' }
    }
  }
  $_->{mark} //= 'remove' for @open;
  return;
}

# Rows {ctime, mark, type, vmid, volid} in volume order. With $remove the rest is deleted and $log->(level, text) told; dies when one could not be.
sub storage_backups ($cfg, $sid, $keep, $vmid = undef, $type = undef, $remove = 0, $log = sub { }) {
  my $s = LabPVE::Storage::entry($cfg, $sid);
  die "storage '$sid' does not support backups\n" if !{ LabPVE::Storage::content_types($s) }->{backup};
  if (!defined $keep) {
    die "no prune-backups options configured for storage '$sid'\n" if !defined $s->{'prune-backups'};
    require LabPVE::PropertyString;
    $keep = LabPVE::PropertyString::parse('prune-backups', $s->{'prune-backups'});
  }
  my (%groups, @rows);
  for my $v (@{ LabPVE::Volumes::listing($cfg, $sid, $vmid, 'backup') }) {
    my $info = eval { LabPVE::Volumes::archive_info($v->{volid} =~ s/^[^:]+://r) } // {};
    my $t = $info->{type} // 'unknown';
    next if defined $type && $t ne $type;
    my %row = (ctime => $v->{ctime}, type => $t, volid => $v->{volid});
    $row{vmid} = $v->{vmid} if defined $v->{vmid};
    if ($info->{standard}) {
      die "internal error - got name mismatch\n" if defined $vmid && $info->{vmid} != $vmid;
      $row{mark} = 'protected' if $v->{protected};
      push @{ $groups{"$t/$info->{vmid}"} }, \%row;
    }
    else {
      $row{mark} = 'renamed';
      $row{vmid} = "$row{vmid}" if defined $row{vmid};
    }
    push @rows, \%row;
  }
  mark_group($_, $keep) for values %groups;
  return \@rows if !$remove;
  my $failed = 0;
  for my $row (@rows) {
    next if $row->{mark} ne 'remove';
    $log->('info', "removing backup '$row->{volid}'");
    next if eval { LabPVE::Volumes::remove_archive(LabPVE::Storage::path_of($cfg, $row->{volid}), $row->{volid}); 1 };
    chomp(my $e = $@);
    $log->('err', "error when removing backup '$row->{volid}' - $e");
    $failed = 1;
  }
  die "error pruning backups - check log\n" if $failed;
  return \@rows;
}
1;
