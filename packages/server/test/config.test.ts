import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { readConfig } from '@sojourn/server'
import { settings } from '@sojourn/server/config'
import { addKey, loadKeys } from '@sojourn/server/keys-file'
import { manualClock } from 'sojourn/testing/clock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

describe('configuration', () => {
  test('without anything set', () => {
    const { data, ...rest } = readConfig({}, {})
    expect(rest).toEqual({
      port: 3000,
      host: '127.0.0.1',
      origin: undefined,
      https: false,
      store: { kind: 'sqlite', path: undefined },
      migrate: false,
      strategy: 'opaque',
      trustProxy: 0,
      passwordMin: 15,
    })
    expect(isAbsolute(data)).toBe(true)
  })

  test('a flag goes before the environment, and an empty variable is none', () => {
    expect(readConfig({ port: '1' }, { PORT: '2' }).port).toBe(1)
    expect(readConfig({}, { PORT: '2' }).port).toBe(2)
    expect(readConfig({}, { PORT: '', SOJOURN_ORIGIN: '' })).toMatchObject({ port: 3000, origin: undefined })
  })

  test.each([
    ['PORT', 'http'],
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '3000.5'],
    ['PORT', '0x50'],
    ['HOST', 'http://localhost'],
    ['HOST', 'a b'],
    ['SOJOURN_ORIGIN', 'shop.example'],
    ['SOJOURN_ORIGIN', 'https://shop.example/'],
    ['SOJOURN_ORIGIN', 'https://shop.example/path'],
    ['SOJOURN_ORIGIN', 'https://user:pass@shop.example'],
    ['SOJOURN_ORIGIN', 'http://shop.example'],
    ['SOJOURN_ORIGIN', 'ftp://shop.example'],
    ['SOJOURN_ALLOWED_ORIGINS', '*'],
    ['SOJOURN_ALLOWED_ORIGINS', 'https://*.example'],
    ['SOJOURN_ALLOWED_ORIGINS', 'https://app.example,http://app.example'],
    ['SOJOURN_ALLOWED_ORIGINS', 'https://app.example/,https://b.example'],
    ['SOJOURN_ALLOWED_ORIGINS', 'https://app.example,'],
    ['SOJOURN_STORE', 'redis:'],
    ['SOJOURN_STORE', 'mysql://localhost/db'],
    ['SOJOURN_ACCOUNTS', 'redis://localhost'],
    ['SOJOURN_ACCOUNTS', 'memory:'],
    ['SOJOURN_MIGRATE', 'yes'],
    ['SOJOURN_METRICS', 'on'],
    ['SOJOURN_METRICS', '127.0.0.1:99999'],
    ['SOJOURN_KEYS', ' , '],
    ['SOJOURN_KEYS', 'correct horse battery staple'],
    ['SOJOURN_KEYS', 'file:/nowhere/at/all'],
    ['SOJOURN_TRUST_PROXY', 'true'],
    ['SOJOURN_TRUST_PROXY', '-1'],
    ['SOJOURN_PASSWORD_MIN', '7'],
    ['SOJOURN_PASSWORD_MIN', '65'],
  ])('A-160: %s=%s is refused, by its name', (name, value) => {
    expect(() => readConfig({}, { [name]: value })).toThrow(new RegExp(`^${name}: .+;`))
  })

  test.each([
    ['SOJOURN_ORIGIN', 'https://shop.example'],
    ['SOJOURN_ORIGIN', 'https://shop.example:8443'],
    ['SOJOURN_ORIGIN', 'http://localhost:3000'],
    ['SOJOURN_ORIGIN', 'http://[::1]:3000'],
    ['SOJOURN_ALLOWED_ORIGINS', 'https://app.example, http://localhost:5173'],
    ['HOST', '::'],
    ['HOST', 'localhost'],
    ['SOJOURN_STORE', 'memory:'],
    ['SOJOURN_STORE', 'postgres://app:secret@db.example/shop'],
    ['SOJOURN_ACCOUNTS', 'mongodb+srv://db.example/shop'],
    ['SOJOURN_METRICS', '9464'],
    ['SOJOURN_METRICS', '[::1]:9464'],
    ['SOJOURN_METRICS', '0.0.0.0:9464'],
    ['SOJOURN_MIGRATE', 'true'],
    ['SOJOURN_TRUST_PROXY', '2'],
    ['SOJOURN_PASSWORD_MIN', '8'],
  ])('%s=%s is taken', (name, value) => {
    expect(() => readConfig({}, { [name]: value })).not.toThrow()
  })

  test('everything that is wrong is said at once', () => {
    const bad = () => readConfig({ port: 'x' }, { SOJOURN_STORE: 'y', SOJOURN_TRUST_PROXY: 'z' })
    expect(bad).toThrow(/--port: .*\n.*SOJOURN_STORE: .*\n.*SOJOURN_TRUST_PROXY: /)
  })

  test('the page about the server has every setting, with its default', () => {
    const page = readFileSync(new URL('../../../docs/server.md', import.meta.url), 'utf8')
    for (const { flag, env, fallback } of settings) {
      const start = flag === undefined ? '| |' : `| \`${flag.split(' ')[0]}\``
      const row = page.split('\n').find((line) => line.startsWith(start) && line.includes(`\`${env}\``))
      expect(row, env).toBeDefined()
      if (fallback !== undefined) expect(row).toContain(`\`${fallback}\``)
    }
  })
})

