import { cookie } from 'sojourn/transport/cookie'
import { describe, expect, test } from 'vitest'
import { exchange } from './exchange.js'

describe('a credential that one cookie cannot hold', () => {
  const name = '__Host-Http-session'
  const { whole, chunked } = cookie().capacity
  const text = (length: number) => Array.from({ length }, (_, i) => 'abcdefghijklmnopqrstuvwxyz'[i % 26]).join('')
  const pairOf = (line: string) => line.slice(0, line.indexOf(';'))

  function write(credential: string, header?: string) {
    const x = exchange({ headers: header === undefined ? {} : { cookie: header } })
    cookie().write(x, { credential, endsAt: 0, persistent: false }, 0)
    return x.lines
  }

  const read = (...pairs: string[]) => cookie().read(exchange({ headers: { cookie: pairs.join('; ') } }))

  test.each([
    [1, 1],
    [whole, 1],
    [whole + 1, 2],
    [2 * whole - 2, 2],
    [2 * whole - 1, 3],
    [chunked, 3],
  ])('3.3.5, CK-03: %i characters take %i cookies, none over 4096 bytes, and are read back', (length, count) => {
    const lines = write(text(length))
    expect(lines).toHaveLength(count)
    for (const line of lines) {
      expect(pairOf(line).length - 1).toBeLessThanOrEqual(4096)
      expect(line.endsWith('; Path=/; HttpOnly; Secure; SameSite=Lax')).toBe(true)
    }
    if (count > 2) expect(Math.max(...lines.map((line) => pairOf(line).length - 1))).toBe(4096)
    expect(read(...lines.map(pairOf))).toBe(text(length))
    expect(read(...lines.map(pairOf).reverse())).toBe(text(length))
  })

  test('A-23: what three cannot hold is refused, and the client keeps what it had', () => {
    for (const credential of [text(chunked + 1), `${text(whole + 5)};`]) {
      const x = exchange()
      x.setCookies(['other=1', `${name}=before`])
      expect(() => cookie().write(x, { credential, endsAt: 0, persistent: false }, 0)).toThrow(
        /^cookie: the (credential|value) /,
      )
      expect(x.lines).toEqual(['other=1', `${name}=before`])
      expect(x.response.size).toBe(0)
    }
  })

  test('A-24: with a part missing, doubled or beyond count it is all or nothing', () => {
    const [first, second, third] = write(text(chunked)).map(pairOf) as [string, string, string]
    const raw = first.slice(name.length + 1)
    expect(raw.startsWith('3~')).toBe(true)
    for (const rest of [[], [second], [third], [second, second, third], [`${name}.1=`, third]]) {
      expect(read(first, ...rest)).toBe(raw)
    }
    expect(read(second, third)).toBe('')
    expect(read(first, first, second, third)).toEqual([raw, raw])
    for (const count of ['0', '1', '4', '9', 'x', '-', '']) {
      expect(read(`${name}=${count}~x`, second, third, `${name}.3=y`)).toBe(`${count}~x`)
    }
  })

  test('A-24, CK-15: parts of a longer value from before are taken back, at the next write and at logout', () => {
    const header = write(text(chunked)).map(pairOf).join('; ')
    const gone = (part: number) =>
      `${name}.${part}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly; Secure; SameSite=Lax`
    expect(write('short', header).slice(1)).toEqual([gone(1), gone(2)])
    const two = write(text(whole + 1))
    expect(write(text(whole + 1), header)).toEqual([...two, gone(2)])
    expect(write('short', `${name}=x`)).toHaveLength(1)
    const x = exchange({ headers: { cookie: header } })
    cookie().clear(x)
    expect(x.lines.slice(1)).toEqual([gone(1), gone(2)])
  })
})
