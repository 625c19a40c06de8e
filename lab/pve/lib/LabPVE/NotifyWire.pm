package LabPVE::NotifyWire;
# The way to SMTP and HTTP servers, with the texts of the crates that do it on a real host: lettre 0.11 (SMTP) and ureq 3 (HTTP), each compared with the crate itself
# against a server that refuses. TLS is openssl's, with the system's certificates; what is said of a bad certificate is the lab's own text.
use v5.36;
use LabPVE::Env;
use Socket qw(getaddrinfo SOCK_STREAM);

my %OS_ERROR = ('Network is unreachable' => 101, 'Connection reset by peer' => 104, 'Connection timed out' => 110, 'Connection refused' => 111, 'No route to host' => 113);

sub os_error ($text) { return defined $OS_ERROR{$text} ? "$text (os error $OS_ERROR{$text})" : $text }

# Dies as Rust's standard library when the name means nothing. While a recording is replayed nothing leaves this machine.
sub check_host ($host, $prefix) {
  my ($err, @found) = getaddrinfo($host, '', { socktype => SOCK_STREAM });
  die "$prefix: failed to lookup address information: $err\n" if $err;
  return if !LabPVE::Env::recording() || $host =~ /^(?:localhost|127\.[0-9.]+|::1|\[::1\])$/;
  die "nightshift-lab (emulated Proxmox): '$host' is not tried while a recording is replayed\n";
}

# 5 seconds for all of it.
sub smtp ($s, $from, $to, $mail) {
  my $mode = $s->{mode} // 'tls';
  my $port = $s->{port} // { tls => 465, starttls => 587, insecure => 25 }->{$mode};
  check_host($s->{server}, 'Connection error');
  my @pids;
  my $ok = eval {
    local $SIG{ALRM} = sub { die "network error: Resource temporarily unavailable (os error 11)\n" };
    local $SIG{PIPE} = 'IGNORE';
    alarm 5;
    my ($in, $out) = $mode eq 'insecure' ? plain_connection($s->{server}, $port) : tls_connection($s->{server}, $port, $mode, \@pids);
    dialogue($in, $out, $s, $from, $to, $mail);
    1;
  };
  my $err = $@;
  alarm 0;
  kill 'TERM', @pids;
  waitpid $_, 0 for @pids;
  die $err if !$ok;
  return;
}

sub plain_connection ($server, $port, $prefix = 'Connection error') {
  require IO::Socket::IP;
  my $socket = IO::Socket::IP->new(PeerHost => $server, PeerPort => $port, Proto => 'tcp', Timeout => 5) // die "$prefix: " . os_error("$!") . "\n";
  return ($socket, $socket);
}

sub tls_connection ($server, $port, $mode, $pids) {
  # openssl does not say why it cannot connect.
  close +(plain_connection($server, $port))[0];
  require IPC::Open3;
  my @name = $server =~ /^[0-9.]+$|:/ ? ('-verify_ip', $server) : ('-verify_hostname', $server, '-servername', $server);
  my @cmd = ('openssl', 's_client', '-quiet', '-connect', "$server:$port", '-verify_return_error', @name, $mode eq 'starttls' ? ('-starttls', 'smtp') : ());
  open my $null, '>', '/dev/null';
  push @$pids, IPC::Open3::open3(my $out, my $in, '>&' . fileno $null, @cmd);
  return ($in, $out);
}

sub dialogue ($in, $out, $s, $from, $to, $mail) {
  my $mode = $s->{mode} // 'tls';
  my $started = 0;
  my $reply = sub ($want) {
    my ($code, @text);
    while (1) {
      my $line = <$in> // die $mode eq 'insecure' || $started ? "response error: incomplete response\n" : "Connection error: the connection was closed, or its certificate is not valid\n";
      $started = 1;
      $line =~ s/\r?\n\z//;
      ($code, my $more, my $text) = $line =~ /^([2-5]\d\d)([ -]?)(.*)$/ or die "response error: error Tag at: $line\\r\\n\n";
      push @text, $text if length $text;
      last if $more ne '-';
    }
    return \@text if $code =~ /^$want/;
    print $out "QUIT\r\n";
    die(($code =~ /^4/ ? 'transient' : 'permanent') . " error ($code): @text\n");
  };
  my $say = sub ($line, $want) { print $out "$line\r\n"; $out->flush; $reply->($want) };
  $out->autoflush(1);
  # openssl takes the greeting of a STARTTLS server itself.
  $reply->(2) if $mode ne 'starttls';
  my $can = $say->('EHLO ' . LabPVE::Env::node(), 2);
  login($say, $s, $can) if defined $s->{username};
  $say->("MAIL FROM:<$from> BODY=8BITMIME", 2);
  $say->("RCPT TO:<$_>", 2) for @$to;
  $say->('DATA', 3);
  print $out $mail =~ s/^\./../gmr =~ s/\n/\r\n/gr;
  $say->('.', 2);
  print $out "QUIT\r\n";
  return;
}

sub login ($say, $s, $can) {
  require MIME::Base64;
  my $word = sub ($text) { MIME::Base64::encode_base64($text, '') };
  my %offered = map { (uc $_ => 1) } map { /^AUTH[ =](.*)$/i ? split ' ', $1 : () } @$can;
  if ($offered{PLAIN}) { $say->('AUTH PLAIN ' . $word->("\0$s->{username}\0$s->{password}"), 2) }
  elsif ($offered{LOGIN}) {
    $say->('AUTH LOGIN', 3);
    $say->($word->($s->{username}), 3);
    $say->($word->($s->{password}), 2);
  }
  else { die "internal client error: No compatible authentication mechanism was found\n" }
  return;
}

# HTTP with the core module; it has no TLS, and pretending would be worse than failing.
sub http ($method, $url, $headers, $body) {
  my ($scheme, $host, $port) = $url =~ m{^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#:\[\]]+|\[[^\]]*\])(?::(\d+))?} or die "invalid format\n";
  die "bad uri: unknown scheme: $scheme\n" if $scheme !~ /^https?$/i;
  $host =~ s/^\[|\]$//g;
  check_host($host, 'io');
  if (lc $scheme ne 'http') {
    plain_connection($host, $port // 443, 'io');
    die "nightshift-lab (emulated Proxmox): HTTPS endpoints are not emulated\n";
  }
  require HTTP::Tiny;
  my $r = HTTP::Tiny->new(timeout => 10, agent => 'proxmox-sync-http-client')->request(uc $method, $url, { headers => { accept => '*/*', %$headers }, content => $body });
  return if $r->{success};
  die "http status: $r->{status}\n" if $r->{status} != 599;
  my $text = $r->{content} =~ s/\s+$//r;
  die "timeout: global\n" if $text =~ /^Timed out/;
  die 'io: ' . os_error($text =~ s/^Could not connect to '[^']*': //r) . "\n";
}
1;
