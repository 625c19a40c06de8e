import { describe, expect, it } from 'vitest'
import { markdownText, renderStatusMarkdown } from '../../../src/domain/render/status-markdown.js'
import { aStatus, aTarget } from '../state/status-fixture.js'
import { troubled } from './documents.js'

describe('the status in Markdown', () => {
  it('says verdict, counts, every problem with cause and next step, worst first, then what is fine', () => {
    const text = renderStatusMarkdown(troubled())
    expect(text).toMatch(/^## 🔴 critical: estate lab\n\n3 critical, 2 unknown, 4 warning, 6 ok; \*\*3 of 5\*\* enabled targets seen/)
    const places = ['lab/monitor/runbooks', 'vm\\-212\\-mint\\-data\\-primary', 'host nas', 'app\\-gitea\\-postgres', 'vm\\-204\\-infra'].map((needle) =>
      text.indexOf(needle),
    )
    expect(places.every((place) => place > 0)).toBe(true)
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(text).toContain('add guest 212 to job backup\\-P0 on pve')
    expect(text).not.toContain('left out')
  })

  it('stays within its bytes, keeps the worst, and says how many rows were left out', () => {
    const targets = Array.from({ length: 1000 }, (_, index) =>
      aTarget({ id: `target-${index}`, severity: index === 999 ? 'critical' : 'warning', state: 'LATE', message: `Ümläut | cause ${index}`.repeat(3) }),
    )
    for (const maxBytes of [600, 6_000, 20_000, 1_000_000]) {
      const text = renderStatusMarkdown(aStatus({ targets }), { maxBytes })
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(Math.min(maxBytes, 20_000))
      expect(text).toContain('target\\-999')
      const shown = text.split('\n').filter((line) => line.startsWith('| 🟡') || line.startsWith('| 🔴')).length
      expect(text).toContain(`*${1000 - shown} more rows are left out here`)
    }
  })

  it('cannot be given markup, links, cells or HTML by a message', () => {
    const nasty =
      '| x | <img src=x onerror=alert(1)> [click](javascript:alert(1)) ![](http://evil/x.png) **b** `c` https://evil.example www.evil.example a@b.example\n\n# heading\n| | |'
    const text = renderStatusMarkdown(aStatus({ targets: [aTarget({ severity: 'critical', state: 'FAILED', message: nasty, id: nasty })] }))
    const lines = text.split('\n').filter((line) => line.includes('evil'))
    expect(lines).toHaveLength(1)
    expect(
      lines[0]
        ?.replaceAll(/\\./g, '')
        .match(/[|<>[\]`()!#@]/g)
        ?.filter((character) => character !== '|'),
    ).toEqual([])
    expect(lines[0]?.replaceAll(/\\./g, '').match(/\|/g)).toHaveLength(6)
    expect(text).not.toMatch(/[^\\]:\/\/evil/)
    expect(text).not.toMatch(/www\.evil/)
    expect(text).not.toMatch(/^# heading/m)
  })

  it('escapes nothing away: the text can be read back', () => {
    const text = 'a\\b *c* <d> [e](f) | g & https://h www.i.j'
    expect(markdownText(text).replaceAll(/\\(.)/g, '$1')).toBe(text)
  })
})
