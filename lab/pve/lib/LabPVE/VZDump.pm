package LabPVE::VZDump;
# One vzdump run: options, storage, lock, guests one after the other, life cycle of an archive (.dat, final name, notes, protection, prune, log), verdict.
# Source of order and texts: pve-manager PVE/VZDump.pm.
use v5.36;
use LabPVE::Env;
use LabPVE::Guests;
use LabPVE::Notify;
use LabPVE::Prune;
use LabPVE::Storage;
use LabPVE::VZDumpOptions;
use LabPVE::Volumes;

my $LOCK_FILE = '/var/run/vzdump.lock';
my $PID_FILE = '/var/run/vzdump.pid';
my %WORD = (info => 'INFO', warn => 'WARN', err => 'ERROR');

# A line for the task log and, when given, for the guest's log.
sub say_line ($level, $text, $fh = undef) {
  chomp $text;
  for my $line (split /\n/, $text) {
    print "$WORD{$level}: $line\n";
    print $fh LabPVE::Env::local_text(LabPVE::Env::now()) . " $WORD{$level}: $line\n" if $fh;
  }
  return;
}

# Options of the run: job or command line over node defaults, then the storage's. Dies with every problem at once.
sub new ($class, $cmdline, $param, $skiplist, $job_id = undef) {
  my %o = %$param;
  my $defaults = LabPVE::VZDumpOptions::node_defaults();
  for my $k (keys %$defaults) {
    next if $k eq 'exclude-path' || $k eq 'prune-backups' || $k eq 'performance';
    if ($k eq 'dumpdir' || $k eq 'storage') { $o{$k} = $defaults->{$k} if !defined $param->{dumpdir} && !defined $param->{storage} }
    else { $o{$k} //= $defaults->{$k} }
  }
  $o{dumpdir} =~ s{/+$}{} if defined $o{dumpdir};
  die "cannot use options 'storage' and 'dumpdir' at the same time\n" if defined $o{storage} && defined $o{dumpdir};
  $o{storage} //= 'local' if !defined $o{dumpdir};
  my @errors;
  if (defined $o{storage}) {
    my $cfg = LabPVE::Storage::config();
    eval { LabPVE::Storage::activate($cfg, $o{storage}); 1 } or push @errors, "could not activate storage '$o{storage}': $@";
    eval {
      my $s = LabPVE::Storage::entry($cfg, $o{storage});
      die "can't use storage '$o{storage}' for backups - wrong content type\n" if !{ LabPVE::Storage::content_types($s) }->{backup};
      $o{dumpdir} = LabPVE::Storage::content_dir($s, 'backup');
      $o{storage_config} = $s;
      if (!defined $o{'prune-backups'} && defined $s->{'prune-backups'}) { $o{'prune-backups'} = LabPVE::PropertyString::parse('prune-backups', $s->{'prune-backups'}) }
      1;
    } or push @errors, "could not get storage information for '$o{storage}': $@";
  }
  elsif (!-d LabPVE::Env::path($o{dumpdir})) { push @errors, "dumpdir '$o{dumpdir}' does not exist" }
  $o{'prune-backups'} //= $defaults->{'prune-backups'};
  $o{remove} = 0 if $o{'prune-backups'}{'keep-all'};
  push @errors, "tmpdir '$o{tmpdir}' does not exist" if defined $o{tmpdir} && !-d LabPVE::Env::path($o{tmpdir});
  chomp @errors;
  my $self = bless { opts => \%o, cmdline => $cmdline, skiplist => $skiplist, job_id => $job_id, guests => [], started => LabPVE::Env::now() }, $class;
  if (@errors) {
    $self->notify(join "\n", @errors);
    die join("\n", @errors) . "\n";
  }
  return $self;
}

# All runs of a node wait for each other. Gives the open lock; dies without a task line when it cannot be had.
sub lock_run ($self, $upid) {
  my $wait = $self->{opts}{lockwait};
  LabPVE::Env::make_dir('/var/run');
  open my $fh, '>>', LabPVE::Env::path($LOCK_FILE) or die "can't open lock on file '$LOCK_FILE' - $!\n";
  my $give_up = sub ($text) {
    say_line('err', $text);
    $self->notify($text);
    die "LAB-EXIT-WITHOUT-WORD\n";
  };
  my $r = LabPVE::Env::recording() // {};
  my $held = defined $r->{lock_held_until} && LabPVE::Env::now() >= $r->{lock_held_from} && LabPVE::Env::now() < $r->{lock_held_until};
  if ($held || !flock $fh, 2 | 4) {
    $give_up->("can't acquire lock '$LOCK_FILE' (wait = 0)") if !$wait;
    say_line('info', 'trying to get global lock - waiting...');
    if ($held) { LabPVE::Env::set_now($r->{lock_held_until}) }
    else {
      LabPVE::Tasks::detach();
      my $got = eval {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm $wait * 60;
        flock $fh, 2 or die "$!\n";
        alarm 0;
        1;
      };
      if (!$got) { chomp(my $e = $@); $give_up->("can't acquire lock '$LOCK_FILE' - $e") }
    }
    say_line('info', 'got global lock');
  }
  LabPVE::Env::write_file($PID_FILE, $upid);
  return $fh;
}

# The guests one after the other; dies with `job errors` when one failed.
sub run ($self, $vmids) {
  my $opts = $self->{opts};
  say_line('info', "starting new backup job: $self->{cmdline}");
  say_line('info', 'skip external VMs: ' . join ', ', sort { $a <=> $b } @{ $self->{skiplist} }) if @{ $self->{skiplist} };
  my $all = LabPVE::Guests::all();
  my $failed = 0;
  local @SIG{qw(INT TERM QUIT HUP)} = (sub { die "interrupted by signal\n" }) x 4;
  my $ok = eval {
    for my $vmid (sort { $a <=> $b } @$vmids) { $failed++ if !$self->backup_guest($vmid, $all->{$vmid}) }
    1;
  };
  my $err = $@;
  if (!$ok) { say_line('err', "Backup job failed - $err") }
  else { say_line('info', $failed ? 'Backup job finished with errors' : 'Backup job finished successfully') }
  $self->notify($ok ? undef : $err);
  die $err if !$ok;
  die "job errors\n" if $failed;
  LabPVE::Env::remove_file($PID_FILE);
  return;
}

# Tells whoever is to be told: $error is what ended the run before or between its guests.
sub notify ($self, $error) {
  my $failed = defined $error || grep { !$_->{ok} } @{ $self->{guests} };
  say_line(@$_) for LabPVE::Notify::send_run({ %$self, failed => $failed, error => $error });
  return;
}

sub stamp ($epoch) {
  my @t = localtime $epoch;
  return sprintf '%04d_%02d_%02d-%02d_%02d_%02d', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0];
}

