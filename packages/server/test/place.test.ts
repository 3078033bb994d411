/** How a place is written, and what is said of one that is not. */
import { resolve } from 'node:path'
import { readConfig } from '@sojourn/server'
import { accountsPlace, isShared, storePlace } from '@sojourn/server/place'
import { describe, expect, test } from 'vitest'

describe('places on this machine', () => {
  test.each([
    ['memory:', { kind: 'memory' }],
    ['sqlite:', { kind: 'sqlite', path: undefined }],
    ['sqlite:deep/shop.db', { kind: 'sqlite', path: resolve('deep/shop.db') }],
    ['sqlite:///var/lib/shop.db', { kind: 'sqlite', path: '/var/lib/shop.db' }],
    ['file:', { kind: 'file', path: undefined }],
    ['file:/var/lib/sessions', { kind: 'file', path: '/var/lib/sessions' }],
  ])('%s', (text, place) => {
    expect(storePlace(text)).toEqual(place)
    expect(isShared(storePlace(text))).toBe(false)
  })
})

describe('Redis', () => {
  const plain = { kind: 'redis', as: 'single', db: 0, tls: false }
  test.each([
    ['redis://localhost', { ...plain, nodes: [{ host: 'localhost', port: 6379 }] }],
    [
      'rediss://app:p%40ss%3Aword@cache.example:6380/2',
      {
        ...plain,
        tls: true,
        username: 'app',
        password: 'p@ss:word',
        db: 2,
        nodes: [{ host: 'cache.example', port: 6380 }],
      },
    ],
    ['redis://:secret@[::1]:7000', { ...plain, password: 'secret', nodes: [{ host: '::1', port: 7000 }] }],
    [
      'redis://a:1,b:2,c?cluster=true',
      {
        ...plain,
        as: 'cluster',
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
          { host: 'c', port: 6379 },
        ],
      },
    ],
    ['redis://one/?cluster=true', { ...plain, as: 'cluster', nodes: [{ host: 'one', port: 6379 }] }],
    [
      'redis-sentinel://s1,s2:26380/3?sentinelMasterId=sessions',
      {
        ...plain,
        as: 'sentinel',
        master: 'sessions',
        db: 3,
        nodes: [
          { host: 's1', port: 26_379 },
          { host: 's2', port: 26_380 },
        ],
      },
    ],
  ])('%s', (text, place) => {
    expect(storePlace(text)).toEqual({ username: undefined, password: undefined, master: undefined, ...place })
    expect(isShared(storePlace(text))).toBe(true)
  })

  test.each([
    ['redis:', 'redis://host'],
    ['redis:localhost', 'redis://host'],
    ['redis://', 'no address'],
    ['redis://host:0', 'port'],
    ['redis://host:70000', 'port'],
    ['redis://ho st', 'host'],
    ['redis://a,b', 'cluster=true'],
    ['redis://a,b/1?cluster=true', 'drop its number'],
    ['redis://a?tls=true', 'parameter'],
    ['redis://a?sentinelMasterId=x', 'parameter'],
    ['redis://a:b%zz@host', '%25'],
    ['redis://user:p@ss@host', '%40'],
    ['redis-sentinel://a,b', 'sentinelMasterId'],
    ['redis-sentinel://a?cluster=true&sentinelMasterId=x', 'one of them'],
  ])('%s is refused, and what to write is said', (text, what) => {
    expect(() => storePlace(text)).toThrow(what)
  })
})

describe('PostgreSQL and MongoDB', () => {
  test.each([
    ['postgres://app:secret@db.example:5432/shop', 'postgres'],
    ['postgresql://db.example/shop?sslmode=verify-full', 'postgres'],
    ['postgres:///shop?host=/var/run/postgresql', 'postgres'],
    ['mongodb://a:27017,b:27017/shop?replicaSet=rs0', 'mongodb'],
    ['mongodb+srv://app:secret@cluster.example/shop', 'mongodb'],
  ])('%s, for sessions and accounts', (url, kind) => {
    expect(storePlace(url)).toEqual({ kind, url })
    expect(accountsPlace(url)).toEqual({ kind, url })
  })

  test.each(['postgres:', 'postgres://', 'postgres:///shop', 'mongodb://', 'mongodb:localhost'])(
    '%s is none',
    (text) => {
      expect(() => storePlace(text)).toThrow(/write (postgres|mongodb):\/\//)
    },
  )

  test.each(['memory:', 'file:', 'redis://localhost', 'mysql://x', ''])('%j is no place for accounts', (text) => {
    expect(() => accountsPlace(text)).toThrow('no place for accounts')
  })
})

test('A-154: what is wrong with a secret value is said without it', () => {
  for (const [name, value] of [
    ['SOJOURN_STORE', 'redis://app:hunter2@a,b'],
    ['SOJOURN_ACCOUNTS', 'redis://app:hunter2@a'],
    ['SOJOURN_KEYS', 'hunter2'],
  ] as const) {
    const failed = () => readConfig({}, { [name]: value })
    expect(failed).toThrow(name)
    expect(failed).not.toThrow('hunter2')
  }
})
