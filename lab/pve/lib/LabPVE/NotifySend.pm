package LabPVE::NotifySend;
# Sending an event {severity, fields, at, subject, text, html, raw} through one endpoint (proxmox-notify src/endpoints, proxmox-sys email.rs). A mail of a sendmail
# endpoint really goes to /usr/sbin/sendmail; below a root prefix, where there is none, it is left in /var/spool/nightshift-lab-mail. While a recording is
# replayed nothing is sent: its host had a dummy that took everything.
use v5.36;
use LabPVE::Env;
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

# Dies with `could not notify via endpoint(s): NAME: CAUSE`.
sub send_to ($cfg, $name, $event) {
  return if LabPVE::Env::recording();
  my $s = endpoint($cfg, $name);
  my $how = { sendmail => \&by_sendmail, smtp => \&by_smtp, gotify => \&by_gotify, webhook => \&by_webhook }->{ $s->{type} };
  eval { $how->($s, $cfg->{private}{$name} // {}, $event); 1 } or do { chomp(my $e = "$@"); die "could not notify via endpoint(s): $name: $e\n" };
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
  # A mail that is passed on keeps its headers (proxmox-sys email.rs forward).
  return sendmail($from, \@to, $event->{raw} // message($s->{author} // 'Proxmox VE', $from, \@to, $event));
}

sub sendmail ($from, $to, $mail) {
  if (length $LabPVE::Env::ROOT) {
    my @before = LabPVE::Env::list_dir($SPOOL);
    return LabPVE::Env::write_file(sprintf("$SPOOL/%04d.eml", 1 + @before), $mail);
  }
  die "could not spawn sendmail process: No such file or directory (os error 2)\n" if !-x $SENDMAIL;
  my $pid = open my $fh, '|-' // die "could not spawn sendmail process: $!\n";
  if (!$pid) { exec { $SENDMAIL } $SENDMAIL, '-B', '8BITMIME', '-f', $from, '--', @$to or exit 127 }
  local $SIG{PIPE} = 'IGNORE';
  print $fh $mail;
  # The real one waits for sendmail but does not look at its exit status (proxmox-sys email.rs): `notified via target` does not prove that the MTA took it.
  close $fh;
  return;
}

# SMTP without a queue and without a second attempt; 5 seconds for all of it. TLS is openssl's, with the system's certificates.
sub by_smtp ($s, $private, $event) {
  my @to = recipients($s->{mailto}, $s->{'mailto-user'});
  die "At least one recipient has to be specified!\n" if !@to;
  my $mode = $s->{mode} // 'tls';
  my $port = $s->{port} // { tls => 465, starttls => 587, insecure => 25 }->{$mode};
  my $mail = message($s->{author} // 'Proxmox VE', $s->{'from-address'}, \@to, $event);
  my @pids;
  my $ok = eval {
    local $SIG{ALRM} = sub { die "Connection error: timed out\n" };
    local $SIG{PIPE} = 'IGNORE';
    alarm 5;
    my ($in, $out) = $mode eq 'insecure' ? plain_connection($s->{server}, $port) : tls_connection($s->{server}, $port, $mode, \@pids);
    smtp_dialogue($in, $out, $s, $private, \@to, $mail, $mode eq 'starttls');
    1;
  };
  my $err = $@;
  alarm 0;
  kill 'TERM', @pids;
  waitpid $_, 0 for @pids;
  die $err if !$ok;
  return;
}

sub plain_connection ($server, $port) {
  require IO::Socket::INET;
  my $socket = IO::Socket::INET->new(PeerAddr => $server, PeerPort => $port, Proto => 'tcp', Timeout => 5) // die "Connection error: $@\n";
  return ($socket, $socket);
}

sub tls_connection ($server, $port, $mode, $pids) {
  require IPC::Open3;
  my @name = $server =~ /^[0-9.]+$|:/ ? ('-verify_ip', $server) : ('-verify_hostname', $server, '-servername', $server);
  my @cmd = ('openssl', 's_client', '-quiet', '-connect', "$server:$port", '-verify_return_error', @name, $mode eq 'starttls' ? ('-starttls', 'smtp') : ());
  open my $null, '>', '/dev/null';
  push @$pids, IPC::Open3::open3(my $out, my $in, '>&' . fileno $null, @cmd);
  return ($in, $out);
}

sub smtp_dialogue ($in, $out, $s, $private, $to, $mail, $greeted) {
  my $reply = sub ($want) {
    my $text = '';
    while (1) {
      my $line = <$in> // die "Connection error: the connection was closed, or its certificate is not valid\n";
      $text .= $line;
      last if $line =~ /^\d{3}(?: |\r?$)/;
    }
    die 'permanent error: ' . $text =~ s/\r?\n$//r . "\n" if $text !~ /^$want/;
    return $text;
  };
  my $say = sub ($line, $want) { print $out "$line\r\n"; $out->flush; $reply->($want) };
  $out->autoflush(1);
  # openssl takes the greeting of a STARTTLS server itself.
  $reply->(2) if !$greeted;
  $say->('EHLO ' . LabPVE::Env::node(), 2);
  if (defined $s->{username}) {
    require MIME::Base64;
    $say->('AUTH PLAIN ' . MIME::Base64::encode_base64("\0$s->{username}\0" . ($private->{password} // ''), ''), 2);
  }
  $say->("MAIL FROM:<$s->{'from-address'}> BODY=8BITMIME", 2);
  $say->("RCPT TO:<$_>", 2) for @$to;
  $say->('DATA', 3);
  print $out $mail =~ s/^\./../gmr =~ s/\n/\r\n/gr;
  $say->('.', 2);
  print $out "QUIT\r\n";
  return;
}

# HTTP with the core module; it has no TLS, and pretending would be worse than failing.
sub http ($method, $url, $headers, $body) {
  die "nightshift-lab (emulated Proxmox): HTTPS endpoints are not emulated\n" if $url !~ m{^http://}i;
  require HTTP::Tiny;
  my $r = HTTP::Tiny->new(timeout => 10, agent => 'proxmox-notify')->request(uc $method, $url, { headers => $headers, defined $body ? (content => $body) : () });
  die $r->{status} == 599 ? $r->{content} =~ s/\s+$//r . "\n" : "request failed with status code $r->{status}\n" if !$r->{success};
  return;
}

sub by_gotify ($s, $private, $event) {
  require LabPVE::Json;
  my %priority = (info => 1, notice => 3, warning => 5, error => 9, unknown => 3);
  my $body = LabPVE::Json::encode({ title => $event->{subject}, message => $event->{text}, priority => $priority{ $event->{severity} }, extras => { 'client::display' => { contentType => 'text/plain' } } });
  return http('POST', ($s->{server} =~ s{/+$}{}r) . '/message', { 'Content-Type' => 'application/json', 'X-Gotify-Key' => $private->{token} // '' }, $body);
}

sub named_values ($entries) {
  require MIME::Base64;
  my %named;
  for my $entry (@{ $entries // [] }) {
    my ($name) = $entry =~ /(?:^|,)name=([^,]+)/ or next;
    my ($value) = $entry =~ /(?:^|,)value=([^,]*)/;
    $named{$name} = MIME::Base64::decode_base64($value // '');
  }
  return %named;
}

# `{{ title }}`, `{{ escape message }}`, `{{ fields.type }}`, `{{ secrets.path }}`: the small part of Handlebars that webhooks are made of.
sub render ($template, $data) {
  my $value = sub ($path) { my $v = $data; for my $k (split /\./, $path) { $v = ref $v eq 'HASH' ? $v->{$k} : undef } $v };
  require LabPVE::Json;
  my %helper = (
    'url-encode' => sub ($v) { my $b = "$v"; utf8::encode($b) if utf8::is_utf8($b); $b =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ger },
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
  require MIME::Base64;
  my $body = defined $s->{body} ? render(MIME::Base64::decode_base64($s->{body}), \%data) : undef;
  utf8::encode($body) if defined $body && utf8::is_utf8($body);
  return http($s->{method}, render($s->{url}, \%data), \%headers, $body);
}
1;
