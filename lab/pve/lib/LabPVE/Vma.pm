package LabPVE::Vma;
# VMA containers: write and read (layout: vma_spec.txt of Proxmox' QEMU packaging). Header 12288 bytes + blobs with one MD5; extents of up to 59 clusters of
# 64 KiB, each with a header (MD5, 16-bit mask of non-zero 4 KiB blocks per cluster) and the non-zero blocks. Data blocks carry no checksum.
use v5.36;
use Digest::MD5 ();

my $FIXED = 12288;
my $CLUSTER = 65536;
my $BLOCK = 4096;
my $PER_EXTENT = 59;
my $ZERO_BLOCK = "\0" x $BLOCK;
my $ZERO_CLUSTER = "\0" x $CLUSTER;

sub clusters ($bytes) { return int(($bytes + $CLUSTER - 1) / $CLUSTER) }

# Writes configs [[name, text]] and devices [{name, file}] to a handle; $progress->(done, total) in bytes. Gives { total, zero, sparse } bytes.
sub write ($out, $configs, $devices, $ctime, $progress = sub { }) {
  my $uuid = do { open my $fh, '<:raw', '/dev/urandom' or die "unable to read random bytes: $!\n"; read $fh, my $b, 16; $b };
  my $blobs = "\0";
  my $blob = sub ($data) { my $at = length $blobs; $blobs .= pack('v', length $data) . $data; return $at };
  my (@names, @data) = ();
  for my $c (@$configs) { push @names, $blob->("$c->[0]\0"); push @data, $blob->($c->[1]) }
  my $info = pack('x32');
  my $total = 0;
  for my $d (@$devices) {
    my $size = -s $d->{file} // die "unable to read '$d->{file}' - $!\n";
    $d->{size} = $size;
    $total += $size;
    $info .= pack 'NNQ>QQ', $blob->("$d->{name}\0"), 0, $size, 0, 0;
  }
  $info .= "\0" x (8192 - length $info);
  $blobs .= "\0" x ((512 - length($blobs) % 512) % 512);
  my $head = sub ($md5) {
    pack('a4Na16q>a16NNN', "VMA\0", 1, $uuid, $ctime, $md5, $FIXED, length $blobs, $FIXED + length $blobs) . "\0" x 1984
      . pack('N256', @names, (0) x (256 - @names)) . pack('N256', @data, (0) x (256 - @data)) . "\0" x 4 . $info . $blobs;
  };
  emit($out, $head->(Digest::MD5::md5($head->("\0" x 16))));
  my ($done, $zero, @infos, $body) = (0, 0);
  $body = '';
  my $flush = sub {
    return if !@infos;
    my $blocks = length($body) / $BLOCK;
    my $rest = join('', @infos) . "\0" x (8 * ($PER_EXTENT - @infos));
    my $h = sub ($md5) { pack('a4nna16a16', 'VMAE', 0, $blocks, $uuid, $md5) . $rest };
    emit($out, $h->(Digest::MD5::md5($h->("\0" x 16))));
    emit($out, $body) if $blocks;
    (@infos, $body) = ();
    $body = '';
  };
  for my $i (0 .. $#$devices) {
    my $d = $devices->[$i];
    each_cluster($d, sub ($n, $data) {
      my $mask = 0;
      if (defined $data && $data ne $ZERO_CLUSTER) {
        for my $b (0 .. 15) {
          my $part = substr $data, $b * $BLOCK, $BLOCK;
          if ($part ne $ZERO_BLOCK) { $mask |= 1 << $b; $body .= $part }
          else { $zero += $BLOCK }
        }
      }
      else { $zero += $CLUSTER }
      push @infos, pack 'nCCN', $mask, 0, $i + 1, $n;
      $flush->() if @infos == $PER_EXTENT;
      $done += $CLUSTER;
      $progress->($done, $total) if $n % 1024 == 1023 && $done < $total;
    });
  }
  $flush->();
  $progress->($total, $total);
  return { total => $total, zero => $zero > $total ? $total : $zero };
}

sub emit ($out, $bytes) { print {$out} $bytes or die "writing the archive failed - $!\n"; return }

# Every cluster of a file in order; holes are not read (SEEK_DATA).
sub each_cluster ($d, $code) {
  open my $fh, '<:raw', $d->{file} or die "unable to open '$d->{file}' - $!\n";
  my $count = clusters($d->{size});
  my $n = 0;
  while ($n < $count) {
    my $data_at = sysseek $fh, $n * $CLUSTER, 3;
    my $next = defined $data_at ? int($data_at / $CLUSTER) : $count;
    while ($n < $next) { $code->($n++, undef) }
    last if $n >= $count;
    sysseek $fh, $n * $CLUSTER, 0;
    my $got = '';
    while (length $got < $CLUSTER) { my $r = sysread $fh, $got, $CLUSTER - length $got, length $got; die "read error on '$d->{file}' - $!\n" if !defined $r; last if !$r }
    $got .= "\0" x ($CLUSTER - length $got);
    $code->($n++, $got);
  }
  return;
}

