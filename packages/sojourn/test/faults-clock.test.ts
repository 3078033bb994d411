/** A server whose clock jumps: what others see of it, and that nobody is signed out for good by it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { UserStore } from 'sojourn'
import { file } from 'sojourn/store/file'
import { memory } from 'sojourn/store/memory'
import { sqlite } from 'sojourn/store/sqlite'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { HOUR, MINUTE, shop } from './helpers.js'

const STORES: Record<string, (folder: string, clock: ManualClock) => UserStore> = {
  memory: (_, clock) => memory({ clock }),
  SQLite: (folder, clock) => sqlite(join(folder, 'sessions.db'), { clock }),
  'the file store': (folder, clock) => file(join(folder, 'sessions'), { clock }),
}

describe.each(Object.entries(STORES))('A-159: a clock that jumps: %s', (_, open) => {
  const scene = async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-clock-'))
    const clock = manualClock()
    const store = open(folder, clock)
    onTestFinished(() => {
      store.close?.()
      rmSync(folder, { recursive: true, force: true })
    })
    const app = shop({ clock, store })
    const ada = app.browser()
    await ada.visit((s) => [s.login('ada'), s.data.cart.push('book')])
    const seen = async () => (await ada.visit((s) => [s.userId, s.data.cart.length, s.refused])).value
    return { app, clock, ada, seen, began: clock() }
  }

  test('back by minutes: nobody notices, and writes go on', async () => {
    const { clock, ada, seen } = await scene()
    clock.advance(-4 * MINUTE)
    await ada.visit((s) => s.data.cart.push('pen'))
    expect(await seen()).toEqual(['ada', 2, undefined])
    clock.advance(4 * MINUTE)
    expect(await seen()).toEqual(['ada', 2, undefined])
  })

  test('back by an hour: a record from the future is not believed, and is there again when the clock is right', async () => {
    const { clock, ada, seen } = await scene()
    clock.advance(-HOUR)
    const answer = await ada.visit((s) => [s.userId, s.refused])
    expect([answer.value, answer.cleared]).toEqual([[undefined, 'malformed'], false])
    clock.advance(HOUR)
    expect(await seen()).toEqual(['ada', 1, undefined])
  })

  test('forward and back again: what was written meanwhile is kept, and lives no longer for it', async () => {
    const { clock, ada, seen, began } = await scene()
    clock.advance(10 * MINUTE)
    await ada.visit((s) => s.data.cart.push('pen'))
    clock.set(began)
    expect(await seen()).toEqual(['ada', 2, undefined])
    // The absolute end is counted from the login, by whatever clock it is asked.
    clock.advance(365 * 24 * HOUR)
    expect((await seen())?.[0]).toBeUndefined()
  })

  test('7.4.3: endAll under a clock that is ahead of all timeouts ends what is there again under the right one', async () => {
    const { app, clock, ada, began } = await scene()
    clock.advance(3 * HOUR)
    expect(await app.sessions.endAll('ada')).toBe(0)
    clock.set(began)
    expect(await app.userOf(ada.cookie)).toBeUndefined()
    expect(await app.sessions.list('ada')).toEqual([])
  })

  test('what was ended under a clock that was wrong stays ended under the right one', async () => {
    for (const wrong of [10 * MINUTE, -4 * MINUTE]) {
      const { app, clock, ada } = await scene()
      const { cookie } = ada
      clock.advance(wrong)
      await ada.visit((s) => s.logout())
      expect(await app.userOf(cookie)).toBeUndefined()
      clock.advance(-wrong)
      expect(await app.userOf(cookie)).toBeUndefined()
    }
  })
})
