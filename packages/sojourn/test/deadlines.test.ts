/** The line of calls that wait for a store: each runs out in its own time, and what was answered never does. */
import { setTimeout as pause } from 'node:timers/promises'
import { createSessions, generateSecret, opaque, type Store } from 'sojourn'
import { describe, expect, test } from 'vitest'
import { exchange } from './exchange.js'

/** A store whose answers come when they are called for. */
function slow() {
  const asked: (() => void)[] = []
  const store: Store = {
    get: () => new Promise((resolve) => asked.push(() => resolve(undefined))),
    set: () => true,
    delete: () => true,
  }
  return { asked, sessions: createSessions({ keys: generateSecret(), strategy: opaque({ store }) }) }
}

/** A request with a credential, and how long it took to fail, or to be answered. */
async function visit(sessions: ReturnType<typeof slow>['sessions'], cookie: string) {
  const began = performance.now()
  const session = sessions.begin(exchange({ headers: { cookie } }), {}).session()
  const how = await Promise.resolve(session).then(
    () => 'answered',
    () => 'late',
  )
  return { how, ms: performance.now() - began }
}

describe('A-82: a store that answers some and not others', () => {
  test('each call that has no answer fails after two seconds of its own; the others are answered', async () => {
    const { asked, sessions } = slow()
    const login = exchange()
    const begun = sessions.begin(login, {})
    ;(await begun.session()).login('ann')
    await begun.commit()
    const cookie = login.lines[0]!.split(';', 1)[0]!
    const visits: ReturnType<typeof visit>[] = []
    for (let n = 0; n < 8; n++) {
      visits.push(visit(sessions, cookie))
      // Between them, and once the first has run out, so that one comes while others are being given up.
      await pause(n === 3 ? 1_300 : 150)
      if (n % 2) asked[n]!()
    }
    const done = await Promise.all(visits)
    expect(done.map(({ how }) => how)).toEqual(done.map((_, n) => (n % 2 ? 'answered' : 'late')))
    for (const { ms } of done.filter(({ how }) => how === 'late')) {
      expect(ms).toBeGreaterThan(1_990)
      expect(ms).toBeLessThan(2_400)
    }
  })
})
