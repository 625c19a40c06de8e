/** Canonical JSON (RFC 8785) and SHA-256 over it. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { canonicalJson, sha256Hex } from '../../../src/domain/canonical.js'

describe('canonical JSON', () => {
  test('sorts keys by UTF-16 units and writes numbers as RFC 8785 §3.2.3 has it', () => {
    // The sample of RFC 8785 §3.2.2 and its result of §3.2.3.
    const value = {
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    }
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
    expect(canonicalJson({ '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, '\u00f6': 7 })).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\u{1f600}":5,"\ufb33":3}',
    )
  })

  test('refuses what JSON cannot say', () => {
    for (const value of [undefined, Number.NaN, Number.POSITIVE_INFINITY, { a: { b: Number.NaN } }, () => 1])
      expect(() => canonicalJson(value)).toThrow(TypeError)
  })
})

describe('SHA-256', () => {
  test('is that of node:crypto, for texts by their UTF-8 form and for bytes', () => {
    for (const text of ['', 'abc', 'Größe 😀', 'x'.repeat(100_000)]) {
      const expected = createHash('sha256').update(text, 'utf8').digest('hex')
      expect(sha256Hex(text)).toBe(expected)
      expect(sha256Hex(new TextEncoder().encode(text))).toBe(expected)
    }
  })
})
