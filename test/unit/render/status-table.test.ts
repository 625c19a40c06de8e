import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { asOf } from '../../../src/domain/render/staleness.js'
import { type Palette, PLAIN as plain, renderStatusTable } from '../../../src/domain/render/status-table.js'
import { aStatus, aTarget } from '../state/status-fixture.js'
import { NOW, troubled } from './documents.js'

const render = (document = troubled(), width = 100, all = false): string => renderStatusTable(document, { width, now: NOW, all })
/** What is said, whatever the line breaks. */
const words = (text: string): string => text.replace(/\s+/g, ' ')

describe.each([40, 60, 79, 80, 100, 120, 200])('a status at %i columns', (width) => {
  const text = render(troubled(), width)

  it('has no line that is longer, also with wide characters', () => {
    for (const line of text.split('\n')) expect(stringWidth(line), line).toBeLessThanOrEqual(width)
  })

  it('names every problem with its cause and what to do, and every target', () => {
    const document = troubled()
    const problems = [...document.targets, ...document.guests, ...document.jobs, ...document.storages, ...document.hosts].filter(
      (entry) => entry.severity !== 'ok',
    )
    expect(problems).toHaveLength(7)
    const said = words(text)
    for (const problem of problems) {
      if (!('inhibitedBy' in problem && problem.inhibitedBy !== null)) expect(said).toContain(problem.message)
      if (problem.next !== null) expect(said).toContain(problem.next)
    }
    for (const finding of document.findings) expect(said).toContain(finding.message)
    expect(said).toContain('because of home/host/nas')
    const letters = text.replace(/\s+/g, '')
    for (const target of document.targets) expect(letters).toContain(target.id)
  })

  it('begins and ends with the verdict and the counts', () => {
    const verdict = 'CRITICAL estate lab: 3 critical, 2 unknown, 4 warning, 6 ok; 3 of 5 enabled targets seen'
    expect(words(text)).toMatch(new RegExp(`^${verdict} pass of 2026-02-12 08:30 UTC, 4 min ago; one is due every 10 min `))
    expect(words(text).trimEnd().endsWith(verdict)).toBe(true)
  })
})

it('tells each place of a gate that did not pass, each with its way out', () => {
  const places = ['/etc/aliases: root', 'target phone', 'queue'].map((place) => ({ place, found: `${place} is wrong`, next: `mend ${place}` }))
  const gate = {
    id: 'mail-route/pve',
    state: 'failed',
    reason: 'aliases_leads_elsewhere',
    message: 'pve: /etc/aliases: root',
    next: 'mend /etc/aliases: root',
    places,
  } as const
  const said = words(render({ ...troubled(), gates: [gate] }, 60))
  for (const { place, found, next } of places.slice(1)) expect(said).toContain(`${place}, found ${found} → ${next}`)
})

describe('the order', () => {
  it('is worst first: sites, hosts in a site, entries of a host', () => {
    const lines = render().split('\n')
    const place = (needle: string) => lines.findIndex((line) => line.includes(needle))
    const order = ['vm-212-mint-data-primary', 'tank-backup', 'app-gitea-postgres', 'app-radarr'].map(place)
    expect(order.every((line) => line >= 0)).toBe(true)
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(place('home / proxmox-home (node pve)')).toBeLessThan(place('home / nas'))
    expect(place('guest   205 observability')).toBeLessThan(place('vm-212-mint-data-primary'))
  })

  it('puts a critical host before an unknown one whatever their names', () => {
    const document = aStatus({
      targets: [
        aTarget({ id: 'a', host: 'alpha', severity: 'warning', state: 'LATE' }),
        aTarget({ id: 'z', host: 'zeta', severity: 'critical', state: 'STALE' }),
        aTarget({ id: 'm', host: 'mu', severity: 'unknown', state: 'UNKNOWN' }),
      ],
    })
    const text = render(document)
    const places = ['shop / zeta', 'shop / mu', 'shop / alpha'].map((needle) => text.indexOf(needle))
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(places[0]).toBeGreaterThan(0)
  })
})

describe('findings', () => {
  const finding = {
    condition: 'coverage',
    severity: 'warning',
    reason: 'vanished_guest',
    message: 'guest 101 no longer exists on pve',
    next: 'take 101 out',
  } as const

  it('that a row tells are not told twice, also when they name their subject first', () => {
    const document = aStatus({ verdict: 'critical', targets: [aTarget({ id: 'a', state: 'STALE', severity: 'critical', message: 'too old' })] })
    document.findings.push({ subject: 'shop/target/a', condition: 'freshness', severity: 'critical', reason: 'stale', message: 'a: too old', next: null })
    const text = render(document)
    expect(text.match(/too old/g)).toHaveLength(1)
    expect(text).toMatch(/^CRITICAL estate lab: 1 critical, 0 ok;/)
  })

  it('about a thing of a host stand under that host by their severity, and those about the monitor by themselves', () => {
    const document = troubled()
    document.findings.push(
      { ...finding, subject: 'shop/guest/pve/101' },
      { ...finding, subject: 'shop/target/vm-204-infra-core-primary', message: 'calendar and target disagree' },
    )
    const text = render(document)
    const [, ofPve = ''] = text.split('shop / pve\n')
    expect(ofPve).toMatch(/WARNING {2}guest {3}101 +vanished guest\n +guest 101 no longer exists on pve\n +→ take 101 out/)
    expect(ofPve).toContain('calendar and target disagree')
    expect(ofPve.indexOf('guest 101')).toBeLessThan(ofPve.indexOf('app-radarr'))
    expect(text.split('the monitor itself')[1]).toContain('lab/monitor/runbooks')
  })
})

