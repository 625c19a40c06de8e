package LabPVE::Error;
# The error object behind `400 Parameter verification failed.`: message, HTTP code, one text per parameter, usage line.
# Source of the framing: pve-common PVE/Exception.pm (its text, not its code).
use v5.36;

# Throws. $opt: code, errors => {name => text}, usage. `overload` is loaded here and not above: most calls throw nothing, and loading it is a fifth of their time.
sub raise ($message, %opt) {
  require overload;
  overload->import('""' => \&text, bool => sub { 1 }, fallback => 1);
  die bless { message => $message, %opt }, __PACKAGE__;
}

# A parameter is wrong; thrown by the code behind a call.
sub raise_param (%errors) { raise("Parameter verification failed.\n", code => 400, errors => \%errors) }

sub is_param ($err) { return ref $err && ref $err eq __PACKAGE__ && ($err->{code} // 0) == 400 }

sub text ($self, @) {
  my $out = $self->{code} ? "$self->{code} $self->{message}" : $self->{message};
  $out .= "\n" if $out !~ /\n$/;
  $out .= "$_: $self->{errors}{$_}\n" for sort keys %{ $self->{errors} // {} };
  $out .= $self->{usage} . "\n" if defined $self->{usage};
  return $out;
}
1;
