/** a "remember me" cookie that was copied: what it opens, for how long, and what ends it. */
import { requireRecentLogin } from 'sojourn/guard/access'
import { describe, expect, test } from 'vitest'
import { HOUR, MINUTE, shop } from './helpers.js'

const DAY = 24 * HOUR

/** A user who is remembered, and a thief with a copy of the cookie. */
async function robbed() {
  const app = shop()
  const owner = app.browser()
  await owner.visit((s) => s.login('ada', { persistent: true, amr: ['pwd'] }))
  return { app, owner, copied: owner.cookie }
}

describe('A-101: a copied "remember me" cookie', () => {
  test('A-101: is not what a stolen database holds', async () => {
    const { app, copied } = await robbed()
    const kept = JSON.stringify([...(app.store.list() as Iterable<unknown>)])
    const [, ...parts] = copied.split('=')[1]!.split('.')
    for (const part of parts) expect(kept).not.toContain(part)
  })

  test('A-101: is no fresh login, however much it is used: what asks for one asks again', async () => {
    const { app, copied } = await robbed()
    const rule = requireRecentLogin(app.sessions, { within: 10 * MINUTE, method: 'pwd' })
    const at = app.clock()
    const page = { method: 'GET', url: '/', header: () => undefined }
    const refused = async () => (await app.request(copied, (s) => rule.refuse(s, page)?.status)).value
    expect(await refused()).toBeUndefined()
    for (let day = 0; day < 5; day++) {
      app.clock.advance(DAY)
      expect((await app.request(copied, (s) => [s.userId, s.authenticatedAt])).value).toEqual(['ada', at])
      expect(await refused()).toBe(401)
    }
  })

  test('A-101: ends at its absolute end, as activity does not move it', async () => {
    const { app, copied } = await robbed()
    for (let day = 1; day < 30; day++) {
      app.clock.advance(DAY)
      expect(await app.userOf(copied)).toBe('ada')
    }
    app.clock.advance(DAY)
    expect(await app.userOf(copied)).toBeUndefined()
  })

  test.each<[string, (world: Awaited<ReturnType<typeof robbed>>) => Promise<unknown>]>([
    ['a logout', ({ owner }) => owner.visit((s) => s.logout())],
    ['a new identifier, as after a change of password', ({ owner }) => owner.visit((s) => s.rotate())],
    ['another sign-in in that browser', ({ owner }) => owner.visit((s) => s.login('ada', { persistent: true }))],
    [
      '“end all others” from another device',
      async ({ app }) => {
        const other = app.browser()
        await other.visit((s) => s.login('ada'))
        await other.visit(async (s) => app.sessions.endAll('ada', { except: s.id }))
      },
    ],
  ])('A-101: ends with %s', async (_, end) => {
    const world = await robbed()
    expect(await world.app.userOf(world.copied)).toBe('ada')
    await end(world)
    for (const later of [0, MINUTE, DAY]) {
      world.app.clock.advance(later)
      const { value, given } = await world.app.request(world.copied, (s) => s.userId)
      expect([value, given]).toEqual([undefined, undefined])
    }
  })
})
