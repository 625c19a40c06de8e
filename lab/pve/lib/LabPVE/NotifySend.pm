package LabPVE::NotifySend;
# Sending an event {severity, fields, at, subject, text, html, raw} through one endpoint (proxmox-notify src/endpoints, proxmox-sys email.rs). A mail of a sendmail
# endpoint really goes to /usr/sbin/sendmail; below a root prefix, where there is none, it is left in /var/spool/nightshift-lab-mail. While a recording is
# replayed it goes nowhere: its host had a dummy that took everything.
use v5.36;
use LabPVE::Env;
use LabPVE::NotifySchema;
use LabPVE::Users;

our $SPOOL = '/var/spool/nightshift-lab-mail';
my $SENDMAIL = '/usr/sbin/sendmail';

# The endpoint's section, or undef: one without its private section is not there for the bus.
sub endpoint ($cfg, $name) {
  my $s = $cfg->{sections}{$name};
  return undef if !$s || $s->{type} eq 'matcher';
  return undef if defined LabPVE::NotifyConfig::private_key($s->{type}) && !$cfg->{private}{$name};
  return $s;
}

# What the bus says of each endpoint that it leaves out.
sub left_out ($cfg) {
  my @names = grep { my $s = $cfg->{sections}{$_}; $s && $s->{type} ne 'matcher' && !endpoint($cfg, $_) } @{ $cfg->{order} };
  return map { "Could not instantiate endpoint '$_': private config does not exist" } @names;
}

