package LabPVE::Cli;
# Command lines the way Proxmox reads them: options from a schema (Getopt::Long, like the real ones), positional arguments, usage lines, output formats.
# A method is a hash: name, params {name => schema}, args [positional names], fixed {name => value}, code => sub ($param), returns type.
use v5.36;
use LabPVE::Error;
use LabPVE::Schema;

our %OUTPUT_OPTIONS = (
  'output-format' => { enum => ['text', 'json', 'json-pretty', 'yaml'], optional => 1 },
  quiet => { type => 'boolean', optional => 1 },
  noborder => { type => 'boolean', optional => 1 },
  noheader => { type => 'boolean', optional => 1 },
  'human-readable' => { type => 'boolean', optional => 1 },
);

# `qm set <vmid> [OPTIONS]`
sub usage ($prefix, $method, $opt = {}) {
  my ($props, $args, $fixed) = ($method->{params}, $method->{args} // [], $method->{fixed} // {});
  my %positional;
  my @words;
  for my $p (ref $args ? @$args : $args) {
    my $pd = $props->{$p} or next;
    $positional{$p} = 1;
    push @words, ($pd->{format} // '') =~ /-list$/ ? "{<$p>}" : $pd->{optional} ? "[<$p>]" : "<$p>";
  }
  my $options = 0;
  for my $p (sort keys %$props) {
    next if $positional{$p} || exists $fixed->{$p};
    if ($props->{$p}{optional}) { $options = 1; next }
    my $type = $props->{$p}{type} // 'string';
    push @words, $type eq 'string' || $type eq 'array' ? "--$p <string>" : "--$p <$type>";
  }
  $options ||= $opt->{options};
  return "$prefix " . join(' ', @words) . ($options ? ' [OPTIONS]' : '') . ($opt->{format_options} ? ' [FORMAT_OPTIONS]' : '');
}

# The common case without Getopt::Long, whose loading costs more than the rest of a call: every option `--name value`, spelled out in full, given once, with a value
# that is no option. Anything else is left alone for Getopt::Long. Returns whether it was the common case.
sub plain_options ($argv, $opt, $spec) {
  my %takes_value = map { /^(.+)=s$/ ? ($1 => 1) : () } @$spec;
  my (%got, @positional);
  for (my $i = 0; $i < @$argv; $i++) {
    my $word = $argv->[$i];
    if ($word !~ /^-/) { push @positional, $word; next }
    my ($name) = $word =~ /^--([a-z][a-z0-9-]*)$/ or return 0;
    my $value = $argv->[++$i];
    return 0 if !$takes_value{$name} || exists $got{$name} || !defined $value || $value =~ /^-/;
    $got{$name} = $value;
  }
  %$opt = %got;
  @$argv = @positional;
  return 1;
}

# Options and positional arguments into a parameter hash; throws 400 errors without usage (the caller adds it).
sub parse ($argv, $method) {
  my ($props, $args, $fixed) = ($method->{params}, $method->{args} // [], $method->{fixed} // {});
  my @spec;
  for my $p (sort keys %$props) {
    next if exists $fixed->{$p} || (!ref $args && $p eq $args);
    my $pd = $props->{$p};
    my $type = $pd->{type} // 'string';
    push @spec, $type eq 'boolean' ? "$p:s" : $type eq 'array' || ($pd->{format} // '') =~ /-list$/ ? "$p=s\@" : "$p=s";
  }
  my %opt;
  my @rest = @$argv;
  if (!plain_options(\@rest, \%opt, \@spec)) {
    require Getopt::Long;
    my $getopt = Getopt::Long::Parser->new(config => ['prefix_pattern=(--|-)']);
    local $SIG{__WARN__} = sub ($m) { print STDERR $m };
    $getopt->getoptionsfromarray(\@rest, \%opt, @spec) or LabPVE::Error::raise("unable to parse option\n", code => 400);
  }
  if (!ref $args) {
    $opt{$args} = [@rest] if @rest;
  }
  else {
    for my $i (0 .. $#$args) {
      my $name = $args->[$i];
      if ($name eq 'extra-args') { $opt{$name} = [splice @rest]; next }
      if (!@rest) {
        LabPVE::Error::raise("not enough arguments\n", code => 400) if grep { !$props->{$_}{optional} } @$args[$i .. $#$args];
        $opt{'extra-args'} = [] if $args->[-1] eq 'extra-args';
        last;
      }
      $opt{$name} = shift @rest;
    }
    LabPVE::Error::raise("too many arguments\n", code => 400) if @rest;
  }
  for my $p (keys %opt) {
    utf8::decode($_) for ref $opt{$p} ? @{ $opt{$p} } : $opt{$p};
    my $pd = $props->{$p} or next;
    if (($pd->{type} // '') eq 'boolean') {
      require LabPVE::PropertyString;
      $opt{$p} = $opt{$p} eq '' ? 1 : LabPVE::PropertyString::boolean($opt{$p}) // LabPVE::Error::raise("unable to parse boolean option\n", code => 400);
    }
    $opt{$p} = join ',', @{ $opt{$p} } if ref $opt{$p} && ($pd->{format} // '') =~ /-list$/;
  }
  return { %opt, %$fixed };
}

# Runs one method with its arguments; parameter errors carry the usage line. Returns what the code returns.
sub call ($prefix, $method, $argv, $opt = {}) {
  my $result = eval {
    my $param = parse($argv, $method);
    LabPVE::Schema::validate($param, $method->{params});
    my $value = $method->{code}->($param);
    [$value, $param];
  };
  return $result if $result;
  my $err = $@;
  $err->{usage} = usage($prefix, $method, $opt) if LabPVE::Error::is_param($err);
  die $err;
}

# Prints a result in the format of `--output-format`; $type: null, string, integer, object, array. Text tables as PVE/CLIFormatter.pm draws them.
sub print_result ($data, $type, $format = 'text', $opt = {}) {
  return if $type eq 'null';
  if ($format eq 'json') {
    require LabPVE::Json;
    print LabPVE::Json::encode($data), "\n";
    return;
  }
  if ($format eq 'json-pretty') {
    require LabPVE::Json;
    print LabPVE::Json::pretty($data), "\n";
    return;
  }
  if ($format eq 'yaml') {
    require LabPVE::Unknown;
    LabPVE::Unknown::fail('output format yaml');
  }
  require LabPVE::Table;
  LabPVE::Table::print_data($data, $opt);
  return;
}

# The last words of a program: prints the error as Proxmox does and gives the exit code.
sub report ($err) {
  my $text = ref $err && ref $err eq 'LabPVE::Error' ? $err->text : "$err";
  $text .= "\n" if $text !~ /\n$/;
  utf8::encode($text) if utf8::is_utf8($text);
  print STDERR $text;
  return 255;
}
1;
