package LabPVE::Api::Notifications;
# /cluster/notifications: endpoints, targets, matchers (pve-manager PVE/API2/Cluster/Notifications.pm over proxmox-notify src/api).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::NotifyConfig;
use LabPVE::NotifyMatch;

my %NAME = (name => { format => 'pve-configid' });
my $TEXT = { optional => 1 };
my $BOOL = { type => 'boolean', optional => 1 };
sub list_of ($format = 'string') { return { type => 'array', items => { format => $format }, optional => 1 } }
my %MAIL = (mailto => list_of('email-or-username'), 'mailto-user' => list_of('pve-userid'), author => $TEXT, comment => $TEXT, disable => $BOOL);
my %SCHEMA = (
  sendmail => { %MAIL, 'from-address' => $TEXT },
  smtp => { %MAIL, 'from-address' => {}, server => {}, port => { type => 'integer', optional => 1 }, mode => { enum => ['insecure', 'starttls', 'tls'], optional => 1 }, username => $TEXT, password => $TEXT },
  gotify => { server => {}, token => {}, comment => $TEXT, disable => $BOOL },
  webhook => { url => {}, method => { enum => ['post', 'put', 'get'] }, header => list_of(), body => $TEXT, secret => list_of(), comment => $TEXT, disable => $BOOL },
  matcher => { 'match-field' => list_of(), 'match-severity' => list_of(), 'match-calendar' => list_of(), target => list_of('pve-configid'), mode => { enum => ['all', 'any'], optional => 1 }, 'invert-match' => $BOOL, comment => $TEXT, disable => $BOOL },
);
my %DELETABLE = (
  sendmail => [qw(author comment disable from-address mailto mailto-user)],
  smtp => [qw(author comment disable mailto mailto-user password port username)],
  gotify => [qw(comment disable)],
  webhook => [qw(body comment disable header secret)],
  matcher => [qw(comment disable invert-match match-calendar match-field match-severity mode target)],
);

sub fail ($code, $text) { LabPVE::Error::raise("$text\n", code => $code) }
sub noun ($type) { return $type eq 'matcher' ? 'matcher' : 'endpoint' }

sub index_of (@names) { return { params => {}, returns => 'array', link => 'name', code => sub ($) { [map { { name => $_ } } @names] } } }
sub index_get ($) { return index_of(qw(endpoints matchers targets matcher-fields matcher-field-values)) }
sub endpoints_get ($) { return index_of(qw(gotify sendmail smtp webhook)) }
sub fields_get ($) { return index_of(qw(type hostname job-id)) }

sub values_get ($) {
  return {
    params => {}, returns => 'array',
    code => sub ($) {
      require LabPVE::Jobs;
      my @jobs = ((map { LabPVE::Jobs::cron_row($_) } @{ LabPVE::Jobs::read_cron()->{jobs} }), LabPVE::Jobs::rows(LabPVE::Jobs::read_config()));
      return [
        (map { { field => 'type', value => $_ } } qw(package-updates fencing replication vzdump system-mail)),
        (map { { field => 'job-id', value => $_->{id}, comment => $_->{comment} } } @jobs),
        { field => 'hostname', value => LabPVE::Env::node() },
      ];
    },
  };
}

# What a section shows of itself: no secret values, of a webhook the names of its secrets.
sub row ($cfg, $name) {
  my %row = (%{ $cfg->{sections}{$name} }, name => $name);
  if (delete $row{type} eq 'webhook') {
    my @names = map { /name=([^,]*)/ ? "name=$1" : () } @{ ($cfg->{private}{$name} // {})->{secret} // [] };
    $row{secret} = \@names if @names;
  }
  return \%row;
}

sub names_of ($cfg, @types) {
  my %want = map { ($_ => 1) } @types;
  return grep { $want{ $cfg->{sections}{$_}{type} } } @{ $cfg->{order} };
}

sub lookup ($cfg, $type, $name) {
  my $s = $cfg->{sections}{$name};
  fail(404, noun($type) . " '$name' not found") if !$s || $s->{type} ne $type;
  return $s;
}

# A matcher that cannot be read fails the list of all matchers, and everything that needs them.
sub check_matchers ($cfg, $prefix) {
  for my $name (names_of($cfg, 'matcher')) { eval { LabPVE::NotifyMatch::check($cfg->{sections}{$name}); 1 } or do { chomp(my $e = $@); fail(500, "$prefix: $e") } }
  return;
}

sub targets_get ($) {
  return {
    params => {}, returns => 'array', link => 'name',
    code => sub ($) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      return [map { my $s = $cfg->{sections}{$_}; my %r = (name => $_, map { defined $s->{$_} ? ($_ => $s->{$_}) : () } qw(type comment disable origin)); \%r } names_of($cfg, qw(sendmail gotify smtp webhook))];
    },
  };
}

sub test_create ($) {
  return {
    params => {%NAME}, returns => 'null',
    code => sub ($param) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      check_matchers($cfg, 'Could not instantiate notification bus: could not deserialize configuration');
      require LabPVE::NotifySend;
      my $name = $param->{name};
      fail(404, "endpoint '$name' does not exist") if !LabPVE::NotifySend::endpoint($cfg, $name);
      my $event = { severity => 'info', fields => {}, at => LabPVE::Env::now(), subject => 'Test notification', text => "This is a test of the notification target '$name'.\n" };
      eval { LabPVE::NotifySend::send_to($cfg, $name, $event); 1 } or do { chomp(my $e = $@); fail(500, "Could not test target: $e") };
      return;
    },
  };
}

