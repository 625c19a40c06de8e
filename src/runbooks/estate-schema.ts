/** The shape of `estate.yaml`: nightshift's own file, so that every unknown key is an error. */
import { z } from 'zod'
import * as f from './fields.js'

const ID_ALLOWED = 'small letters, digits and `-`, beginning with a letter, at most 31 characters'

const site = f.mapping({
  id: f.name().describe('Name of the site; hosts refer to it.'),
  task_queue: f.name().optional().describe('Temporal task queue of a worker that sits at this site. Left out: the common queue.'),
})

const host = f.mapping({
  name: f.name().describe('What inventory.yaml calls this host.'),
  site: f.name().describe('The site it stands at.'),
  kind: f
    .oneOf(['proxmox', 'nas', 'guest', 'linux'])
    .describe('proxmox: a Proxmox VE host; nas: storage; guest: a guest of a Proxmox host that is reached over SSH; linux: any other server.'),
  node: f.name().optional().describe("Name of the Proxmox node where it is not the host's name. Only for kind proxmox."),
  ssh: f.name().optional().describe('`Host` alias in the ssh_config. Left out: the name.'),
  sudo: f.trueOrFalse().optional().describe('The SSH user is not root and may run `sudo -n`. Left out: false.'),
  guest: f
    .mapping({
      host: f.name().describe('The Proxmox host that this guest runs on.'),
      vmid: f.vmid().describe('Its number there.'),
    })
    .optional()
    .describe('Which guest this is. Only, and always, for kind guest.'),
})

const guest = f.mapping({
  host: f.name().describe('The Proxmox host.'),
  vmid: f.vmid().describe('Number of the guest on that host.'),
  name: f.oneLine(128).optional().describe('For people.'),
  classification: f.classification().optional().describe('How much its loss would hurt.'),
  waiver: f.waiver().optional(),
  decommissioned: f.decommissioned().optional(),
})

const producer = f
  .mapping({
    vzdump: f
      .mapping({
        host: f.name().describe('The Proxmox host whose job makes the archive.'),
        vmid: f.vmid().optional().describe('The guest in the archive.'),
        job: f.name().optional().describe('Id of the job, when it has to be that one.'),
      })
      .optional()
      .describe('A vzdump job.'),
    cron: f
      .mapping({
        host: f.name().describe('The host whose cron runs it.'),
        match: f.cronLinePiece().describe('A piece of the line, in /etc/crontab, /etc/cron.d or a crontab of any user.'),
      })
      .optional()
      .describe('A line of cron.'),
    timer: f
      .mapping({
        host: f.name().describe('The host whose systemd runs it.'),
        unit: f.timerUnit().describe('The timer unit.'),
      })
      .optional()
      .describe('A systemd timer.'),
    transfer: f
      .mapping({
        from: f.name().describe('The host that sends.'),
        to: f.name().describe('The host that receives.'),
        match: f.cronLinePiece().describe('A piece of the cron line on the sending host.'),
        destination: f
          .sshDestination()
          .describe('What the sending host calls the receiver in its own SSH: NAME or USER@NAME. The monitor checks that this login works.'),
      })
      .optional()
      .describe('A copy that one host pushes to another.'),
    external: f.oneLine().optional().describe('Made by something that cannot be looked into; say what.'),
  })
  .refine((value) => Object.values(value).filter((part) => part !== undefined).length === 1, {
    error: 'exactly one of vzdump, cron, timer, transfer, external',
  })
  .meta({ minProperties: 1, maxProperties: 1 })

export const estateSchema = f
  .mapping({
    version: f.formatVersion().describe('Version of this format.'),
    id: z
      .string({ error: ID_ALLOWED })
      .regex(/^[a-z][a-z0-9-]{0,30}$/, ID_ALLOWED)
      .describe('Permanent name of the estate. The Temporal namespace is `nightshift-<id>`.'),
    timezone: f.timeZone().describe('Zone of everything that does not say otherwise.'),
    files: f
      .mapping({
        inventory: f.localPath().optional().describe('Left out: inventory.yaml, or backup.inventory.yaml where that is the one there.'),
        calendar: f.localPath().optional().describe('Left out: calendar.yaml, or backup.calendar.yaml where that is the one there.'),
        alerts: f.localPath().optional().describe('Left out: alerts.yaml.'),
        vzdump: f.localPath().optional().describe('Left out: vzdump.yaml, where there is one.'),
        email_relay: f.localPath().optional().describe('Left out: email-relay.yaml, where there is one.'),
      })
      .optional()
      .describe('The other files, when they are named or kept elsewhere.'),
    ssh: f
      .mapping({
        config: f.localPath().optional().describe('Left out: ssh_config.'),
        known_hosts: f.listOf(f.localPath(), { min: 1, max: 20 }).optional().describe('Left out: [known_hosts]. `nightshift trust` writes the first one.'),
      })
      .optional()
      .describe('How hosts are reached.'),
    receipts: f
      .mapping({
        signing_key: f.fileReference().optional().describe('SSH private key that signs receipts. Left out: file:keys/receipt_ed25519.'),
        head_mirror: f
          .fileReference()
          .optional()
          .describe('Mirror of the head of the receipt chain, outside of the state folder. Left out: file:receipt-head.json.'),
      })
      .optional()
      .describe('Evidence.'),
    monitor: f
      .mapping({
        every_minutes: f.wholeNumber(1, 1440, 'minutes').optional().describe('Time between two passes. Left out: 10.'),
        max_hosts_at_once: f.wholeNumber(1, 100, 'hosts').optional().describe('Most hosts that are read at the same time. Left out: 8.'),
        host_deadline_seconds: f.wholeNumber(5, 900, 'seconds').optional().describe('Deadline for reading one host. Left out: 60.'),
      })
      .optional()
      .describe('How often and how hard the monitor looks.'),
    sites: f.listOf(site, { min: 1, max: 200 }).describe('Places with hosts.'),
    hosts: f.listOf(host, { min: 1, max: 2000 }).describe('Everything that is reached over SSH.'),
    guests: f.listOf(guest).optional().describe('Decisions about guests of Proxmox hosts.'),
    produced_by: z
      .record(f.name(), producer, { error: 'a mapping of target names to producers' })
      .optional()
      .describe('Who makes what each target of inventory.yaml looks for.'),
  })
  .meta({ title: 'nightshift estate', description: 'The hosts of an estate, how they are reached, and who makes each backup.' })

export type EstateFile = z.infer<typeof estateSchema>
