#!/usr/bin/perl
# The second channel of the lab, in the place of an ntfy server: keeps each POST as one line of JSON (time, path, headers, body).
# /etc/nightshift-lab/webhook.json switches it: {"status":503} answers that instead and keeps nothing.
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP ();

my ( $port, $log ) = @ARGV;
my $json   = JSON::PP->new->canonical->utf8;
my $server = IO::Socket::INET->new( LocalPort => $port, Listen => 16, ReuseAddr => 1 ) or die "port $port: $!";

while ( my $client = $server->accept ) {
    local $SIG{ALRM} = sub { die "slow client\n" };
    eval { alarm 10; serve($client); alarm 0 };
    alarm 0;
    close $client;
}

sub serve {
    my ($client) = @_;
    my ( $method, $path ) = ( <$client> // '' ) =~ /^(\S+) (\S+)/ or return;
    my %headers;
    while ( defined( my $line = <$client> ) ) {
        $line =~ s/\r?\n//;
        last if $line eq '';
        my ( $name, $value ) = split /:\s*/, $line, 2;
        $headers{ lc $name } = $value;
    }
    my $body = '';
    read $client, $body, $headers{'content-length'} // 0;
    my $status = wanted_status();
    if ( $method eq 'POST' && $status == 200 ) {
        open my $file, '>>', $log or die "$log: $!";
        print $file $json->encode( { at => time, path => $path, headers => \%headers, body => $body } ), "\n";
        close $file;
    }
    my $answer = $json->encode( { id => sprintf( '%x', time ), event => 'message' } );
    print $client "HTTP/1.1 $status Lab\r\nContent-Type: application/json\r\nContent-Length: ", length $answer, "\r\nConnection: close\r\n\r\n$answer";
}

sub wanted_status {
    open my $file, '<', '/etc/nightshift-lab/webhook.json' or return 200;
    local $/;
    return JSON::PP->new->decode(<$file>)->{status} // 200;
}
