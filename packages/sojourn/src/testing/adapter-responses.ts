/** The adapter suite, third part: all that can be done to a node response, for adapters that hand it out. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { Session } from '../index.js'
import type { Client } from './adapter-client.js'
import {
  type Case,
  check,
  isProblem,
  type Kept,
  oneCookie,
  signal,
  type Trial,
  thrown,
  visit,
} from './adapter-trial.js'

type Work = (response: ServerResponse, session: Session<Kept>, path: string) => unknown

/** Serves a handler that has counted a visit, and answers by itself. */
function serve(trial: Trial, work: Work): Promise<Client> {
  return trial.serve(async ({ request, response, path }) => {
    const session = await trial.sessions.of(request)
    visit(session)
    await work(response!, session, path)
    return undefined
  })
}

const PART = 64 * 1024
const PARTS = 128

/** Eight megabytes of which each part is another, and how many of them were taken. */
function large(): { stream: Readable; taken: () => number; bytes: Buffer } {
  let taken = 0
  const part = (i: number) => Buffer.alloc(PART, i)
  async function* parts(): AsyncIterable<Buffer> {
    for (; taken < PARTS; taken++) yield part(taken)
  }
  const bytes = Buffer.concat(Array.from({ length: PARTS }, (_, i) => part(i)))
  return { stream: Readable.from(parts(), { objectMode: false }), taken: () => taken, bytes }
}

const heads: Readonly<Record<string, (response: ServerResponse) => unknown>> = {
  'an object': (response) => response.writeHead(201, { 'x-own': 'yes', 'set-cookie': ['a=1', 'b=2'] }),
  'a flat list': (response) => response.writeHead(201, ['x-own', 'yes', 'set-cookie', 'a=1', 'set-cookie', 'b=2']),
  'a list of pairs': (response) =>
    response.writeHead(201, [
      ['x-own', 'yes'],
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ] as never),
  nothing: (response) => {
    response.setHeader('x-own', 'yes')
    response.appendHeader('set-cookie', 'a=1')
    response.appendHeader('set-cookie', 'b=2')
    response.writeHead(201)
  },
}

const eachHead = Object.entries(heads).map(([name, head]) =>
  check(`writeHead with ${name}: its headers and ours arrive`, [], async (trial) => {
    const client = await serve(trial, (response) => {
      head(response)
      response.end('hello')
    })
    const answered = await client.ask()
    assert.deepEqual([answered.status, answered.headers['x-own'], answered.body.toString()], [201, 'yes', 'hello'])
    for (const cookie of ['a', 'b', 'session']) oneCookie(answered, cookie)
    assert.equal(answered.headers['cache-control'], 'private, no-store')
  }),
)

const sends: Readonly<Record<string, (response: ServerResponse, source: Readable) => unknown>> = {
  pipe: (response, source) => source.pipe(response),
  pipeline: (response, source) => pipeline(source, response),
  'write and drain': async (response, source) => {
    for await (const part of source) if (!response.write(part)) await once(response, 'drain')
    response.end()
  },
}

const eachSend = Object.entries(sends).flatMap(([name, send]) =>
  [true, false].map((measured) =>
    check(`8 MB by ${name}${measured ? ', with their length' : ''}: byte for byte`, [], async (trial) => {
      const source = large()
      trial.store.slow = trial.asynchronous ? 30 : 0
      let early = 0
      const client = await serve(trial, (response) => {
        if (measured) response.setHeader('content-length', source.bytes.length)
        setTimeout(() => {
          early = source.taken()
        }, 15)
        return send(response, source.stream)
      })
      const answered = await client.ask()
      oneCookie(answered)
      assert.ok(answered.body.equals(source.bytes), `${answered.body.length} bytes`)
      if (measured) assert.equal(answered.headers['content-length'], String(source.bytes.length))
      // While the commit is under way the source must not be poured into memory.
      if (trial.asynchronous) assert.ok(early < PARTS / 2, `${early} of ${PARTS} parts were taken before the head left`)
    }),
  ),
)

