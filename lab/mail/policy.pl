#!/usr/bin/perl
# What a default Stalwart refuses and Postfix would not: asked by smtpd at each recipient and at the end of each message (policy delegation protocol).
# /etc/nightshift-lab/mail.json switches it, read at each question:
#   {"per_hour":25,"per_session":10,"must_match_sender":true,"answers":[{"stage":"RCPT","recipient":"regex","text":"452 4.2.2 …","times":2,"seconds":5}]}
# `answers` are faults on purpose: the first that fits answers, after `seconds`; with `times` it does so that often. Their count is in /var/lib/nightshift-lab/mail/.
use strict;
use warnings;
use Fcntl qw(:flock);
use JSON::PP ();

my $settings_path = '/etc/nightshift-lab/mail.json';
my $folder        = '/var/lib/nightshift-lab/mail';
$| = 1;

while ( defined( my $question = read_question() ) ) {
    print 'action=', answer($question), "\n\n";
}

sub read_question {
    my %question;
    while ( defined( my $line = <STDIN> ) ) {
        chomp $line;
        return \%question if $line eq '' && %question;
        my ( $name, $value ) = split /=/, $line, 2;
        $question{$name} = $value if defined $value;
    }
    return undef;
}

sub answer {
    my ($q) = @_;
    my $settings = settings();
    return locked(
        sub {
            my $staged = staged_answer( $settings, $q );
            return $staged if defined $staged;
            return 'DUNNO' unless $q->{protocol_state} eq 'RCPT';
            # One name is one account here, as with an individual principal that has one address; a null sender is nobody's.
            return '501 5.5.4 You are not allowed to send from this address.'
                if $settings->{must_match_sender} && lc( $q->{sender} // '' ) ne lc( $q->{sasl_username} // '' );
            return '452 4.4.5 Maximum number of messages per session exceeded' if session_full( $settings, $q );
            return '451 4.4.5 Rate limit exceeded, try again later.' if rate_exceeded( $settings, $q );
            return 'DUNNO';
        }
    );
}

sub settings {
    my %settings = ( per_hour => 25, per_session => 10, must_match_sender => JSON::PP::true, answers => [] );
    if ( open my $file, '<', $settings_path ) {
        local $/;
        my $own = JSON::PP->new->decode(<$file>);
        @settings{ keys %$own } = values %$own;
    }
    return \%settings;
}

sub staged_answer {
    my ( $settings, $q ) = @_;
    my $number = -1;
    for my $staged ( @{ $settings->{answers} } ) {
        $number += 1;
        next if ( $staged->{stage} // 'RCPT' ) ne $q->{protocol_state};
        next if defined $staged->{recipient} && ( $q->{recipient} // '' ) !~ /$staged->{recipient}/i;
        if ( defined $staged->{times} ) {
            my @given = recorded("answer-$number");
            next if @given >= $staged->{times};
            record( "answer-$number", time );
        }
        sleep $staged->{seconds} if $staged->{seconds};
        return $staged->{text};
    }
    return undef;
}

# Messages of one connection: a new `instance` is a new message.
sub session_full {
    my ( $settings, $q ) = @_;
    my $name = "session-$q->{client_address}-" . ( $q->{client_port} // 0 );
    my @seen = recorded($name);
    my $this = $q->{instance};
    return 0 if grep { $_ eq $this } @seen;
    return 1 if @seen >= $settings->{per_session};
    record( $name, $this );
    return 0;
}

# A sliding hour for each pair of sender domain and recipient.
sub rate_exceeded {
    my ( $settings, $q ) = @_;
    my ($domain) = ( $q->{sender} // '' ) =~ /@([^@]+)$/;
    my $name     = 'hour-' . ( $domain // 'null' ) . '-' . lc( $q->{recipient} // '' );
    my @recent   = grep { $_ > time - 3600 } recorded($name);
    return 1 if @recent >= $settings->{per_hour};
    replace( $name, @recent, time );
    return 0;
}

sub path_of  { my ($name) = @_; $name =~ s/[^A-Za-z0-9@._-]/_/g; return "$folder/$name" }
sub recorded { my ($name) = @_; open my $file, '<', path_of($name) or return (); chomp( my @lines = <$file> ); return @lines }
sub record   { my ( $name, $line ) = @_; open my $file, '>>', path_of($name) or die "$folder: $!"; print $file "$line\n" }
sub replace  { my ( $name, @lines ) = @_; open my $file, '>', path_of($name) or die "$folder: $!"; print $file "$_\n" for @lines }

# Several smtpd processes ask at once.
sub locked {
    my ($work) = @_;
    open my $lock, '>>', "$folder/lock" or die "$folder: $!";
    flock $lock, LOCK_EX;
    return $work->();
}
