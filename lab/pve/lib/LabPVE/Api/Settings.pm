package LabPVE::Api::Settings;
# What mail depends on outside the notifications: the options of the cluster (pve-manager PVE/API2/Cluster.pm) and the addresses of users (pve-access-control
# PVE/API2/User.pm). Groups, passwords, keys and tokens are read where they stand in the files and never changed.
use v5.36;
use LabPVE::Datacenter;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Formats;
use LabPVE::Users;

my $TEXT = { optional => 1 };
my @OPTIONS_READ_ONLY = qw(bwlimit console crs fencing ha http_proxy keyboard language mac_prefix max_workers migration registered-tags tag-style u2f user-tag-access webauthn);

sub unknown ($what) { require LabPVE::Unknown; LabPVE::Unknown::fail($what) }

# The tags of guests, which root may use.
sub allowed_tags {
  require LabPVE::Guests;
  my $guests = LabPVE::Guests::all();
  my %tags = map { ($_ => 1) } map { LabPVE::Formats::split_list(LabPVE::Guests::load($guests->{$_}{type}, $_, $guests->{$_}{node})->{main}{tags}) } keys %$guests;
  return [sort keys %tags];
}

sub options_get ($) {
  return { params => {}, returns => 'object', code => sub ($) { return { %{ LabPVE::Datacenter::read_config() }, 'allowed-tags' => allowed_tags() } } };
}

sub options_set ($) {
  return {
    params => {
      (map { ($_ => $TEXT) } @OPTIONS_READ_ONLY), (map { ($_ => { format => $LabPVE::Datacenter::FORMAT{$_}, optional => 1 }) } keys %LabPVE::Datacenter::FORMAT),
      email_from => { format => 'email-opt', optional => 1 }, description => { maxLength => 64 * 1024, optional => 1 }, delete => { format => 'pve-configid-list', optional => 1 },
    },
    returns => 'null',
    code => sub ($param) {
      for my $k (@OPTIONS_READ_ONLY) { unknown("option $k of the cluster") if defined $param->{$k} }
      my @delete = LabPVE::Formats::split_list(delete $param->{delete});
      my $conf = { %{ LabPVE::Datacenter::raw() }, %$param };
      delete @$conf{@delete};
      LabPVE::Datacenter::write_config($conf);
      return;
    },
  };
}

my %USERID = (userid => { format => 'pve-userid', maxLength => 64 });
my %USER = (
  enable => { type => 'boolean', optional => 1 }, expire => { type => 'integer', minimum => 0, optional => 1 }, firstname => $TEXT, lastname => $TEXT,
  email => { format => 'email-opt', optional => 1 }, comment => $TEXT, keys => $TEXT,
);
my $GROUPS = { format => 'pve-groupid-list', optional => 1 };

sub users_get ($) {
  return {
    params => { enabled => { type => 'boolean', optional => 1 }, full => { type => 'boolean', optional => 1 } }, returns => 'array', link => 'userid',
    shown => { %USERID, %USER, groups => $TEXT, tokens => $TEXT, 'realm-type' => $TEXT },
    code => sub ($param) {
      my $cfg = LabPVE::Users::read_config();
      my @rows;
      for my $id (sort keys %{ $cfg->{users} }) {
        my $u = $cfg->{users}{$id};
        next if defined $param->{enabled} && !$u->{enable} != !$param->{enabled};
        my %row = (LabPVE::Users::shown($u), userid => $id, LabPVE::Users::realm_type($id));
        if ($param->{full}) {
          $row{groups} = join ',', LabPVE::Users::groups_of($cfg, $id);
          $row{tokens} = [map { { tokenid => $_, %{ $u->{tokens}{$_} } } } sort keys %{ $u->{tokens} }] if $u->{tokens};
        }
        push @rows, \%row;
      }
      return \@rows;
    },
  };
}

sub known_user ($cfg, $id) { return $cfg->{users}{$id} // die "no such user ('$id')\n" }

sub user_get ($) {
  return {
    params => {%USERID}, returns => 'object', shown => { %USER, groups => $TEXT, tokens => $TEXT },
    code => sub ($param) {
      my $cfg = LabPVE::Users::read_config();
      my $u = known_user($cfg, $param->{userid});
      return { LabPVE::Users::shown($u), groups => [LabPVE::Users::groups_of($cfg, $param->{userid})], $u->{tokens} ? (tokens => $u->{tokens}) : () };
    },
  };
}

sub user_set ($) {
  return {
    params => { %USERID, %USER, groups => $GROUPS, append => { type => 'boolean', optional => 1, requires => 'groups' } }, returns => 'null',
    code => sub ($param) {
      my $id = delete $param->{userid};
      unknown('changing the groups of a user') if defined $param->{groups};
      my $cfg = LabPVE::Users::read_config();
      eval { known_user($cfg, $id); 1 } or die "update user failed: $@";
      @{ $cfg->{users}{$id} }{ keys %$param } = values %$param;
      LabPVE::Users::write_config($cfg);
      return;
    },
  };
}

sub users_create ($) {
  return {
    params => { %USERID, %USER, password => { minLength => 8, maxLength => 64, optional => 1 }, groups => $GROUPS }, returns => 'null',
    code => sub ($param) {
      my $id = delete $param->{userid};
      for my $k (qw(groups password)) { unknown("creating a user with $k") if defined $param->{$k} }
      my $cfg = LabPVE::Users::read_config();
      die "create user failed: user '$id' already exists\n" if $cfg->{users}{$id};
      $cfg->{users}{$id} = { enable => $param->{enable} // 1, map { ($_ => $param->{$_}) } grep { $param->{$_} } qw(expire firstname lastname email comment keys) };
      LabPVE::Users::write_config($cfg);
      return;
    },
  };
}

# A deleted user's second factors go too, from a file that the lab has not.
sub user_delete ($) { return { params => {%USERID}, returns => 'null', code => sub ($) { unknown('deleting a user') } } }
1;
