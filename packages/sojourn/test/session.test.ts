/** The session as an app meets it: the whole journey, its times, its costs, and what it tells. */
import { describe, expect, test } from 'vitest'
import { App, shop } from './helpers.js'

describe('what was shown is what is kept', () => {
  test('without a conflict, neither `initial` nor an update is run a second time', async () => {
    let made = 0
    const app = new App({ initial: () => ({ visitor: ++made, token: '' }) })
    let drawn = 0
    const { value, given } = await app.request('', (s) => {
      const token = s.update('token', (token) => token || `token ${++drawn}`)
      return [s.data.visitor, token]
    })
    const kept = await app.request(given!, (s) => [s.data.visitor, s.data.token])
    expect(kept.value).toEqual(value)
    expect(drawn).toBe(1)
  })

  test('on a conflict an update is run again, over what the other request left', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.update('count', () => 1))
    await app.request(given!, async (slow) => {
      slow.update('count', (n) => n * 10)
      await app.request(given!, (fast) => fast.update('count', (n) => n + 1))
    })
    expect((await app.request(given!, (s) => s.data.count)).value).toBe(20)
  })
})