describe('the keys file', () => {
  const clock = manualClock()
  let data: string
  let path: string
  beforeEach(() => {
    const parent = mkdtempSync(join(tmpdir(), 'sojourn-keys-'))
    data = join(parent, 'deep', 'data')
    path = join(data, 'keys.json')
  })
  afterEach(() => rmSync(join(data, '..', '..'), { recursive: true, force: true }))

  test('is made on the first start, for its owner alone, and kept', () => {
    const first = loadKeys(data, clock())
    expect(first).toHaveLength(1)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(data).mode & 0o777).toBe(0o700)
    expect(loadKeys(data, clock())).toEqual(first)
    expect(readdirSync(data)).toEqual(['keys.json'])
  })

  test.each(['640', '604', '660'])('13.3: mode %s is refused, with what to do', (mode) => {
    loadKeys(data, clock())
    chmodSync(path, Number.parseInt(mode, 8))
    expect(() => loadKeys(data, clock())).toThrow(`chmod 600 ${path}`)
  })

  test.each(['', '{', '[]', '{}', '[{"id":"x"}]', '["secret"]', '[{"secret":"x","until":"later"}]'])(
    '%j is refused, and not overwritten',
    (text) => {
      loadKeys(data, clock())
      writeFileSync(path, text)
      expect(() => loadKeys(data, clock())).toThrow('restore it from a backup')
      expect(() => addKey(data, clock())).toThrow('restore it from a backup')
      expect(readFileSync(path, 'utf8')).toBe(text)
    },
  )

  test('a new key signs, the older ones are accepted for as long as a session can last', () => {
    const [old] = loadKeys(data, clock())
    addKey(data, clock())
    const [current, accepted] = loadKeys(data, clock())
    expect(accepted).toEqual(old)
    expect(current).not.toEqual(old)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(loadKeys(data, clock() + 399 * 24 * 3_600_000)).toEqual([current, accepted])
    expect(loadKeys(data, clock() + 401 * 24 * 3_600_000)).toEqual([current])
  })

  test('a further key does not lengthen the life of the oldest', () => {
    const [oldest] = loadKeys(data, clock())
    addKey(data, clock())
    addKey(data, clock() + 300 * 24 * 3_600_000)
    expect(loadKeys(data, clock() + 301 * 24 * 3_600_000)).toHaveLength(3)
    expect(loadKeys(data, clock() + 401 * 24 * 3_600_000)).not.toContainEqual(oldest)
  })

  test('can be made before the first start', () => {
    addKey(data, clock())
    expect(existsSync(path)).toBe(true)
    expect(loadKeys(data, clock())).toHaveLength(1)
  })
})
