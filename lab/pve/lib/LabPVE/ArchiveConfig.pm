package LabPVE::ArchiveConfig;
# The guest config inside an archive (pve-storage PVE/Storage.pm extract_vzdump_config), and opening archives through their decompressor.
use v5.36;
use LabPVE::Env;
use LabPVE::Storage;
use LabPVE::Volumes;

my %PROGRAM = (zst => ['zstd', '-q', '-d', '-c'], gz => ['zcat'], lzo => ['lzop', '-d', '-c'], tgz => ['zcat'], bz2 => ['bzip2', '-d', '-c']);

# The decompressor's words for a file name, or nothing.
sub decompressor ($file) { return $file =~ /\.(zst|gz|lzo|tgz|bz2)$/ ? @{ $PROGRAM{$1} } : () }

# A handle that reads the archive uncompressed (path without root prefix).
sub open_archive ($file) {
  my @cmd = decompressor($file);
  if (!@cmd) {
    open my $fh, '<:raw', LabPVE::Env::path($file) or die "unable to open '$file' - $!\n";
    return $fh;
  }
  open my $fh, '-|:raw', @cmd, LabPVE::Env::path($file) or die "unable to run '$cmd[0]' - $!\n";
  return $fh;
}

sub decompressed ($file) {
  my $fh = open_archive($file);
  local $/;
  my $text = <$fh> // '';
  close $fh or die "decompression of '$file' failed\n";
  return $text;
}

sub of_vm ($file) {
  if (LabPVE::Env::recording()) { require LabPVE::Recording; return LabPVE::Recording::read_archive($file)->{config} }
  require LabPVE::Vma;
  my $h = LabPVE::Vma::read_header(open_archive($file));
  my ($c) = grep { $_->[0] eq 'qemu-server.conf' } @{ $h->{configs} };
  die "unable to find configuration file 'qemu-server.conf' in archive '$file'\n" if !$c;
  return $c->[1];
}

sub of_ct ($file) {
  my @how = decompressor($file) ? ('-I', join ' ', grep { $_ ne '-c' } decompressor($file)) : ();
  open my $tar, '-|:raw', 'tar', '-x', '-O', '--occurrence', @how, '-f', LabPVE::Env::path($file), './etc/vzdump/pct.conf' or die "unable to run tar - $!\n";
  local $/;
  my $text = <$tar> // '';
  close $tar;
  die "unable to extract container configuration from archive '$file'\n" if $text eq '';
  return $text;
}

# The config text of a volume ID or a path, without its last line end.
sub extract ($volume) {
  my $cfg = LabPVE::Storage::config();
  my $path = $volume;
  if ($volume !~ m{^/}) {
    my ($sid, $name) = LabPVE::Storage::parse_volume_id($volume);
    my $s = LabPVE::Storage::entry($cfg, $sid);
    my ($type) = LabPVE::Storage::parse_volname($s, $name);
    die "volume '$volume' is not a backup\n" if $type ne 'backup';
    LabPVE::Storage::activate($cfg, $sid);
    $path = LabPVE::Storage::path_of($cfg, $volume);
  }
  my $info = LabPVE::Volumes::archive_info($path);
  my $text = $info->{format} =~ /^vma/ ? of_vm($path) : of_ct($path);
  $text =~ s/\n\z//;
  return $text;
}
1;
