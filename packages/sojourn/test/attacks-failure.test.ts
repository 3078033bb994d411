/** A store that fails, hangs, or forgets what it was doing: nobody is logged out by it, and nothing opens. */

import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { gated, shop, type Verb } from './helpers.js'

/** A shop whose store fails while `broken` says so, at once or as a promise that rejects. */
function fragile(asynchronous: boolean) {
  const clock = manualClock()
  let broken: (verb: Verb) => boolean = () => false
  const fail = () => {
    throw new Error('ECONNREFUSED 10.0.0.5')
  }
  const store = gated(memory({ clock }), (verb, go) => {
    if (!asynchronous) return broken(verb) ? fail() : go()
    return Promise.resolve().then(() => (broken(verb) ? fail() : go()))
  })
  const breakStore = (when: typeof broken) => {
    broken = when
  }
  return { app: shop({ clock, store }), breakStore }
}

/** Rejections that nobody handles end the process: there must be none. */
function watchRejections(): unknown[] {
  const unhandled: unknown[] = []
  const take = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', take)
  onTestFinished(() => void process.off('unhandledRejection', take))
  return unhandled
}

describe.each([
  ['a synchronous store', false],
  ['an asynchronous store', true],
])('%s that fails', (_, asynchronous) => {
  test('A-80: two live credentials in one request: 503, and no rejection that nobody handles', async () => {
    const unhandled = watchRejections()
    const { app, breakStore } = fragile(asynchronous)
    const one = (await app.request('', (s) => s.login('ada'))).given!
    const two = (await app.request('', (s) => s.login('eve'))).given!
    breakStore(() => true)

    expect((await app.request(`${one}; ${two}`, (s) => s.userId)).status).toBe(503)

    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([])
  })
})
