/**
 * The MongoDB store over a STAND-IN that speaks the wire protocol: the plumbing, with both drivers. What only MongoDB
 * itself can show (concurrent commands, durability) is tried by store-mongodb-live.test.ts.
 */
import { mongodb } from 'sojourn/store/mongodb'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { describe, expect, test } from 'vitest'
import { connect, drivers, useStandIn } from './engines/mongodb.js'
import type { StandIn } from './engines/mongodb-stand-in.js'
import { inRealTime } from './fixtures/real-time.js'

/** Cases whose point is that MongoDB carries out each command at once: the stand-in does so by having one thread. */
const CONCURRENT = /parallel|raced|several writers|however many/

describe.each(drivers)('the contract of stores, over a STAND-IN, by %s', (_, by) => {
  const clock = manualClock()
  let standIn: StandIn
  const realTime = inRealTime({
    create: async () => {
      standIn = await useStandIn()
      return mongodb(connect(standIn.url, {}, by).db('app'))
    },
    second: () => mongodb(connect(standIn.url, {}, by).db('app')),
  })
  const suite = storeCases({
    clock,
    tells: 1000,
    async create() {
      standIn = await useStandIn()
      return mongodb(connect(standIn.url, {}, by).db('app'), { clock })
    },
    second: () => mongodb(connect(standIn.url, {}, by).db('app'), { clock }),
    breakBackend: () => {
      standIn.fate = () => ({ code: 13, errmsg: 'not authorized' })
    },
  }).concat(realTime)
  const cases = suite.filter(({ name }) => !CONCURRENT.test(name))
  test.each(cases.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())

  test('the cases left out here are few', () => {
    const left = suite.filter((each) => !cases.includes(each)).map(({ name }) => name)
    expect(left.length, left.join('\n')).toBeGreaterThan(0)
    expect(left.length, left.join('\n')).toBeLessThanOrEqual(7)
    expect(cases.length).toBeGreaterThan(20)
  })
})
