/** Two processes, one of which ends what the other honours; the clock is that of the process which ends and asks. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { generateSecret } from 'sojourn'
import { disconnect } from '../servers/stores.mjs'
import { member } from './fleet.mjs'

/** How many tokens are under way at once. */
const LANES = 4
/** The same where most of the time is spent waiting for a copy to grow old. */
const WAITING = 12
/** How much longer than the bound a token is asked for that is not refused, milliseconds. */
const PATIENCE = 5_000

/**
 * Runs one trial, and gives what each token came to: `refused`, when the first request was sent that was refused;
 * `honoured`, when the last one was that was not. Milliseconds since the end of the token was acknowledged, or since
 * the line was cut.
 */
export async function trial({ samples, cut, within, push, store, copies }) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-revocation-'))
  const file = join(folder, 'revocations.db')
  const config = { folder, file, keys: generateSecret(), within, push, store, copies }
  // Plain HTTP is as it should be here.
  const execArgv = ['--disable-warning=SOJOURN_PLAIN_HTTP']
  const child = fork(new URL('verifier.mjs', import.meta.url), { execArgv })
  const agent = new Agent({ keepAlive: true })
  const ender = await member(config)
  try {
    child.send(config)
    const { port } = await told(child, 'port')
    const ask = (path, cookie) => request(agent, port, path, cookie)
    const until = within + PATIENCE
    // A copy that nobody takes away lasts from its read: sessions must not all end when theirs is new.
    const age = copies === 'polled' ? within : 0
    const one = cut ? cutting(ask, child, cut, until) : ending(ask, ender.sessions, until, age)
    const measured = []
    let begun = 0
    const lane = async () => {
      while (begun++ < samples) {
        // Polls are regular: ends must not be, or they would all fall behind the same poll.
        await pause(Math.random() * Math.min(within / 2, 250))
        measured.push(await one(`user-${measured.length}`))
      }
    }
    // There is one line to cut, and every token is behind it.
    await Promise.all(Array.from({ length: cut ? 1 : age > 0 ? WAITING : LANES }, lane))
    return measured
  } finally {
    agent.destroy()
    child.disconnect()
    await once(child, 'exit')
    await ender.sessions.close()
    await disconnect()
    rmSync(folder, { recursive: true })
  }
}

/** Ends a token here, and asks there until it is refused. */
const ending = (ask, sessions, until, age) => async (user) => {
  const { id, cookie } = await signedIn(ask, user)
  if (age > 0) await pause(Math.random() * age)
  if (!(await sessions.end(id))) throw new Error('a token was not ended')
  const found = await refusal(ask, cookie, user, performance.now(), until)
  // A refusal for another reason would look like the news, and be none.
  if (found.status !== undefined && found.status !== 200)
    throw new Error(`expected a guest, was answered ${found.status}`)
  return found
}

/** Cuts the line to the store, and asks until a token is refused that nobody ended: it might have been. */
const cutting = (ask, child, how, until) => async (user) => {
  const { cookie } = await signedIn(ask, user)
  const line = async (state) => {
    child.send({ line: state })
    await told(child, 'line')
  }
  await line(how)
  const found = await refusal(ask, cookie, user, performance.now(), until)
  if (found.status !== undefined && found.status !== 503) throw new Error(`expected 503, was answered ${found.status}`)
  await line('whole')
  const from = performance.now()
  while ((await ask('/', cookie)).body !== user) {
    if (performance.now() - from > 10_000) throw new Error('the line is whole again, and a good token is refused')
    await pause(10)
  }
  return found
}

async function signedIn(ask, user) {
  const { body: id, cookie } = await ask(`/login?${user}`)
  const { body } = await ask('/', cookie)
  if (body !== user) throw new Error(`a token is not honoured: "${body.slice(0, 80)}"`)
  return { id, cookie }
}

/** Asks again and again, a millisecond apart, until it is refused; `until` then, it never was. */
async function refusal(ask, cookie, user, since, until) {
  let honoured = 0
  for (;;) {
    const sent = performance.now() - since
    const { status, body } = await ask('/', cookie)
    if (status !== 200 || body !== user) return { refused: sent, honoured, status }
    honoured = sent
    if (sent > until) return { refused: Number.POSITIVE_INFINITY, honoured }
    await pause(1)
  }
}

function request(agent, port, path, cookie) {
  return new Promise((resolve, reject) => {
    const headers = cookie ? { cookie } : {}
    get({ agent, port, path, headers, host: '127.0.0.1' }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        body += chunk
      })
      const [line = ''] = response.headers['set-cookie'] ?? []
      response.on('end', () => resolve({ status: response.statusCode, body, cookie: line.split(';')[0] }))
    }).on('error', reject)
  })
}

/** The child's next message that has this field. */
function told(child, field) {
  return new Promise((resolve, reject) => {
    const settle = (how, value) => {
      child.off('message', hear)
      child.off('exit', left)
      how(value)
    }
    const hear = (message) => {
      if (field in message) settle(resolve, message)
    }
    const left = () => settle(reject, new Error('the verifying process ended'))
    child.on('message', hear)
    child.on('exit', left)
  })
}