sub take ($fh, $n) {
  my $got = '';
  while (length $got < $n) { my $r = read $fh, $got, $n - length $got, length $got; last if !$r }
  return $got;
}

# Header of a stream: { uuid, ctime, configs => [[name, text]], devices => [[id, name, bytes]] }. Dies with the texts of the real reader.
sub read_header ($fh) {
  my $fixed = take($fh, $FIXED);
  die "can't read vma header - " . (length $fixed ? 'short read' : 'Success') . "\n" if length $fixed < $FIXED;
  my ($magic, $version, $uuid, $ctime, $md5, $blob_at, $blob_size, $size) = unpack 'a4Na16q>a16NNN', $fixed;
  die "not a vma file - wrong magic number\n" if $magic ne "VMA\0";
  die "wrong vma header size $size (expect at least $FIXED bytes)\n" if $size < $FIXED || $size > 64 * 1024 * 1024;
  my $rest = take($fh, $size - $FIXED);
  die "can't read vma header - short read\n" if length $rest < $size - $FIXED;
  my $all = $fixed . $rest;
  my $blank = $all;
  substr $blank, 32, 16, "\0" x 16;
  die "wrong vma header chechsum\n" if Digest::MD5::md5($blank) ne $md5;
  die "wrong vma header version\n" if $version != 1;
  my $blob = sub ($ptr) { my $len = unpack 'v', substr $all, $blob_at + $ptr, 2; substr $all, $blob_at + $ptr + 2, $len };
  my @names = unpack 'N256', substr $all, 2044, 1024;
  my @data = unpack 'N256', substr $all, 3068, 1024;
  my $h = { uuid => $uuid, ctime => $ctime, configs => [], devices => [] };
  for my $i (0 .. 255) { push @{ $h->{configs} }, [$blob->($names[$i]) =~ s/\0\z//r, $blob->($data[$i])] if $names[$i] && $data[$i] }
  for my $i (1 .. 254) {
    my ($ptr, undef, $bytes) = unpack 'NNQ>', substr $all, 4096 + 32 * $i, 16;
    push @{ $h->{devices} }, [$i, $blob->($ptr) =~ s/\0\z//r, $bytes] if $ptr && $bytes;
  }
  return $h;
}

# Every cluster of the stream after the header: $code->(device id, cluster, data or undef). Checks headers and completeness; { total, zero } bytes.
sub read_extents ($fh, $h, $code = sub { }, $progress = sub { }) {
  my %dev = map { ($_->[0] => $_) } @{ $h->{devices} };
  my %seen = map { ($_ => '') } keys %dev;
  my ($total, $done, $zero) = (0, 0, 0);
  $total += $_->[2] for values %dev;
  while (1) {
    my $head = take($fh, 512);
    last if !length $head;
    die 'short vma extent (' . length($head) . " < 512)\n" if length $head < 512;
    my ($magic, undef, $blocks, $uuid, $md5) = unpack 'a4nna16a16', $head;
    die "wrong vma extent header magic number\n" if $magic ne 'VMAE';
    die "wrong vma extent uuid\n" if $uuid ne $h->{uuid};
    my $blank = $head;
    substr $blank, 24, 16, "\0" x 16;
    die "wrong vma extent header chechsum\n" if Digest::MD5::md5($blank) ne $md5;
    my $body = take($fh, $blocks * $BLOCK);
    die 'read short extent (' . length($body) . " bytes)\n" if length $body < $blocks * $BLOCK;
    my $at = 0;
    for my $i (0 .. $PER_EXTENT - 1) {
      my ($mask, undef, $id, $n) = unpack 'nCCN', substr $head, 40 + 8 * $i, 8;
      next if !$id;
      my $d = $dev{$id} or die "got wrong dev id $id\n";
      die "got wrong block address - write beyond end\n" if $n >= clusters($d->[2]);
      vec($seen{$id}, $n, 1) = 1;
      my $data;
      if ($mask) {
        $data = '';
        for my $b (0 .. 15) {
          if ($mask & 1 << $b) {
            die "vma extent error - missing blocks\n" if $at + $BLOCK > length $body;
            $data .= substr $body, $at, $BLOCK;
            $at += $BLOCK;
          }
          else { $data .= $ZERO_BLOCK; $zero += $BLOCK }
        }
      }
      else { $zero += $CLUSTER }
      $code->($id, $n, $data);
      $done += $CLUSTER;
    }
    die "vma extent error - missing blocks\n" if $at != length $body;
    $progress->($done > $total ? $total : $done, $total);
  }
  for my $id (sort { $a <=> $b } keys %dev) {
    for my $n (0 .. clusters($dev{$id}[2]) - 1) { die "detected missing cluster $n for stream $dev{$id}[1]\n" if !vec $seen{$id}, $n, 1 }
  }
  return { total => $total, zero => $zero > $total ? $total : $zero };
}
1;
