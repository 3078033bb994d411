/** A-91, 6.3.8: who has an account is told by no answer to a login: not its status, headers, body, cookies or time. */
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import type { Answer, Client } from './client.js'
import { PASSWORD, started } from './started.js'

const HOUR = 3_600_000
const ROUNDS = 40

/** How often one sample is below one of the others: a half where they are alike (Mann and Whitney). */
const below = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, x) => sum + b.filter((y) => x < y).length, 0) / (a.length * b.length)

const shown = ({ status, headers, text }: Answer) => ({
  status,
  text,
  headers: [...headers].filter(([name]) => name !== 'date'),
})

type Send = (visitor: Client, username: string, password: string) => Promise<Answer>

const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }

const logins: [name: string, send: Send][] = [
  ['the API', (visitor, username, password) => visitor.post('/api/login', { username, password })],
  ['the API for tokens', (visitor, username, password) => visitor.post('/api/token', { username, password })],
  [
    'the page',
    async (visitor, username, password) => {
      const csrf = tokenIn((await visitor.get('/login')).text)!
      const body = new URLSearchParams({ csrf, username, password }).toString()
      return visitor.send('POST', '/login', { headers, body })
    },
  ],
]

/** The token of a page's form: another each time. */
const tokenIn = (text: string) => /name="csrf" value="([^"]+)"/.exec(text)?.[1]

describe.each(logins)('%s', (_, send) => {
  test('a name that nobody has and a wrong password: one answer, in the same time', async () => {
    const clock = manualClock()
    const server = await started({}, { clock })
    await server.user('ada')
    // As long as the other, since a form shows what was typed.
    const names = ['ada', 'eve']
    expect((await send(server.visitor(), 'ada', PASSWORD)).status).toBeLessThan(400)
    const times: [number[], number[]] = [[], []]
    const answers: ReturnType<typeof shown>[] = []
    for (let round = 0; round < ROUNDS; round++) {
      // The throttle forgets: it would answer both of them alike, and neither with a hash.
      clock.advance(HOUR)
      // In changing order, so that whatever else this machine does falls on both alike.
      for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const visitor = server.visitor()
        const before = performance.now()
        const answer = await send(visitor, names[i]!, 'not the right one')
        times[i]!.push(performance.now() - before)
        const text = answer.text.replaceAll(names[i]!, 'NAME').replaceAll(tokenIn(answer.text) ?? '\0', 'TOKEN')
        answers.push({ ...shown(answer), text })
      }
    }
    expect([401, 422]).toContain(answers[0]!.status)
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(JSON.stringify(answers[0]!.headers)).not.toContain('set-cookie')
    // Alike, it strays from a half by 0.065; four times that is less than once in ten thousand runs.
    const share = below(times[1], times[0])
    expect(share, 'how often nobody is answered sooner').toBeGreaterThan(0.24)
    expect(share, 'how often nobody is answered sooner').toBeLessThan(0.76)
  })
})

test('a sign-up says that a name is taken, as it must be chosen anew, and no more: nothing of whom it belongs to, and no cookie', async () => {
  const server = await started()
  await server.user('ada')
  await server.user('grace')
  const answers = []
  for (const username of ['ada', 'ADA', 'grace']) {
    const visitor = server.visitor()
    answers.push(shown(await visitor.post('/api/signup', { username, password: PASSWORD })))
    expect(await visitor.jar.getCookies(server.url)).toEqual([])
  }
  expect(answers[0]!.status).toBe(409)
  for (const answer of answers) expect(answer).toEqual(answers[0])
})

test('6.3.8: a sign-up costs its hash whether the name is taken or free, so that to try out names is as dear as to take them', async () => {
  const clock = manualClock()
  const server = await started({}, { clock })
  await server.user('name-00')
  const times: [number[], number[]] = [[], []]
  for (let round = 1; round <= ROUNDS; round++) {
    clock.advance(HOUR)
    const free = `name-${String(round).padStart(2, '0')}`
    for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const visitor = server.visitor()
      const before = performance.now()
      const { status } = await visitor.post('/api/signup', { username: ['name-00', free][i]!, password: PASSWORD })
      times[i]!.push(performance.now() - before)
      expect(status).toBe([409, 201][i])
    }
  }
  // What is made is also written down, which takes some time of its own; without the hash it would be nearly all of it.
  const half = times[1].map((time) => time / 2)
  expect(below(times[0], half), 'how often a taken name is answered in half of the time').toBeLessThan(0.6)
})