/** What node's own verbs owe, and what those who misuse them get. */
export const responses: readonly Case[] = [
  ...eachHead,
  check('writeHead with a reason says it', ['response', 'http/1.1'], async (trial) => {
    const client = await serve(trial, (response) => response.writeHead(299, 'Well Enough', { 'x-own': 'yes' }).end())
    const { status, reason, headers } = await client.ask()
    assert.deepEqual([status, reason, headers['x-own']], [299, 'Well Enough', 'yes'])
  }),
  ...eachSend,
  check('write, flushHeaders and end, in any order, with callbacks', [], async (trial) => {
    const told: string[] = []
    const client = await serve(trial, (response, _, path) => {
      if (path === '/flush') response.flushHeaders()
      response.write('one ', () => told.push('one'))
      response.write(Buffer.from('two '))
      response.end('three', () => told.push('end'))
      response.end()
    })
    for (const path of ['/', '/flush']) {
      const answered = await client.ask(path)
      assert.equal(answered.body.toString(), 'one two three')
      oneCookie(answered)
      await pause(5)
      assert.deepEqual(told.splice(0), ['one', 'end'])
    }
  }),
  check('headers alone leave at once when they are flushed', [], async (trial) => {
    const go = signal()
    const client = await serve(trial, async (response) => {
      response.flushHeaders()
      await Promise.race([go.done, pause(1_000)])
      response.end('hello')
    })
    const asked = client.ask()
    await pause(60)
    const released = performance.now()
    go.tell()
    const answered = await asked
    assert.ok(answered.at < released, 'the head waited for the body')
    oneCookie(answered)
  }),
  check('a change after the first write is an error at once, also while the store is thinking', [], async (trial) => {
    const late: string[] = []
    const client = await serve(trial, (response, session) => {
      const { items } = session.data
      response.write('one ')
      late.push(
        thrown(() => visit(session)),
        thrown(() => items.push('late')),
      )
      late.push(
        thrown(() => session.login('ada')),
        thrown(() => session.flash('notice', 'late')),
      )
      response.end(session.data.items.join())
    })
    const answered = await client.ask()
    assert.equal(answered.body.toString(), 'one ')
    const committed = 'SessionCommittedError'
    assert.deepEqual(late, [committed, 'TypeError', committed, committed])
  }),
  check('a handler that fails after its answer does not spoil it', [], async (trial) => {
    const client = await serve(trial, (response) => {
      response.setHeader('content-type', 'text/plain')
      response.end('the whole answer')
      if (trial.asynchronous) throw new Error('the handler failed')
    })
    const answered = await client.ask()
    assert.deepEqual([answered.status, answered.body.toString()], [200, 'the whole answer'])
    assert.equal(answered.headers['content-type'], 'text/plain')
    oneCookie(answered)
  }),
  check('whoever asks is told that the head has left, from the first write on', [], async (trial) => {
    const seen: boolean[] = []
    const client = await serve(trial, (response) => {
      seen.push(response.headersSent)
      response.write('one ')
      seen.push(response.headersSent)
      response.end('two')
    })
    assert.equal((await client.ask()).body.toString(), 'one two')
    assert.deepEqual(seen, [false, true])
  }),
  check('a head that node refuses is answered with 500, and nothing waits for ever', [], async (trial) => {
    const client = await serve(trial, (response, _, path) => {
      if (path === '/header') response.writeHead(200, { ':own': 'no name of a header' })
      else response.statusCode = 1000
      response.end('hello')
    })
    for (const path of ['/header', '/status']) assert.equal((await client.ask(path)).status, 500, path)
  }),
  // Over HTTP/2 it is refused where it is said.
  check('what node refuses when the handler has long gone on is told', ['response', 'http/1.1'], async (trial) => {
    const told: string[] = []
    const note = (warning: Error & { code?: string }) => void told.push(`${warning.code}: ${warning.message}`)
    process.on('warning', note)
    const client = await serve(trial, (response) => {
      response.statusCode = 1000
      response.end('hello')
    })
    try {
      assert.equal((await client.ask()).status, 500)
      // Of a synchronous store the handler hears it itself, and its framework answers.
      const expected = trial.asynchronous ? /^SOJOURN_UNSENT: [^:]*ERR_HTTP_INVALID_STATUS_CODE/ : /^$/
      assert.match(told.filter((text) => text.startsWith('SOJOURN')).join(), expected)
    } finally {
      process.off('warning', note)
    }
  }),
  // Over HTTP/2 the head leaves on its own, before node looks at the body.
  check('a body that node refuses is answered with 500', ['response', 'http/1.1'], async (trial) => {
    const client = await serve(trial, (response) => response.end(42 as never))
    assert.equal((await client.ask()).status, 500)
  }),
  check('a handler that streams is let finish when a problem was answered in its place', [], async (trial) => {
    const finished: string[] = []
    const client = await serve(trial, async (response, _, path) => {
      trial.store.broken = true
      if (path === '/callback') await new Promise<void>((resolve) => response.write('one', () => resolve()))
      else for (let i = 0; i < 3; i++) if (!response.write('one')) await once(response, 'drain')
      await new Promise<void>((resolve) => response.end('two', () => resolve()))
      finished.push(path)
    })
    for (const path of ['/drain', '/callback']) {
      isProblem(await client.ask(path), 503)
      trial.store.broken = false
      await pause(10)
    }
    assert.deepEqual(finished, ['/drain', '/callback'])
  }),
].map((each) => ({ ...each, needs: [...new Set([...each.needs, 'response' as const])] }))
