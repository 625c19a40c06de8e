package LabPVE::Users;
# /etc/pve/user.cfg as far as backups need it: pools and the mail addresses of users (pve-access-control PVE/AccessControl.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Formats;
use LabPVE::Guests;

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

# The file by kinds of lines: users by name with their tokens; the other lines as they stand, in order. root@pam is always there.
sub read_config {
  my %cfg = (users => {}, group => [], pool => [], role => [], acl => []);
  for my $line (split /\n/, LabPVE::Env::read_file($FILE) // '') {
    my ($kind, @f) = split /:/, $line =~ s/^\s+|\s+$//gr;
    next if !defined $kind;
    my $text = sub ($v) { LabPVE::Guests::decode_text($v) };
    if ($kind eq 'user') {
      my %u = (enable => $f[1] ? 1 : 0, expire => int($f[2] || 0), email => $f[5]);
      $u{firstname} = $text->($f[3]) if $f[3];
      $u{lastname} = $text->($f[4]) if $f[4];
      $u{comment} = $text->($f[6]) if $f[6];
      $u{keys} = $f[7] if $f[7];
      $cfg{users}{ $f[0] } = \%u;
    }
    elsif ($kind eq 'token' and my ($user, $name) = ($f[0] // '') =~ /^(.+)!(.+)$/) {
      $cfg{users}{$user}{tokens}{$name} = { expire => int($f[1] || 0), privsep => $f[2] ? 1 : 0, $f[3] ? (comment => $text->($f[3])) : () } if $cfg{users}{$user};
    }
    elsif ($cfg{$kind}) { push @{ $cfg{$kind} }, $line }
  }
  $cfg{users}{'root@pam'} //= { enable => 1 };
  return \%cfg;
}

# Each kind sorted and apart from the next by an empty line, as the program writes them.
sub write_config ($cfg) {
  my $text = sub ($v) { length($v // '') ? LabPVE::Guests::encode_text($v) : '' };
  my $out = '';
  for my $id (sort keys %{ $cfg->{users} }) {
    my $u = $cfg->{users}{$id};
    $out .= join(':', 'user', $id, $u->{enable} ? 1 : 0, int($u->{expire} || 0), $text->($u->{firstname}), $text->($u->{lastname}), $u->{email} || '', $text->($u->{comment}), $u->{keys} || '', '') . "\n";
    for my $name (sort keys %{ $u->{tokens} // {} }) {
      my $t = $u->{tokens}{$name};
      $out .= join(':', 'token', "$id!$name", $t->{expire}, $t->{privsep}, $text->($t->{comment}), '') . "\n";
    }
  }
  my $by = sub ($i, @lines) { map { "$_\n" } sort { (split /:/, $a)[$i] cmp (split /:/, $b)[$i] } @lines };
  LabPVE::Env::write_file($FILE, join "\n", $out, (map { join '', $by->(1, @{ $cfg->{$_} }) } qw(group pool role)), join '', $by->(2, @{ $cfg->{acl} }));
  return;
}

sub shown ($u) { return map { ($_ => $u->{$_}) } grep { defined $u->{$_} } qw(enable expire firstname lastname email comment keys) }

sub groups_of ($cfg, $id) { return map { my @f = split /:/; (grep { $_ eq $id } LabPVE::Formats::split_list($f[2])) ? $f[1] : () } @{ $cfg->{group} } }

# Of the two realms that every host has.
sub realm_type ($id) { return $id =~ /\@(pam|pve)$/ ? ('realm-type' => $1) : () }

# [{ userid, email ... }]
sub users {
  my $users = read_config()->{users};
  return [map { { shown($users->{$_}), userid => $_ } } sort keys %$users];
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
