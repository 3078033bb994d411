import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { describe, test } from 'vitest'

describe('the contract of stores', () => {
  const clock = manualClock()
  const suite = storeCases({ clock, create: () => memory({ clock }), breakBackend: (store) => store.close?.() })
  for (const { name, run } of suite) test(name, run)
})
