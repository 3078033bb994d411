/** Misuse of `createSessions` is a `TypeError` at construction, which says what to write. */
import { createSessions, type SessionsOptions } from 'sojourn'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { App, KEY } from './helpers.js'

describe('misuse', () => {
  test.each<[string, object, RegExp]>([
    ['an `initial` that is no function', { initial: {} }, /^initial: .*such as \(\) => \(\{ cart/],
    ['an `initial` of null', { initial: null }, /^initial: .*such as/],
    ['a clock that is none', { clock: 5 }, /^clock: .*such as Date\.now/],
    ['a schema that is none', { schema: {} }, /^schema: .*such as z\.object/],
    ['the shape of a schema', { schema: { cart: z.string() } }, /^schema: .*such as z\.object/],
    ['a schema that cannot check', { schema: { '~standard': { version: 1 } } }, /^schema: .*such as z\.object/],
    ['a schema of null', { schema: null }, /^schema: .*such as z\.object/],
    ['no timeouts', { timeouts: { idle: 1000 } }, /^timeouts: `absolute` must be/],
    ['an unknown preset', { timeouts: 'aal9' }, /^timeouts: .*use "aal1"/],
    ['a limit of none', { limit: { sessions: 0, policy: 'reject' } }, /^limit: `sessions`/],
    ['a limit without a policy', { limit: { sessions: 2 } }, /^limit: `policy` is/],
    ['an origin with a path', { origin: 'https://shop.example/', csrf: false }, /^origin: it is "https:\/\/host"/],
    ['a rule that is none', { merge: { cart: 'add' } }, /^merge: a rule is/],
  ])('%s', (_, options, message) => {
    const create = () => createSessions({ keys: KEY, ...options } as SessionsOptions<object>)
    expect(create).toThrow(TypeError)
    expect(create).toThrow(message)
  })
})

test('an asynchronous `initial` is refused at its first use, not kept as the promise that it is', async () => {
  const app = new App({ initial: (async () => ({ count: 0 })) as unknown as () => { count: number } })
  const read = app.request('', (s) => s.data.count)
  await expect(read).rejects.toThrow(/^initial: it gives a promise/)
})
