/** The throttle's table keeps what the library asks of a store. */
import { openDatabase } from '@sojourn/server/database'
import { createCountStore } from '@sojourn/server/throttle-store'
import { manualClock } from 'sojourn/testing/clock'
import { expect, test } from 'vitest'

const record = (version: number, expiresAt: number) => ({ data: '1', createdAt: 1, seenAt: 1, expiresAt, version })

test('compare-and-set: one creates, one overwrites what it read, and nobody what has expired', () => {
  const clock = manualClock()
  const store = createCountStore(openDatabase(':memory:'), clock)
  const later = clock() + 1000
  expect(store.get('a')).toBeUndefined()
  expect(store.set('a', record(1, later), 1)).toBe(false)
  expect(store.set('a', record(1, later), 0)).toBe(true)
  expect(store.set('a', record(1, later), 0)).toBe(false)
  expect(store.get('a')).toEqual(record(1, later))
  expect(store.set('a', record(2, later), 1)).toBe(true)
  expect(store.set('a', record(2, later), 1)).toBe(false)
  clock.advance(1000)
  expect(store.get('a')).toBeUndefined()
  expect(store.set('a', record(3, later + 1000), 2)).toBe(false)
  expect(store.delete('a')).toBe(false)
  expect(store.set('a', record(1, later + 1000), 0)).toBe(true)
  expect(store.delete('a')).toBe(true)
  expect(store.delete('a')).toBe(false)
})
