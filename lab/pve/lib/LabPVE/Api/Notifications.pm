package LabPVE::Api::Notifications;
# /cluster/notifications: endpoints, targets, matchers (pve-manager PVE/API2/Cluster/Notifications.pm over proxmox-notify src/api).
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::NotifyConfig;
use LabPVE::NotifyMatch;
use LabPVE::NotifySchema;

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
# In the order in which the program lists them when it is asked to delete another one.
my %DELETABLE = (
  sendmail => [qw(author comment disable from-address mailto mailto-user)],
  smtp => [qw(author comment disable mailto mailto-user password port username)],
  gotify => [qw(comment disable)],
  webhook => [qw(comment disable header body secret)],
  matcher => [qw(comment disable invert-match match-calendar match-field match-severity mode target)],
);
my %NEVER_SHOWN = map { ($_ => 1) } qw(password token);

# What a table of these entities shows: the properties that each has, then the others.
sub shown_properties ($type, %more) {
  my %props = (%NAME, (map { $NEVER_SHOWN{$_} ? () : ($_ => $SCHEMA{$type}{$_}) } keys %{ $SCHEMA{$type} }), %more);
  return \%props;
}

sub fail ($code, $text) { LabPVE::Error::raise("$text\n", code => $code) }
sub noun ($type) { return $type eq 'matcher' ? 'matcher' : 'endpoint' }

sub index_of (@names) { return { params => {}, returns => 'array', link => 'name', code => sub ($) { [map { { name => $_ } } @names] } } }
sub index_get ($) { return index_of(qw(endpoints matchers targets matcher-fields matcher-field-values)) }
sub endpoints_get ($) { return index_of(qw(gotify sendmail smtp webhook)) }
sub fields_get ($) { return index_of(qw(type hostname job-id)) }

