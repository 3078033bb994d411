/** The browser's half, without a browser: how large it is, and what it refuses to be told. */
import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { type ClientOptions, createClient } from 'sojourn/client'
import { describe, expect, test } from 'vitest'

const dist = new URL('.', import.meta.resolve('sojourn/client'))
const modules = readdirSync(dist)
  .filter((file) => file.endsWith('.js'))
  .map((file) => readFileSync(new URL(file, dist), 'utf8'))

describe('sojourn/client', () => {
  test('is small: at most 11 KB gzipped as it is, 8 KB without its comments', () => {
    const code = modules.join('')
    const bare = code.replace(/^\s*(?:\/\/.*|\/\*[\s\S]*?\*\/)\n/gm, '')
    const [whole, without] = [gzipSync(code).length, gzipSync(bare).length]
    console.log(`sojourn/client is ${modules.length} modules, ${whole} bytes gzipped, ${without} without comments`)
    expect(modules.length).toBeGreaterThan(5)
    expect(bare).toContain('navigator')
    expect(whole).toBeLessThan(11_000)
    expect(without).toBeLessThan(8_000)
  })

  test('imports nothing but itself', () => {
    const imported = modules.flatMap((code) => [...code.matchAll(/from '([^']+)'/g)].map((match) => match[1]!))
    expect(imported.length).toBeGreaterThan(10)
    expect(imported.filter((path) => !path.startsWith('./'))).toEqual([])
  })

  test.each<[string, Partial<ClientOptions>]>([
    ['`origins` is empty', { origins: [] }],
    ['`origins` has "*"', { origins: ['*'] }],
    ['`origins` has "null"', { origins: ['null'] }],
    ['`origins` has "https://*.example"', { origins: ['https://*.example'] }],
    ['`origins` has "https://shop.example/"', { origins: ['https://shop.example/'] }],
    ['`origins` has "https://shop.example:443"', { origins: ['https://shop.example:443'] }],
    ['`origins` has "shop.example"', { origins: ['shop.example'] }],
    ['`origins` has "https://user@shop.example"', { origins: ['https://user@shop.example'] }],
    ['`refresh` is at https://evil.example', { refresh: 'https://evil.example/refresh' }],
    ['`refresh` is at https://shop.example.evil', { refresh: 'https://shop.example.evil/refresh' }],
    ['`revoke` is at https://evil.example', { revoke: 'https://evil.example/revoke' }],
    ['`ticket` is at https://evil.example', { ticket: 'https://evil.example/ticket' }],
    ['`cookie` is about the refresh token', { cookie: true }],
    ["`storage` is 'memory'", { storage: 'indexedDB' as 'memory' }],
  ])('A-124: %s', (message, options) => {
    expect(() => createClient({ origins: ['https://shop.example'], ...options })).toThrow(`client: ${message}`)
  })

  test('streams need the address where tickets are had', () => {
    const client = createClient({ origins: ['https://shop.example'] })
    expect(() => client.eventSource('https://shop.example/live')).toThrow('pass `ticket`')
    client.close()
  })
})
