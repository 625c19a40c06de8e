package LabPVE::Program::vma;
# vma: list, config, verify and extract of real VMA files (pve-qemu vma.c). A damaged file ends the program by a signal, as GLib's fatal errors do.
use v5.36;
use LabPVE::Env;
use LabPVE::Unknown;
use LabPVE::Vma;

sub fatal ($text) {
  chomp $text;
  require Time::HiRes;
  my $now = LabPVE::Env::clock_fixed() ? LabPVE::Env::now() : Time::HiRes::time();
  my @t = localtime $now;
  printf STDERR "\n** (process:%d): ERROR **: %02d:%02d:%02d.%03d: %s\n", $$, @t[2, 1, 0], ($now - int $now) * 1000, $text;
  $SIG{TRAP} = 'DEFAULT';
  kill 'TRAP', $$;
  return 133;
}

sub open_file ($file) {
  return \*STDIN if $file eq '-';
  open my $fh, '<:raw', LabPVE::Env::path($file) or return;
  return $fh;
}

sub header_lines ($h) {
  print 'CFG: size: ' . length($_->[1]) . " name: $_->[0]\n" for @{ $h->{configs} };
  print $_->[1] eq 'vmstate' ? "VMSTATE: dev_id=$_->[0] memory: $_->[2]\n" : "DEV: dev_id=$_->[0] size: $_->[2] devname: $_->[1]\n" for @{ $h->{devices} };
  print 'CTIME: ' . LabPVE::Env::ctime_text($h->{ctime}) . "\n";
  return;
}

# progress lines by whole percents and the totals at the end.
sub reporter {
  my ($last, $begin) = (0, time);
  return sub ($done, $total) {
    my $p = $total ? int($done * 100 / $total) : 100;
    return if $p <= $last;
    $last = $p;
    print "progress $p% (read $done bytes, duration " . (time - $begin) . " sec)\n";
  };
}
sub totals ($stat) {
  printf "total bytes read %d, sparse bytes %d (%.3g%%)\n", $stat->{total}, $stat->{zero}, $stat->{total} ? 100 * $stat->{zero} / $stat->{total} : 0;
  printf "space reduction due to 4K zero blocks %.3g%%\n", 0;
  return;
}

sub main (@argv) {
  my $command = shift @argv // '';
  LabPVE::Unknown::fail("'vma $command'") if $command !~ /^(?:list|config|verify|extract)$/;
  my $verbose = grep { $_ eq '-v' || $_ eq '--verbose' } @argv;
  my @words = grep { !/^-./ } @argv;
  my $file = $words[0] // do { print STDERR "vma: command missing\n"; return 1 };
  my $fh = open_file($file) // return fatal("can't open file $file - $!");
  binmode $fh;
  my $h = eval { LabPVE::Vma::read_header($fh) } // return fatal(($command eq 'verify' ? 'verify failed - ' : '') . $@);
  if ($command eq 'list') { header_lines($h); return 0 }
  if ($command eq 'config') {
    my ($c) = grep { $_->[0] eq 'qemu-server.conf' } @{ $h->{configs} };
    return fatal('unable to find configuration data') if !$c;
    print $c->[1];
    return 0;
  }
  header_lines($h) if $verbose;
  my $report = $verbose ? reporter() : sub { };
  if ($command eq 'verify') {
    my $stat = eval { LabPVE::Vma::read_extents($fh, $h, sub (@) { }, $report) } // return fatal("verify failed - $@");
    totals($stat) if $verbose;
    return 0;
  }
  my $dir = $words[1] // do { print STDERR "vma extract: directory missing\n"; return 1 };
  mkdir LabPVE::Env::path($dir) or return fatal("unable to create target directory $dir - $!");
  my %out;
  for my $d (@{ $h->{devices} }) {
    open $out{ $d->[0] }, '>:raw', LabPVE::Env::path("$dir/disk-$d->[1].raw") or return fatal("can't open file $dir/disk-$d->[1].raw - $!");
    truncate $out{ $d->[0] }, $d->[2];
  }
  LabPVE::Env::write_file("$dir/$_->[0]", $_->[1]) for @{ $h->{configs} };
  my $stat = eval { LabPVE::Vma::read_extents($fh, $h, sub ($id, $n, $data) { if (defined $data) { sysseek $out{$id}, $n * 65536, 0; syswrite $out{$id}, $data } }, $report) } // return fatal("restore failed - $@");
  for my $d (@{ $h->{devices} }) { truncate $out{ $d->[0] }, $d->[2] }
  totals($stat) if $verbose;
  return 0;
}
1;