sub values_get ($) {
  return {
    params => {}, returns => 'array', shown => { field => {}, value => {}, comment => $TEXT },
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

# What a section shows of itself: a matcher's lines in their normal form, no secret values, of a webhook the names of its secrets.
sub row ($cfg, $name) {
  my %row = (%{ $cfg->{sections}{$name} }, name => $name);
  delete $row{filter};
  my $type = delete $row{type};
  LabPVE::NotifyMatch::normalise(\%row) if $type eq 'matcher';
  if ($type eq 'webhook') {
    delete $row{secret};
    my @names = map { my %p = map { @$_ } LabPVE::NotifySchema::pairs($_); "name=$p{name}" } @{ ($cfg->{private}{$name} // {})->{secret} // [] };
    $row{secret} = \@names if @names;
  }
  return \%row;
}

sub names_of ($cfg, @types) {
  my %want = map { ($_ => 1) } @types;
  my %seen;
  return grep { $want{ $cfg->{sections}{$_}{type} } && !$seen{$_}++ } @{ $cfg->{order} };
}

# A section of that type; a matcher that cannot be read counts as not there.
sub lookup ($cfg, $type, $name) {
  my $s = $cfg->{sections}{$name};
  fail(404, noun($type) . " '$name' not found") if !$s || $s->{type} ne $type || ($type eq 'matcher' && !eval { LabPVE::NotifyMatch::check($s); 1 });
  return $s;
}

# A matcher that cannot be read fails the list of all matchers, and everything that needs them.
sub check_matchers ($cfg, $prefix) {
  for my $name (names_of($cfg, 'matcher')) { eval { LabPVE::NotifyMatch::check($cfg->{sections}{$name}); 1 } or do { chomp(my $e = $@); fail(500, "$prefix: $e") } }
  return;
}

my %TARGET = (%NAME, type => {}, comment => $TEXT, disable => $BOOL, origin => {});

sub targets_get ($) {
  return {
    params => {}, returns => 'array', link => 'name', shown => \%TARGET,
    code => sub ($) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      return [map { my $s = $cfg->{sections}{$_}; my %r = (name => $_, map { defined $s->{$_} ? ($_ => $s->{$_}) : () } qw(type comment disable origin)); \%r } map { names_of($cfg, $_) } qw(gotify sendmail smtp webhook)];
    },
  };
}

sub test_create ($) {
  return {
    params => {%NAME}, returns => 'null',
    code => sub ($param) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      require LabPVE::NotifySend;
      print STDERR "ERROR: $_\n" for LabPVE::NotifySend::left_out($cfg);
      check_matchers($cfg, 'Could not instantiate notification bus: could not deserialize configuration');
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
    params => {}, returns => 'array', link => 'name', shown => shown_properties($type, origin => {}),
    code => sub ($) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      check_matchers($cfg, 'Could not fetch matchers') if $type eq 'matcher';
      return [map { row($cfg, $_) } names_of($cfg, $type)];
    },
  };
}

sub one_get ($type) {
  return {
    params => {%NAME}, returns => 'object', shown => shown_properties($type, digest => $TEXT),
    code => sub ($param) {
      my $cfg = LabPVE::NotifyConfig::read_config();
      lookup($cfg, $type, $param->{name});
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

# Values that Rust reads when it is handed them: the text comes without an HTTP code, after the file was read and before anything is looked up in it.
sub take_values ($type, $param) {
  if (defined(my $port = $param->{port})) { die "error: invalid value: integer `$port`, expected u16\n" if $port < 0 || $port > 65535 }
  eval {
    LabPVE::NotifyMatch::normalise($param) if $type eq 'matcher';
    for my $key (qw(header secret)) { $param->{$key} = [map { LabPVE::NotifySchema::normal_pair($_) } @{ $param->{$key} }] if $param->{$key} }
    1;
  } or die "error: $@";
  return;
}

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
  my $kinds = $LabPVE::NotifySchema::PUBLIC{$type};
  for my $k (keys %$param) { $param->{$k} = 0 + $param->{$k} if $kinds->{$k} eq 'boolean' || $kinds->{$k} eq 'integer' }
  return \%private;
}

sub list_create ($type) {
  return {
    params => { %NAME, %{ $SCHEMA{$type} } }, returns => 'null',
    code => sub ($param) {
      my $name = delete $param->{name};
      changed('create', $name, sub ($cfg) {
        take_values($type, $param);
        my $private = split_private($type, $param);
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
  my $bytes = $digest;
  utf8::encode($bytes);
  fail(400, 'invalid digest: Odd number of digits') if length($bytes) % 2;
  if ($bytes =~ /([^0-9a-fA-F])/) { fail(400, "invalid digest: Invalid character '$1' at position $-[1]") }
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

# A port given to `set` arrives as text and is refused as such (perlmod src/de.rs wants a Perl number; pve-common RESTHandler.pm hands text on). A list or a boolean
# beside it makes it a number on its way there, mostly: the order of a Perl hash decides. Here it always does.
sub check_port ($param) {
  return if !defined $param->{port} || grep { ref $param->{$_} || $_ eq 'disable' } keys %$param;
  die "error: invalid type: string \"$param->{port}\", expected u16\n";
}

# Header lines and secrets of a webhook that is changed: each with a value that can be decoded, secrets also by the name alone of one that there is.
sub check_base64 ($what, $entries, $known = []) {
  my (%old, %seen, @out);
  for my $entry (@{ $known // [] }) { my %p = map { @$_ } LabPVE::NotifySchema::pairs($entry); $old{ $p{name} } //= $entry }
  for my $entry (@$entries) {
    my %p = map { @$_ } LabPVE::NotifySchema::pairs($entry);
    if (!defined $p{value}) {
      fail(400, "header '$p{name}' has empty value") if $what eq 'header';
      $entry = $old{ $p{name} } // fail(400, "secret '$p{name}' not known");
    }
    elsif (!defined LabPVE::NotifySchema::base64_text($p{value})) { fail(400, "$what '$p{name}' does not have valid base64 encoded data") }
    fail(400, "secret '$p{name}' defined multiple times") if $what eq 'secret' && $seen{ $p{name} }++;
    push @out, $entry;
  }
  return \@out;
}

# What `set` does once the section is known: deletions first, then what was given.
sub apply_change ($cfg, $type, $name, $param, $delete) {
  my $s = lookup($cfg, $type, $name);
  my $secret = LabPVE::NotifyConfig::private_key($type);
  my $private = split_private($type, $param);
  my $kept = $cfg->{private}{$name};
  fail(500, "could not read secret config: no such webhook '$name'") if $type eq 'webhook' && !$kept;
  my %new = %{ $kept // { type => $type } };
  delete $s->{filter};
  LabPVE::NotifyMatch::normalise($s) if $type eq 'matcher';
  for my $k (@$delete) { delete $s->{$k}; delete $new{$k} if defined $secret && $k eq $secret }
  $param->{header} = check_base64('header', $param->{header}) if $param->{header};
  $private->{secret} = check_base64('secret', $private->{secret}, $kept->{secret}) if $private->{secret};
  @$s{ keys %$param } = values %$param;
  check_recipients($type, $s);
  check_targets($cfg, $param->{target});
  my $touched = %$private || grep { defined $secret && $_ eq $secret } @$delete;
  LabPVE::NotifyConfig::set_private($cfg, $name, { %new, %$private }) if $touched;
  return;
}

sub one_set ($type) {
  my %optional = map { ($_ => { %{ $SCHEMA{$type}{$_} }, optional => 1 }) } keys %{ $SCHEMA{$type} };
  return {
    params => { %NAME, %optional, delete => list_of('pve-configid'), digest => { optional => 1, maxLength => 64 } }, returns => 'null',
    code => sub ($param) {
      my ($name, $delete, $digest) = (delete $param->{name}, delete $param->{delete} // [], delete $param->{digest});
      changed('set', $name, sub ($cfg) {
        check_port({ %$param, @$delete ? (delete => $delete) : () });
        take_values($type, $param);
        check_delete($type, $delete);
        check_digest($cfg, $digest);
        apply_change($cfg, $type, $name, $param, $delete);
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
        if ($type ne 'matcher' && !LabPVE::NotifyConfig::is_builtin($name)) {
          check_matchers($cfg, 'Could not fetch matchers');
          my @users = grep { my $t = $cfg->{sections}{$_}{target}; $t && grep { $_ eq $name } @$t } names_of($cfg, 'matcher');
          fail(400, "cannot delete '$name', referenced by: " . join ', ', sort @users) if @users;
        }
        LabPVE::NotifyConfig::set_private($cfg, $name, undef) if $type ne 'matcher' && $type ne 'sendmail';
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