# Dies with `could not notify via endpoint(s): NAME: CAUSE`, of a webhook with the cause alone.
sub send_to ($cfg, $name, $event) {
  my $s = endpoint($cfg, $name);
  my $how = { sendmail => \&by_sendmail, smtp => \&by_smtp, gotify => \&by_gotify, webhook => \&by_webhook }->{ $s->{type} };
  eval { $how->($s, $cfg->{private}{$name} // {}, $event); 1 } or do { chomp(my $e = "$@"); die $s->{type} eq 'webhook' ? "$e\n" : "could not notify via endpoint(s): $name: $e\n" };
  return if LabPVE::Env::recording();
  LabPVE::Env::record_effect('notification.sent', $name);
  return;
}

sub datacenter ($key) { return (LabPVE::Env::read_file('/etc/pve/datacenter.cfg') // '') =~ /^\Q$key\E:\s*(\S+)\s*$/m ? $1 : undef }

# Addresses of a list of addresses and of a list of users (7th field of user.cfg); a user without one gets nothing.
sub recipients ($mailto, $users) {
  my %email = map { ($_->{userid} => $_->{email}) } @{ LabPVE::Users::users() };
  my %seen;
  return grep { defined && length && !$seen{$_}++ } @{ $mailto // [] }, map { $email{$_} } @{ $users // [] };
}

sub html_escape ($text) { return $text =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr }

sub mime_word ($text) {
  return $text if $text !~ /[^\x20-\x7e]/;
  utf8::encode($text) if utf8::is_utf8($text);
  require MIME::Base64;
  return '=?utf-8?B?' . MIME::Base64::encode_base64($text, '') . '?=';
}

# A mail in two parts, text and HTML, as bytes with line feeds.
sub message ($author, $from, $to, $event) {
  my @t = localtime $event->{at};
  require POSIX;
  my $date = POSIX::strftime('%a, %d %b %Y %T %z', @t);
  my $boundary = "----_=_NextPart_001_$event->{at}";
  my $html = $event->{html} // '<html><body><pre>' . html_escape($event->{text}) . '</pre></body></html>';
  my $part = sub ($type, $body) { "Content-Type: $type;\n\tcharset=\"UTF-8\"\nContent-Transfer-Encoding: 8bit\n\n$body" };
  my $mail = "Content-Type: multipart/alternative;\n\tboundary=\"$boundary\"\nMIME-Version: 1.0\nSubject: " . mime_word($event->{subject}) . "\nFrom: " . mime_word($author) . " <$from>\nTo: " . join(',', @$to) . "\nDate: $date\nAuto-Submitted: auto-generated;\n"
    . "\nThis is a multi-part message in MIME format.\n\n--$boundary\n" . $part->('text/plain', $event->{text}) . "\n--$boundary\n" . $part->('text/html', $html) . "\n--$boundary--\n";
  utf8::encode($mail) if utf8::is_utf8($mail);
  return $mail;
}

sub by_sendmail ($s, $, $event) {
  my @to = recipients($s->{mailto}, $s->{'mailto-user'});
  die "At least one recipient has to be specified!\n" if !@to;
  my $from = $s->{'from-address'} // datacenter('email_from') // 'root';
  return if LabPVE::Env::recording();
  # A mail that is passed on keeps its headers, and nobody is told of its fate (proxmox-sendmail forward).
  return sendmail($from, \@to, $event->{raw}, '-N', 'never') if defined $event->{raw};
  return sendmail($from, \@to, message($s->{author} // 'Proxmox VE', $from, \@to, $event), '-B', '8BITMIME');
}

sub sendmail ($from, $to, $mail, @options) {
  if (length $LabPVE::Env::ROOT) {
    my @before = LabPVE::Env::list_dir($SPOOL);
    return LabPVE::Env::write_file(sprintf("$SPOOL/%04d.eml", 1 + @before), $mail);
  }
  die "could not spawn sendmail process: No such file or directory (os error 2)\n" if !-x $SENDMAIL;
  my $pid = open my $fh, '|-' // die "could not spawn sendmail process: $!\n";
  if (!$pid) { exec { $SENDMAIL } $SENDMAIL, @options, '-f', $from, '--', @$to or exit 127 }
  local $SIG{PIPE} = 'IGNORE';
  print $fh $mail;
  # The real one waits for sendmail but does not look at its exit status (proxmox-sys email.rs): `notified via target` does not prove that the MTA took it.
  close $fh;
  return;
}

# SMTP without a queue and without a second attempt. What cannot be read as an address fails before anything is sent (lettre's Mailbox).
sub by_smtp ($s, $private, $event) {
  die "username is set but no password was provided\n" if defined $s->{username} && !defined $private->{password};
  my $from = $s->{'from-address'};
  my @to = recipients($s->{mailto}, $s->{'mailto-user'});
  for my $address ($from, @to) { die "Invalid input\n" if $address !~ /^[^\s@<>]+\@[^\s@<>]+\z/ }
  die "missing destination address, invalid envelope\n" if !@to;
  require LabPVE::NotifyWire;
  return LabPVE::NotifyWire::smtp({ %$s, password => $private->{password} }, $from, \@to, message($s->{author} // 'Proxmox VE', $from, \@to, $event));
}

# The text stands in a code block: the server reads Markdown.
sub by_gotify ($s, $private, $event) {
  require LabPVE::Json;
  require LabPVE::NotifyWire;
  my %priority = (info => 1, notice => 3, warning => 5, error => 9, unknown => 3);
  my %body = (title => $event->{subject}, message => "```\n$event->{text}\n```", priority => $priority{ $event->{severity} }, extras => { 'client::display' => { contentType => 'text/markdown' } });
  my %headers = ('Content-Type' => 'application/json', Authorization => "Bearer $private->{token}", 'X-Gotify-Key' => $private->{token});
  return LabPVE::NotifyWire::http('POST', "$s->{server}/message", \%headers, LabPVE::Json::encode(\%body));
}

sub named_values ($entries) {
  my %named;
  for my $entry (@{ $entries // [] }) {
    my %p = map { @$_ } LabPVE::NotifySchema::pairs($entry);
    eval { LabPVE::NotifySchema::base64_bytes($p{value} // ''); 1 } or die "could not decode base64 value with key '$p{name}'\n";
    $named{ $p{name} } = LabPVE::NotifySchema::base64_text($p{value} // '') // die "could not decode UTF8 string from base64, key '$p{name}'\n";
  }
  return %named;
}

# `{{ title }}`, `{{ escape message }}`, `{{ fields.type }}`, `{{ secrets.path }}`: the small part of Handlebars that webhooks are made of.
sub render ($template, $data) {
  my $value = sub ($path) { my $v = $data; for my $k (split /\./, $path) { $v = ref $v eq 'HASH' ? $v->{$k} : undef } $v };
  require LabPVE::Json;
  my %helper = (
    'url-encode' => sub ($v) { my $b = "$v"; utf8::encode($b) if utf8::is_utf8($b); $b =~ s/([\x00-\x20!#\$%&'()*+,\/:;=?@\[\]\x7f-\xff])/sprintf '%%%02X', ord $1/ger },
    escape => sub ($v) { LabPVE::Json::encode("$v") =~ s/^"|"$//gr },
    json => sub ($v) { LabPVE::Json::encode($v) },
  );
  $template =~ s/\{\{\{?\s*(?:(url-encode|escape|json)\s+)?([A-Za-z0-9_.-]+)\s*\}?\}\}/my $v = $value->($2); $1 ? $helper{$1}->($v \/\/ '') : $v \/\/ ''/ge;
  die "nightshift-lab (emulated Proxmox): the webhook template has more than the lab reads: '" . substr($template, $-[0], 40) . "'\n" if $template =~ /\{\{/;
  return $template;
}

sub by_webhook ($s, $private, $event) {
  my %secrets = named_values($private->{secret});
  my %data = (title => $event->{subject}, message => $event->{text}, severity => $event->{severity}, timestamp => 0 + $event->{at}, fields => $event->{fields}, secrets => \%secrets);
  my %headers = named_values($s->{header});
  $_ = render($_, \%data) for values %headers;
  eval { LabPVE::NotifySchema::base64_bytes($s->{body} // ''); 1 } or die "could not decode base64 value: $@";
  my $body = render(LabPVE::NotifySchema::base64_text($s->{body} // '') // die("base64 encoded value did not contain valid utf8\n"), \%data);
  utf8::encode($body) if utf8::is_utf8($body);
  require LabPVE::NotifyWire;
  my $ok = eval { LabPVE::NotifyWire::http($s->{method}, render($s->{url}, \%data), \%headers, $body); 1 };
  # Secrets do not show in what is said of an error.
  die masked("$@", values %secrets) if !$ok;
  return;
}

sub masked ($text, @secrets) {
  for my $secret (@secrets) { $text =~ s/\Q$secret\E/<masked>/g if length $secret }
  return $text;
}
1;