sub list_get ($type) {
  return {
    params => {}, returns => 'array', link => 'name',
    code => sub ($) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      check_matchers($cfg, 'Could not fetch matchers') if $type eq 'matcher';
      return [map { row($cfg, $_) } names_of($cfg, $type)];
    },
  };
}

sub one_get ($type) {
  return {
    params => {%NAME}, returns => 'object',
    code => sub ($param) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      lookup($cfg, $type, $param->{name});
      if ($type eq 'matcher') { eval { LabPVE::NotifyMatch::check($cfg->{sections}{ $param->{name} }); 1 } or fail(404, "matcher '$param->{name}' not found") }
      return { %{ row($cfg, $param->{name}) }, digest => LabPVE::NotifyConfig::digest($cfg) };
    },
  };
}

# Read, change, write under the lock of Proxmox; the change stands in the ledger.
sub changed ($effect, $name, $code) {
  LabPVE::Env::with_lock('domain-notifications', sub {
    my $cfg = LabPVE::NotifyConfig::read_config();
    $code->($cfg);
    LabPVE::NotifyConfig::write_config($cfg);
  });
  LabPVE::Env::record_effect("notification.$effect", $name);
  return;
}

# Values of a matcher are read where Rust deserialises them: the text comes without an HTTP code.
sub check_matcher_values ($param) { eval { LabPVE::NotifyMatch::check($param); 1 } or die "error: $@"; return }

