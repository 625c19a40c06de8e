package LabPVE::Api::StorageConfig;
# /storage: read, add, change and remove storages of storage.cfg (pve-storage PVE/API2/Storage/Config.pm).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::Storage;
use LabPVE::StorageTypes;

my %ID = (storage => { format => 'pve-storage-id' });

sub api_row ($cfg, $id) {
  my %row = (%{ LabPVE::Storage::entry($cfg, $id) }, storage => $id, digest => LabPVE::Env::digest($cfg->{raw}));
  delete $row{password};
  return \%row;
}

sub list_get ($) {
  return {
    params => { type => { enum => \@LabPVE::StorageTypes::TYPE_NAMES, optional => 1 } }, returns => 'array', link => 'storage', shown => { storage => {} },
    code => sub ($param) {
      my $cfg = LabPVE::Storage::config();
      return [map { api_row($cfg, $_) } grep { !defined $param->{type} || $cfg->{ids}{$_}{type} eq $param->{type} } grep { $cfg->{ids}{$_} } @{ $cfg->{order} }];
    },
  };
}

sub one_get ($) { return { params => {%ID}, returns => 'object', code => sub ($param) { api_row(LabPVE::Storage::config(), $param->{storage}) } } }

# Options that can be changed later: those that no type fixes.
sub update_properties {
  my %fixed;
  for my $t (@LabPVE::StorageTypes::TYPE_NAMES) {
    my $o = LabPVE::StorageTypes::options($t);
    for my $k (keys %$o) { $fixed{$k} //= 1; $fixed{$k} = 0 if !$o->{$k}{fixed} }
  }
  return { map { ($_ => $LabPVE::StorageTypes::PROPERTIES{$_}) } grep { !$fixed{$_} } keys %LabPVE::StorageTypes::PROPERTIES };
}

# Errors below the lock of storage.cfg get its prefix.
sub under_lock ($prefix, $code) {
  my @r;
  eval { @r = LabPVE::Env::with_lock('file-storage_cfg', $code); 1 } or do {
    my $e = $@;
    die $e if ref $e;
    die "$prefix: $e";
  };
  return $r[0];
}

# Values for one type: unknown options of the type are refused, booleans and integers become numbers.
sub checked ($type, $param, $create) {
  my $options = LabPVE::StorageTypes::options($type);
  my %out;
  for my $k (sort keys %$param) {
    my $o = $options->{$k} or die "unexpected property '$k'\n";
    die "can't change value of fixed parameter '$k'\n" if !$create && $o->{fixed};
    my $t = $LabPVE::StorageTypes::PROPERTIES{$k}{type} // '';
    $out{$k} = $t eq 'boolean' || $t eq 'integer' ? 0 + $param->{$k} : $param->{$k};
    if ($k eq 'prune-backups') { require LabPVE::PropertyString; $out{$k} = LabPVE::PropertyString::print_out('prune-backups', LabPVE::PropertyString::parse('prune-backups', $out{$k})) }
    if ($k eq 'content' || $k eq 'nodes') { $out{$k} = join ',', LabPVE::Formats::split_list($out{$k}) }
    if ($k eq 'content') { check_content($type, $out{$k}) }
  }
  if ($create) {
    for my $k (sort keys %$options) { die "missing value for required option '$k'\n" if !$options->{$k}{optional} && !defined $out{$k} }
  }
  return \%out;
}

my %CONTENT = (pbs => ['backup', 'none'], lvm => ['images', 'rootdir', 'none'], lvmthin => ['images', 'rootdir', 'none'], zfspool => ['images', 'rootdir', 'none'], rbd => ['images', 'rootdir', 'none'], iscsi => ['images', 'none'], cephfs => ['vztmpl', 'iso', 'backup', 'snippets', 'import', 'none']);
sub check_content ($type, $text) {
  my %ok = map { ($_ => 1) } @{ $CONTENT{$type} // [qw(images rootdir vztmpl iso backup snippets none import)] };
  for my $c (LabPVE::Formats::split_list($text)) { die "storage does not support content type '$c'\n" if !$ok{$c} }
  return;
}

sub list_create ($) {
  return {
    params => { %LabPVE::StorageTypes::PROPERTIES, %ID, type => { enum => \@LabPVE::StorageTypes::TYPE_NAMES } }, returns => 'object',
    code => sub ($param) {
      my ($id, $type) = (delete $param->{storage}, delete $param->{type});
      if (!LabPVE::StorageTypes::options($type)) { require LabPVE::Unknown; LabPVE::Unknown::fail("a storage of type $type") }
      delete $param->{nodes} if defined $param->{nodes} && $param->{nodes} eq '';
      my $password = delete $param->{password};
      my $opts = checked($type, $param, 1);
      under_lock('create storage failed', sub {
        my $cfg = LabPVE::Storage::config();
        die "storage ID '$id' already defined\n" if $cfg->{ids}{$id};
        $opts->{path} //= "/mnt/pve/$id" if $type eq 'nfs' || $type eq 'cifs';
        $cfg->{ids}{$id} = { type => $type, %$opts };
        push @{ $cfg->{order} }, $id;
        # The default content is added on reading, not on writing: a new storage has no `content` line until the next rewrite.
        my $completed = { ids => { $id => { %{ $cfg->{ids}{$id} } } }, order => [$id] };
        LabPVE::StorageTypes::complete($completed);
        LabPVE::Storage::activate($completed, $id) if LabPVE::Storage::enabled_here($completed->{ids}{$id});
        LabPVE::Env::write_file("/etc/pve/priv/storage/$id.pw", "$password\n") if defined $password;
        save($cfg);
      });
      LabPVE::Env::record_effect('storage.create', $id);
      return { storage => $id, type => $type };
    },
  };
}

# Written without what reading adds (forced `shared`, a `local` that no file names).
sub save ($cfg) {
  my %ids = map { ($_ => { %{ $cfg->{ids}{$_} } }) } grep { $cfg->{ids}{$_} } keys %{ $cfg->{ids} };
  for my $s (values %ids) { delete $s->{shared} if $s->{type} =~ /^(?:nfs|cifs|pbs|cephfs|rbd|iscsi)$/ }
  return LabPVE::Storage::write_config({ order => $cfg->{order}, ids => \%ids });
}

sub one_set ($) {
  return {
    params => { %{ update_properties() }, %ID, delete => { format => 'pve-configid-list', optional => 1, maxLength => 4096 }, digest => { optional => 1, maxLength => 64 } }, returns => 'object',
    code => sub ($param) {
      my ($id, $delete, $digest) = (delete $param->{storage}, delete $param->{delete}, delete $param->{digest});
      my $type;
      under_lock('update storage failed', sub {
        my $cfg = LabPVE::Storage::config();
        die "detected modified configuration - file changed by other user? Try again.\n" if defined $digest && $digest ne LabPVE::Env::digest($cfg->{raw});
        my $s = LabPVE::Storage::entry($cfg, $id);
        $type = $s->{type};
        my $password = delete $param->{password};
        my $opts = checked($type, $param, 0);
        my $known = LabPVE::StorageTypes::options($type);
        for my $k (LabPVE::Formats::split_list($delete)) {
          my $o = $known->{$k} or die "no such option '$k'\n";
          die "unable to delete required option '$k'\n" if !$o->{optional};
          die "unable to delete fixed option '$k'\n" if $o->{fixed};
          die "cannot set and delete property '$k' at the same time!\n" if defined $opts->{$k};
          delete $s->{$k};
        }
        @$s{ keys %$opts } = values %$opts;
        LabPVE::Env::write_file("/etc/pve/priv/storage/$id.pw", "$password\n") if defined $password;
        save($cfg);
      });
      LabPVE::Env::record_effect('storage.set', $id, { set => {%$param}, delete => $delete // '' });
      return { storage => $id, type => $type };
    },
  };
}

sub one_delete ($) {
  return {
    params => {%ID}, returns => 'null',
    code => sub ($param) {
      my $id = $param->{storage};
      under_lock('delete storage failed', sub {
        my $cfg = LabPVE::Storage::config();
        LabPVE::Storage::entry($cfg, $id);
        delete $cfg->{ids}{$id};
        LabPVE::Env::remove_file("/etc/pve/priv/storage/$id.$_") for qw(pw enc);
        save($cfg);
      });
      require LabPVE::Users;
      LabPVE::Users::remove('storage', $id);
      LabPVE::Env::record_effect('storage.delete', $id);
      return;
    },
  };
}
1;
