/**
 * What `qm set` and `pct set` refuse and warn about where no recording says it: qemu-server PVE/API2/Qemu.pm (update_vm_api), pve-container PVE/API2/LXC/Config.pm and
 * PVE/LXC/Config.pm (update_pct_config).
 */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { PveRoot } from '../../helpers/pve-root.js'

const NOW = new Date('2026-02-11T22:00:00Z')
const QM = 'qm set <vmid> [OPTIONS]\n'
const PCT = 'pct set <vmid> [OPTIONS]\n'
let host: PveRoot

beforeEach(async () => {
  host = await PveRoot.create({
    guests: [
      { vmid: 100, type: 'qemu', name: 'web', lines: ['boot: order=scsi0;net0', 'net0: virtio=BC:24:11:00:00:01,bridge=vmbr0'] },
      { vmid: 101, type: 'lxc', name: 'dns' },
    ],
  })
})
afterEach(async () => await host.remove())

const wrong = (text: string, usage: string): string => `400 Parameter verification failed.\n${text}\n${usage}`
const OTHER_DIGEST = '0'.repeat(40)

it.each([
  [`qm set 100 --digest ${OTHER_DIGEST}`, 'no options specified\n'],
  ['qm set 100 --delete f', wrong("delete: invalid format - invalid configuration ID 'f'\n", QM)],
  ['qm set 100 --revert foo', wrong("revert: unknown option 'foo'", QM)],
  ['qm set 100 --cores 1 --revert cores', wrong("delete: you can't use '-cores' and -revert cores' at the same time", QM)],
  ['qm set 100 --net0 virtio,link_down=x', wrong("net0: invalid format - format error\nnet0.link_down: type check ('boolean') failed - got 'x'\n", QM)],
  ['qm set 100 --boot order=foo', wrong("boot: invalid format - format error\nboot.order: invalid format - invalid boot device 'foo'\n\n", QM)],
  ['qm set 100 --scsi1 foo', wrong("scsi1: invalid format - format error\nscsi1.file: invalid format - unable to parse volume ID 'foo'\n\n", QM)],
  ['qm set 100 --startup x', wrong('startup: invalid format - unable to parse startup options\n', QM)],
  ['pct set 101 --net0 bridge=vmbr0', wrong('net0: invalid format - format error\nnet0.name: property is missing and it is not optional\n', PCT)],
  ['qm set 100 --balloon 999999', 'balloon value too large (must be smaller than assigned memory)\n'],
  [`pct set 101 --digest ${OTHER_DIGEST}`, 'no options specified\n'],
  [`pct set 101 --cores 1 --digest ${OTHER_DIGEST}`, 'detected modified configuration - file changed by other user? Try again.\n'],
  ['pct set 101 --cores 1 --revert cores', wrong("revert: you can't use '-cores' and '-revert cores' at the same time", PCT)],
  ['pct set 101 --delete rootfs', "unable to delete required option 'rootfs'\n"],
  ['pct set 101 --delete foo', wrong("delete: unknown option 'foo'", PCT)],
  ['pct set 101 --unprivileged 1', "unable to modify read-only option: 'unprivileged'\n"],
])('%s', async (command, stderr) => {
  const ran = await host.run(command.split(' '), NOW)
  expect([ran.stdout, ran.stderr, ran.exitCode !== 0]).toEqual(['', stderr, true])
})

it('says of an option that is not there that it cannot go, and goes on', async () => {
  expect(await host.run(['qm', 'set', '100', '--delete', 'hotplug,name', '--description', ''], NOW)).toEqual({
    exitCode: 0,
    stdout: 'update VM 100: -delete hotplug,name -description \n',
    stderr: "cannot delete 'hotplug' - not set in current configuration!\n",
  })
  expect(await host.run(['pct', 'set', '101', '--delete', 'tags'], NOW)).toEqual({
    exitCode: 0,
    stdout: '',
    stderr: "cannot delete 'tags' - not set in current configuration!\n",
  })
})

it('keeps a boot order of devices that are there', async () => {
  const refused = await host.run(['qm', 'set', '100', '--boot', 'order=scsi0;net9'], NOW)
  expect([refused.exitCode !== 0, refused.stderr]).toEqual([true, "invalid bootorder: device 'net9' does not exist'\n"])
  await host.run(['qm', 'set', '100', '--delete', 'net0'], NOW)
  expect(await host.read('etc/pve/nodes/pve/qemu-server/100.conf')).toContain('boot: order=scsi0\n')
})

it('writes a network card with its model and address first, the rest sorted', async () => {
  await host.run(['qm', 'set', '100', '--net0', 'link_down=1,virtio=BC:24:11:00:00:01,bridge=vmbr0'], NOW)
  expect(await host.read('etc/pve/nodes/pve/qemu-server/100.conf')).toContain('net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1\n')
})

it('protects the disks of a protected guest', async () => {
  await host.run(['qm', 'set', '100', '--protection', '1'], NOW)
  await host.run(['pct', 'set', '101', '--protection', '1'], NOW)
  expect((await host.run(['qm', 'set', '100', '--delete', 'scsi0'], NOW)).stderr).toBe("can't remove drive 'scsi0' - protection mode enabled\n")
  expect((await host.run(['pct', 'set', '101', '--mp0', 'fast:x,mp=/x'], NOW)).stderr).toBe("can't update CT 101 drive 'mp0' - protection mode enabled\n")
})
