package LabPVE::Program::mailforward;
# proxmox-mail-forward (src/main.rs): a mail to local root on standard input becomes a `system-mail` notification; a sendmail target passes it on as it came.
# The real one is setuid and says what went wrong in the journal only; here `sudo` makes it root (lab/mail/proxmox-files.ts).
use v5.36;
use LabPVE::Env;
use LabPVE::Notify;
use LabPVE::Unknown;

sub main (@argv) {
  LabPVE::Unknown::fail("'proxmox-mail-forward @argv'") if @argv;
  my $raw = do { local $/; <STDIN> } // '';
  my ($head, $body) = split /\r?\n\r?\n/, $raw, 2;
  my ($subject) = ($head =~ s/\r?\n[ \t]+/ /gr) =~ /^Subject:\s*(.*?)\s*$/mi;
  my $event = {
    severity => 'unknown', at => LabPVE::Env::now(), subject => $subject // '', text => $body // '', raw => $raw,
    fields => { type => 'system-mail', hostname => LabPVE::Env::node() },
  };
  for my $line (LabPVE::Notify::send_event(sub { $event })) { print STDERR "proxmox-mail-forward: $line->[1]\n" if $line->[0] eq 'err' }
  return 0;
}
1;