sub check_recipients ($type, $s) {
  return if $type ne 'sendmail' && $type ne 'smtp';
  fail(400, 'must at least provide one recipient, either in mailto or in mailto-user') if !@{ $s->{mailto} // [] } && !@{ $s->{'mailto-user'} // [] };
  return;
}

sub check_targets ($cfg, $names) {
  for my $t (@{ $names // [] }) { fail(404, "endpoint '$t' does not exist") if !$cfg->{sections}{$t} || $cfg->{sections}{$t}{type} eq 'matcher' }
  return;
}

# Splits what goes to the private file off, booleans and integers become numbers.
sub split_private ($type, $param) {
  my $secret = LabPVE::NotifyConfig::private_key($type);
  my %private = defined $secret && defined $param->{$secret} ? ($secret => delete $param->{$secret}) : ();
  my $kinds = $LabPVE::NotifyConfig::PROPERTIES{$type};
  for my $k (keys %$param) { $param->{$k} = 0 + $param->{$k} if $kinds->{$k} eq 'boolean' || $kinds->{$k} eq 'integer' }
  return \%private;
}

sub check_base64 ($what, $entries, $known) {
  my %seen;
  my @out;
  for my $entry (@$entries) {
    my ($name) = $entry =~ /(?:^|,)name=([^,]+)/ or fail(400, "$what without a name");
    my ($value) = $entry =~ /(?:^|,)value=([^,]*)/;
    if (!defined $value) {
      my ($old) = grep { /(?:^|,)name=\Q$name\E(?:,|$)/ } @{ $known // [] };
      fail(400, $what eq 'header' ? "header '$name' has empty value" : "secret '$name' not known") if !defined $old;
      $entry = $old;
    }
    elsif ($value !~ m{^[A-Za-z0-9+/]*={0,2}$} || length($value) % 4) { fail(400, "$what '$name' does not have valid base64 encoded data") }
    fail(400, "$what '$name' defined multiple times") if $seen{$name}++;
    push @out, $entry;
  }
  return \@out;
}

sub list_create ($type) {
  return {
    params => { %NAME, %{ $SCHEMA{$type} } }, returns => 'null',
    code => sub ($param) {
      my $name = delete $param->{name};
      my $private = split_private($type, $param);
      check_matcher_values($param) if $type eq 'matcher';
      changed('create', $name, sub ($cfg) {
        fail(400, "Cannot create '$name', an entity with the same name already exists") if $cfg->{sections}{$name};
        check_recipients($type, $param);
        check_targets($cfg, $param->{target});
        LabPVE::NotifyConfig::set_private($cfg, $name, { type => $type, %$private }) if defined LabPVE::NotifyConfig::private_key($type);
        $cfg->{sections}{$name} = { type => $type, %$param };
        push @{ $cfg->{order} }, $name;
      });
      return;
    },
  };
}

sub check_digest ($cfg, $digest) {
  return if !defined $digest;
  if ($digest =~ /([^0-9a-fA-F])/) { fail(400, "invalid digest: Invalid character '$1' at position $-[1]") }
  fail(400, 'invalid digest: Odd number of digits') if length($digest) % 2;
  fail(400, 'detected modified configuration - file changed by other user? Try again.') if lc $digest ne LabPVE::NotifyConfig::digest($cfg);
  return;
}

sub check_delete ($type, $delete) {
  my @known = @{ $DELETABLE{$type} };
  for my $k (@$delete) {
    next if grep { $_ eq $k } @known;
    my $all = @known == 2 ? "expected `$known[0]` or `$known[1]`" : 'expected one of ' . join ', ', map { "`$_`" } @known;
    die "error: unknown variant `$k`, $all\n";
  }
  return;
}

sub one_set ($type) {
  my %optional = map { ($_ => { %{ $SCHEMA{$type}{$_} }, optional => 1 }) } keys %{ $SCHEMA{$type} };
  return {
    params => { %NAME, %optional, delete => list_of('pve-configid'), digest => { optional => 1, maxLength => 64 } }, returns => 'null',
    code => sub ($param) {
      my ($name, $delete, $digest) = (delete $param->{name}, delete $param->{delete} // [], delete $param->{digest});
      my $private = split_private($type, $param);
      check_delete($type, $delete);
      check_matcher_values($param) if $type eq 'matcher';
      changed('set', $name, sub ($cfg) {
        check_digest($cfg, $digest);
        my $s = lookup($cfg, $type, $name);
        my $secret = LabPVE::NotifyConfig::private_key($type);
        my $old = $cfg->{private}{$name} // { type => $type };
        for my $k (@$delete) { delete $s->{$k}; delete $old->{$k} if defined $secret && $k eq $secret }
        $param->{header} = check_base64('header', $param->{header}) if $param->{header};
        $private->{secret} = check_base64('secret', $private->{secret}, $old->{secret}) if $private->{secret};
        @$s{ keys %$param } = values %$param;
        check_recipients($type, $s);
        check_targets($cfg, $param->{target});
        LabPVE::NotifyConfig::set_private($cfg, $name, { %$old, %$private }) if %$private || ($cfg->{private}{$name} && defined $secret);
      });
      return;
    },
  };
}

sub one_delete ($type) {
  return {
    params => {%NAME}, returns => 'null',
    code => sub ($param) {
      my $name = $param->{name};
      changed('delete', $name, sub ($cfg) {
        lookup($cfg, $type, $name);
        # A built-in only goes back to its default, so a reference to it does not break.
        my @users = $type eq 'matcher' || LabPVE::NotifyConfig::is_builtin($name) ? () : grep { my $t = $cfg->{sections}{$_}{target}; $t && grep { $_ eq $name } @$t } names_of($cfg, 'matcher');
        fail(400, "cannot delete '$name', referenced by: " . join ', ', sort @users) if @users;
        LabPVE::NotifyConfig::set_private($cfg, $name, undef);
        delete $cfg->{sections}{$name};
      });
      return;
    },
  };
}

# One set of functions a kind: sendmail_get, sendmail_create, sendmail_one_get and so on, as the routes name them.
for my $type (keys %SCHEMA) {
  no strict 'refs';
  *{"${type}_get"} = sub ($) { list_get($type) };
  *{"${type}_create"} = sub ($) { list_create($type) };
  *{"${type}_one_get"} = sub ($) { one_get($type) };
  *{"${type}_one_set"} = sub ($) { one_set($type) };
  *{"${type}_one_delete"} = sub ($) { one_delete($type) };
}
1;
