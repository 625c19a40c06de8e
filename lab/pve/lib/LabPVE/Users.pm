package LabPVE::Users;
# /etc/pve/user.cfg as far as backups need it: pools and the mail addresses of users (pve-access-control PVE/AccessControl.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;

our $FILE = '/etc/pve/user.cfg';

sub lines { return map { [split /:/, $_, -1] } grep { /\S/ && !/^#/ } split /\n/, LabPVE::Env::read_file($FILE) // '' }

# { pool => { vms => [ids], storage => [ids], comment } }
sub pools {
  my %pools;
  for my $l (lines()) {
    next if $l->[0] ne 'pool';
    $pools{ $l->[1] } = { comment => $l->[2], vms => [LabPVE::Formats::split_list($l->[3])], storage => [LabPVE::Formats::split_list($l->[4])] };
  }
  return \%pools;
}

# [{ userid, enable, expire, firstname, lastname, email, comment }]
sub users {
  my @rows;
  for my $l (lines()) {
    next if $l->[0] ne 'user';
    my %r = (userid => $l->[1], enable => 0 + ($l->[2] || 0), expire => 0 + ($l->[3] || 0));
    @r{qw(firstname lastname email comment)} = @$l[4 .. 7];
    delete $r{$_} for grep { !defined $r{$_} || $r{$_} eq '' } qw(firstname lastname email comment);
    my ($realm) = $l->[1] =~ /\@([^\@]+)$/;
    $r{'realm-type'} = $realm // '';
    push @rows, \%r;
  }
  return \@rows;
}

# Removes a guest or a storage from every pool; true when the file changed. Entries of ACLs for the path go too.
sub remove ($kind, $id) {
  my $raw = LabPVE::Env::read_file($FILE) // return 0;
  my $path = $kind eq 'vms' ? "/vms/$id" : "/storage/$id";
  my $out = '';
  for my $line (split /\n/, $raw, -1) {
    my @f = split /:/, $line, -1;
    if (($f[0] // '') eq 'pool') {
      my $i = $kind eq 'vms' ? 3 : 4;
      $f[$i] = join ',', grep { $_ ne $id } LabPVE::Formats::split_list($f[$i]);
      $line = join ':', @f;
    }
    next if ($f[0] // '') eq 'acl' && ($f[2] // '') eq $path;
    $out .= "$line\n";
  }
  $out =~ s/\n\z//;
  return 0 if $out eq $raw;
  LabPVE::Env::write_file($FILE, $out);
  return 1;
}

# Adds a guest to a pool; dies when there is no such pool.
sub add_vm ($pool, $vmid) {
  die "pool '$pool' does not exist\n" if !pools()->{$pool};
  my $out = '';
  for my $line (split /\n/, LabPVE::Env::read_file($FILE) // '') {
    my @f = split /:/, $line, -1;
    if (($f[0] // '') eq 'pool' && $f[1] eq $pool) {
      $f[3] = join ',', LabPVE::Formats::split_list($f[3]), $vmid;
      $line = join ':', @f;
    }
    $out .= "$line\n";
  }
  LabPVE::Env::write_file($FILE, $out);
  return;
}
1;