# Program (words) and file ending of the compression.
sub compressor ($o) {
  my $c = $o->{compress} // '0';
  return if $c eq '0';
  return (['lzop'], 'lzo') if $c eq '1' || $c eq 'lzo';
  return ([($o->{pigz} // 0) > 0 ? ('pigz', '-p', $o->{pigz}, '--rsyncable') : ('gzip', '--rsyncable')], 'gz') if $c eq 'gzip';
  my $threads = $o->{zstd} // 1;
  $threads = int((LabPVE::Guests::host_cpus() + 1) / 2) if !$threads;
  return (['zstd', "--threads=$threads"], 'zst');
}

sub size_text ($bytes) {
  my $kb = $bytes / 1024;
  return int($kb) . 'KB' if $kb < 1024;
  return int($kb / 1024) . 'MB' if $kb < 1024**2;
  return sprintf '%.2fGB', $kb / 1024**2 if $kb < 1024**3;
  return sprintf '%.2fTB', $kb / 1024**3;
}

sub duration_text ($s) { return sprintf '%02d:%02d:%02d', int($s / 3600), int($s / 60) % 60, $s % 60 }

# One guest; true when its backup is complete. Leaves the log beside the archive either way.
sub backup_guest ($self, $vmid, $guest) {
  my $o = $self->{opts};
  my $start = LabPVE::Env::now();
  my $task = { vmid => $vmid, opts => $o, mode => $o->{mode} };
  my $ok = eval { $self->archive_guest($task, $guest); 1 };
  my $err = $@;
  my $fh = $task->{logfh};
  if ($task->{cleanup}) { eval { $task->{cleanup}->(); 1 } or print STDERR $@ }
  LabPVE::Env::remove_file($task->{tmptar}) if defined $task->{tmptar};
  if (defined $task->{tmpdir}) { require File::Path; File::Path::remove_tree(LabPVE::Env::path($task->{tmpdir})) }
  if ($ok) {
    say_line('info', "Finished Backup of VM $vmid (" . duration_text(LabPVE::Env::now() - $start) . ')', $fh);
    say_line('info', 'Backup finished at ' . LabPVE::Env::local_text(LabPVE::Env::now()));
  }
  else {
    say_line('err', "Backup of VM $vmid failed - $err", $fh);
    say_line('info', 'Failed at ' . LabPVE::Env::local_text(LabPVE::Env::now()));
  }
  close $fh if $fh;
  push @{ $self->{guests} }, { vmid => $vmid, name => $task->{name}, ok => $ok, error => $err, seconds => LabPVE::Env::now() - $start, tmplog => $task->{tmplog}, target => $task->{target}, bytes => $ok ? -s LabPVE::Env::path($task->{target}) : 0 };
  LabPVE::Env::write_file($task->{logfile}, LabPVE::Env::read_file($task->{tmplog}) // '') if defined $task->{tmplog} && defined $task->{logfile} && -d LabPVE::Env::path($o->{dumpdir});
  LabPVE::Env::stamp_file($task->{logfile}) if defined $task->{logfile};
  die $err if !$ok && $err =~ /^(?:interrupted by signal|received interrupt)$/;
  return $ok;
}

# A run that does not prune has the sum of all keeps as hard limit; protected archives have a limit of their own.
sub check_limits ($self, $vmid, $type) {
  my $o = $self->{opts};
  my $keep = $o->{'prune-backups'};
  my $limit = 0;
  if (!$keep->{'keep-all'}) { $limit += $_ for values %$keep }
  return if !(($limit && !$o->{remove}) || $o->{protected});
  my $cfg = LabPVE::Storage::config();
  my @all = defined $o->{storage} ? grep { $_->{subtype} eq $type } @{ LabPVE::Volumes::listing($cfg, $o->{storage}, $vmid, 'backup') } : ();
  my $protected = grep { $_->{protected} } @all;
  if ($o->{protected}) {
    my $max = $o->{storage_config}{'max-protected-backups'} // -1;
    die "The number of protected backups per guest is limited to $max on storage '$o->{storage}'\n" if $max > -1 && $protected >= $max;
  }
  elsif (@all - $protected >= $limit) {
    die "There is a max backup limit of $limit enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups.\n";
  }
  return;
}

sub archive_guest ($self, $task, $guest) {
  my ($o, $vmid) = ($self->{opts}, $task->{vmid});
  die "unable to find VM '$vmid'\n" if !$guest;
  my $type = $task->{type} = $guest->{type};
  my $base = "vzdump-$type-$vmid-" . stamp(LabPVE::Env::now());
  $self->check_limits($vmid, $type);
  $task->{logfile} = "$o->{dumpdir}/$base.log";
  my ($program, $ending) = compressor($o);
  $task->{compressor} = $program;
  my $ext = ($type eq 'qemu' ? '.vma' : '.tar') . (defined $ending ? ".$ending" : '');
  $task->{target} = "$o->{dumpdir}/$base$ext";
  ($task->{tmptar} = $task->{target}) =~ s/\.[^.]+$/.dat/;
  $task->{tmpdir} = defined $o->{tmpdir} ? "$o->{tmpdir}/vzdumptmp${$}_$vmid" : "$o->{dumpdir}/$base.tmp";
  mkdir LabPVE::Env::path($task->{tmpdir}) or die "unable to create temporary directory '$task->{tmpdir}' - $!\n";
  $task->{tmplog} = "/var/log/vzdump/$type-$vmid.log";
  LabPVE::Env::make_dir('/var/log/vzdump');
  open my $fh, '>', LabPVE::Env::path($task->{tmplog}) or die "unable to create log file '$task->{tmplog}' - $!\n";
  $fh->autoflush(1);
  $task->{logfh} = $fh;
  my $log = sub ($level, $text) { say_line($level, $text, $fh) };
  LabPVE::Env::remove_file($task->{logfile});
  $log->('info', "Starting Backup of VM $vmid ($type)");
  say_line('info', 'Backup started at ' . LabPVE::Env::local_text(LabPVE::Env::now()));
  my $plugin = $type eq 'qemu' ? 'LabPVE::VZDumpQemu' : 'LabPVE::VZDumpLxc';
  require($type eq 'qemu' ? 'LabPVE/VZDumpQemu.pm' : 'LabPVE/VZDumpLxc.pm');
  $plugin->can('archive')->($task, $log);
  if ($task->{target} =~ /\.zst$/) { require LabPVE::ArchiveSize; LabPVE::ArchiveSize::grow($task->{tmptar}, $vmid) }
  rename LabPVE::Env::path($task->{tmptar}), LabPVE::Env::path($task->{target}) or die "unable to rename '$task->{tmptar}' to '$task->{target}'\n";
  LabPVE::Env::stamp_file($task->{target});
  if (LabPVE::Env::settings()->{backup_faults}) { require LabPVE::BackupFault; LabPVE::BackupFault::shorten($task) }
  LabPVE::Env::record_effect('archive.write', (defined $o->{storage} ? "$o->{storage}:backup/$base$ext" : $task->{target}), { vmid => 0 + $vmid });
  $log->('info', 'archive file size: ' . size_text(-s LabPVE::Env::path($task->{target}) // 0));
  $self->finish($task, $log);
  return;
}

# After the rename: notes, protection, pruning. A failure here fails the backup although the archive is in place, as on a real host.
sub finish ($self, $task, $log) {
  my $o = $self->{opts};
  my $cfg = LabPVE::Storage::config();
  if (defined $o->{storage}) {
    my ($file) = $task->{target} =~ m{([^/]+)$};
    my $volid = "$o->{storage}:backup/$file";
    if (defined $o->{'notes-template'} && $o->{'notes-template'} ne '') {
      $log->('info', 'adding notes to backup');
      eval { LabPVE::Volumes::set_attribute($cfg, $volid, 'notes', notes($o->{'notes-template'}, $task)); 1 } or $log->('warn', "unable to add notes - $@");
    }
    if ($o->{protected}) {
      $log->('info', 'marking backup as protected');
      LabPVE::Volumes::set_attribute($cfg, $volid, 'protected', 1);
    }
  }
  return if !$o->{remove};
  my $keep = $o->{'prune-backups'};
  $log->('info', 'prune older backups with retention: ' . join ', ', map { "$_=$keep->{$_}" } sort keys %$keep);
  my $pruned = 0;
  if (defined $o->{storage}) {
    $pruned = grep { $_->{mark} eq 'remove' } @{ LabPVE::Prune::storage_backups($cfg, $o->{storage}, $keep, $task->{vmid}, $task->{type}, 1, $log) };
  }
  else {
    my @list = map { { path => "$o->{dumpdir}/$_->{filename}", ctime => $_->{ctime} } } grep { $_ && $_->{standard} && $_->{vmid} == $task->{vmid} && $_->{type} eq $task->{type} } map { scalar eval { LabPVE::Volumes::archive_info($_) } } LabPVE::Env::list_dir($o->{dumpdir});
    for my $b (@list) { $b->{mark} = 'protected' if LabPVE::Env::exists_file("$b->{path}.protected") }
    LabPVE::Prune::mark_group(\@list, $keep);
    for my $b (grep { $_->{mark} eq 'remove' } @list) {
      $pruned++;
      $log->('info', "delete old backup '$b->{path}'");
      LabPVE::Volumes::remove_archive($b->{path});
    }
  }
  $log->('info', "pruned $pruned backup(s)" . ($pruned ? ' not covered by keep-retention policy' : ''));
  return;
}

sub notes ($template, $task) {
  my %v = (cluster => 'standalone node', guestname => $task->{name}, node => LabPVE::Env::node(), vmid => $task->{vmid});
  $template =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
  $template =~ s/\{\{(cluster|guestname|node|vmid)\}\}/$v{$1}/g;
  return $template;
}
1;