describe('the figures', () => {
  it('show ages against limits in words, and the last good artifact when it is older', () => {
    const text = words(render())
    expect(text).toContain('vm-204-infra-core-primary OK 5 h 10 min of 26 h, 12.4 GB')
    expect(text).toContain('vm-212-mint-data-primary STALE 1 d 9 h of 26 h, last good 2 d 9 h old')
    expect(text).toContain('12 GB free')
  })

  it('sum up what is fine, and name it all when asked', () => {
    expect(render()).toMatch(/fine: the host itself, 1 job, 1 guest/)
    const all = render(troubled(), 100, true)
    expect(all).not.toContain('fine:')
    expect(all).toContain('backup-P0')
    expect(all).toContain('204 infra-core')
    expect(words(all)).toContain('proxmox-home OK clock 1 h ahead')
  })
})

describe('a document that is too old', () => {
  it('is shown as unknown, and says so first', () => {
    const late = new Date('2026-02-12T09:00:01.000Z')
    const stale = asOf(aStatus(), late)
    expect(stale).toMatchObject({ verdict: 'unknown', stale: true })
    const text = renderStatusTable(stale, { width: 100, now: late })
    expect(text).toMatch(/^UNKNOWN estate lab/)
    expect(words(text)).toContain('old news: no pass has been written for more than three periods')
    expect(words(text)).toContain('nightshift doctor')
  })

  it('is one of more than three periods, or from the future', () => {
    expect(asOf(aStatus(), new Date('2026-02-12T09:00:00.000Z')).stale).toBe(false)
    expect(asOf(aStatus(), new Date('2026-02-12T09:00:00.001Z')).stale).toBe(true)
    expect(asOf(aStatus(), new Date('2026-02-12T08:28:00.000Z')).stale).toBe(false)
    expect(asOf(aStatus(), new Date('2026-02-12T08:27:00.000Z'))).toMatchObject({ stale: true, verdict: 'unknown' })
  })
})

describe('text from elsewhere', () => {
  it('cannot move the cursor, recolour, or turn the reading direction', () => {
    const nasty = '\u001b[2J\u001b]0;owned\u0007 \u009b31m \u202eevil\u2066 a\r\nb \u0000\u007f \ud800'
    const document = troubled()
    document.targets[1] = aTarget({
      id: `t${nasty}`,
      site: `s${nasty}`,
      host: `h${nasty}`,
      message: nasty,
      next: nasty,
      inhibitedBy: null,
      reason: nasty,
      severity: 'critical',
      state: 'FAILED',
    })
    document.findings.push({ subject: nasty, condition: 'config', severity: 'warning', reason: nasty, message: `x${nasty}`, next: nasty })
    for (const width of [60, 120]) {
      const text = render(document, width)
      expect(text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
      expect(text).toContain('\\x1b[2J')
    }
  })
})

describe('colour', () => {
  it('adds nothing to what is said', () => {
    const paint = (text: string) => `\u001b[31m${text}\u001b[39m`
    const palette: Palette = { severity: { ok: paint, warning: paint, critical: paint, unknown: paint }, bold: paint, dim: paint }
    for (const width of [60, 120]) {
      const coloured = renderStatusTable(troubled(), { width, now: NOW, palette })
      expect(coloured).toContain('\u001b[31m')
      expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(renderStatusTable(troubled(), { width, now: NOW }))
    }
  })
})

describe('the way of the alerts', () => {
  const outbox = { depth: 0, oldestAt: null, lastReply: '250 ok', lastSentAt: null, lastLatencyMs: null, secondChannelDepth: 0, shutSince: null }
  const canary = { state: 'arrived', sentAt: '2026-02-09T06:00:00.000Z', arrivedAt: '2026-02-09T06:00:02.000Z', detail: 'found' }
  const desk = { takenAt: '2026-02-12T08:30:00.000Z', passId: 'p', open: 2, silences: 1, outbox, canary }

  it('is one line below the pass, narrow or wide, and louder when something waits or the canary did not come', () => {
    const loud: string[] = []
    const palette = {
      ...plain,
      severity: {
        ...plain.severity,
        warning: (text: string) => {
          loud.push(text)
          return text
        },
      },
    }
    const said = (change: Partial<typeof desk>, width = 100) => {
      loud.length = 0
      const text = renderStatusTable({ ...aStatus(), desk: { ...desk, ...change } }, { width, now: NOW, palette })
      return [/^alerts: .*(?:\n(?!\n).+)*/m.exec(text)?.[0].replace(/\s+/g, ' '), loud.length > 0]
    }
    expect(said({})).toEqual(['alerts: 2 open, 1 silence; nothing waits to be sent; the canary of 2026-02-09 06:00 UTC arrived', false])
    expect(said({}, 40)[0]).toBe('alerts: 2 open, 1 silence; nothing waits to be sent; the canary of 2026-02-09 06:00 UTC arrived')
    expect(said({ open: 0, silences: 0, canary: null as never })).toEqual(['alerts: 0 open; nothing waits to be sent; no canary was ever sent', false])
    expect(said({ canary: { ...canary, state: 'lost' } })).toEqual([expect.stringContaining('was lost'), true])
    const stuck = { ...outbox, depth: 3, oldestAt: '2026-02-12T05:00:00.000Z' as never, lastReply: '451 later' }
    expect(said({ outbox: stuck })).toEqual([expect.stringContaining('3 wait to be sent since 2026-02-12 05:00 UTC: 451 later'), true])
  })
})
