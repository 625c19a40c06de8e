package LabPVE::Program::pvesh;
# pvesh: get, set, create, delete, ls and usage over the API tree (pve-manager PVE/CLI/pvesh.pm).
use v5.36;
use LabPVE::Api;
use LabPVE::Cli;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Unknown;

my %API_PATH = (api_path => {}, noproxy => { type => 'boolean', optional => 1 });

sub main (@argv) {
  my $silent = 0;
  while (@argv && $argv[0] =~ /^--(?:noproxy|nooutput)$/) { $silent = 1 if $argv[0] eq '--nooutput'; shift @argv }
  my $command = shift @argv // '';
  return call($command, $silent, @argv) if $command =~ /^(?:get|set|create|delete)$/;
  return ls(@argv) if $command eq 'ls';
  return usage(@argv) if $command eq 'usage';
  LabPVE::Unknown::fail("'pvesh $command'");
}

sub call ($command, $silent, @argv) {
  my ($path) = grep { !/^-/ } @argv;
  my ($method, $uri) = defined $path ? LabPVE::Api::find($command, $path) : ();
  if (defined $path && !$method) {
    LabPVE::Unknown::fail("'pvesh $command $path'") if LabPVE::Api::exists_in_proxmox($path);
    print STDERR "No '$command' handler defined for '$path'\n";
    return 1;
  }
  my %params = %{ $method->{params} // {} };
  delete @params{ keys %$uri } if $uri;
  my $wrapper = {
    params => { %params, %API_PATH, %LabPVE::Cli::OUTPUT_OPTIONS },
    args => ['api_path'],
    code => sub ($param) {
      my %out = map { ($_ => delete $param->{$_}) } grep { exists $param->{$_} } keys %LabPVE::Cli::OUTPUT_OPTIONS;
      delete @$param{qw(api_path noproxy)};
      LabPVE::Api::check_node($uri);
      my $full = { %$param, %$uri };
      LabPVE::Schema::validate($full, { %{ $method->{params} // {} } });
      my $data = $method->{code}->($full);
      return if $silent || $out{quiet};
      LabPVE::Cli::print_result($data, $method->{returns} // 'null', $out{'output-format'} // 'text', { %out, map { ($_ => 1) } grep { $out{$_} } qw(noborder noheader) });
    },
  };
  # The output options are shown as [FORMAT_OPTIONS]; [OPTIONS] is always there because of --noproxy.
  my %shown = (%$wrapper, params => { %params, %API_PATH });
  my $done = eval { LabPVE::Cli::call("pvesh $command", $wrapper, \@argv); 1 };
  return 0 if $done;
  my $err = $@;
  $err->{usage} = LabPVE::Cli::usage("pvesh $command", \%shown, { format_options => 1 }) if LabPVE::Error::is_param($err);
  die $err;
}

sub capabilities ($path) {
  my ($get) = LabPVE::Api::find('get', $path);
  return ($get ? ($get->{link} ? 'Dr' : '-r') : '--') . join '', map { LabPVE::Api::find($_->[0], $path) ? $_->[1] : '-' } ['set', 'w'], ['create', 'c'], ['delete', 'd'];
}

sub ls (@argv) {
  my ($path) = grep { !/^-/ } @argv;
  my ($method, $uri) = LabPVE::Api::find('get', $path // '');
  if (!$method) {
    LabPVE::Unknown::fail("'pvesh ls $path'") if LabPVE::Api::exists_in_proxmox($path // '');
    die "no such resource '" . ($path // '') . "'\n";
  }
  my $wrapper = {
    params => { %API_PATH, %LabPVE::Cli::OUTPUT_OPTIONS },
    args => ['api_path'],
    code => sub ($param) {
      my $link = $method->{link} // die "resource '$path' does not define child links\n";
      LabPVE::Api::check_node($uri);
      my @names = sort map { "$_->{$link}" } @{ $method->{code}->({%$uri}) };
      my @rows = map { { name => $_, capabilities => capabilities("$path/$_") } } @names;
      my $format = $param->{'output-format'} // 'text';
      return if $param->{quiet};
      if ($format ne 'text') { LabPVE::Cli::print_result(\@rows, 'array', $format); return }
      require LabPVE::Table;
      LabPVE::Table::print_table([sort { $a->{name} cmp $b->{name} } @rows], ['capabilities', 'name'], { noborder => 1, noheader => 1, unsorted => 1 });
    },
  };
  LabPVE::Cli::call('pvesh ls', $wrapper, \@argv, { format_options => 1 });
  return 0;
}

sub usage (@argv) {
  my ($path) = grep { !/^-/ } @argv;
  my $found = 0;
  for my $command (qw(get set create delete)) {
    my ($method, $uri) = LabPVE::Api::find($command, $path // '') or next;
    next if !$method;
    $found = 1;
    print 'USAGE: ' . LabPVE::Cli::usage("pvesh $command $path", { params => $method->{params} // {}, args => [], fixed => $uri }) . "\n";
  }
  die "no such resource '" . ($path // '') . "'\n" if !$found;
  return 0;
}
1;
