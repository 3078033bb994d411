/** The adapter suite, first part: whatever a handler answers, what it did to the session arrives before the first byte. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { acceptNoRevocation, cookie, opaque, sealed } from '../index.js'
import { type Case, check, counting, countOf, oneCookie, type Reply, thrown, visit } from './adapter-trial.js'

const text = (value: string) => new TextEncoder().encode(value)

async function* chunks(...values: string[]): AsyncIterable<Uint8Array> {
  for (const value of values) {
    yield text(value)
    await pause(2)
  }
}

/** A way of answering, and what must arrive. */
interface Way {
  readonly reply: () => Reply
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

const type = (value: string) => ['content-type', value] as const

const ways: Readonly<Record<string, Way>> = {
  'a text': { reply: () => ({ headers: [type('text/plain')], body: 'hello' }), body: 'hello' },
  'JSON with its length': {
    reply: () => ({ headers: [type('application/json'), ['content-length', '8']], body: '{"é":1}' }),
    body: '{"é":1}',
    headers: { 'content-length': '8' },
  },
  'nothing, 204': { reply: () => ({ status: 204 }), body: '' },
  'not modified, 304': { reply: () => ({ status: 304, headers: [['etag', '"1"']] }), headers: { etag: '"1"' } },
  'a redirect, 303': {
    reply: () => ({ status: 303, headers: [['location', '/count']] }),
    headers: { location: '/count' },
  },
  'an error page, 422': { reply: () => ({ status: 422, body: 'no' }), body: 'no' },
  'a stream': { reply: () => ({ body: chunks('one ', 'two ', 'three') }), body: 'one two three' },
  'a stream of nothing': { reply: () => ({ body: chunks() }), body: '' },
  'a HEAD': { method: 'HEAD', reply: () => ({ headers: [type('text/plain')], body: 'hello' }), body: '' },
}

const eachWay = Object.entries(ways).map(([name, { reply, method = 'GET', body, headers = {} }]) =>
  check(`carries the session with ${name}`, [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ request }) => {
        visit(await trial.sessions.of(request))
        return reply()
      }),
    )
    const jar = new Map<string, string>()
    const answered = await client.ask('/', { method, jar })
    assert.equal(answered.status, reply().status ?? 200)
    if (body !== undefined) assert.equal(answered.body.toString(), body)
    for (const [header, value] of Object.entries(headers)) assert.equal(answered.headers[header], value)
    oneCookie(answered)
    assert.equal(answered.headers['cache-control'], 'private, no-store')
    assert.equal(await countOf(client, jar), 1)
  }),
)

/** What every way of answering owes, and what it owes to other headers. */
export const answers: readonly Case[] = [
  ...eachWay,
  check('lets no byte leave before the session is kept, so that no redirect outruns its save', [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ request }) => {
        visit(await trial.sessions.of(request))
        return { status: 303, headers: [['location', '/count']] }
      }),
    )
    trial.store.slow = 30
    const jar = new Map<string, string>()
    for (const times of [1, 2, 3]) {
      const answered = await client.ask('/', { jar })
      assert.ok(
        trial.store.wroteAt > 0 && answered.at >= trial.store.wroteAt,
        'the head came before the write was done',
      )
      assert.equal(await countOf(client, jar), times)
    }
  }),
  check('CK-17: a new identifier arrives with a redirect and with an error alike', [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ request, path }) => {
        const session = await trial.sessions.of(request)
        visit(session)
        session.rotate()
        return { status: Number(path.slice(1)), headers: [['location', '/count']], body: 'moved' }
      }),
    )
    const jar = new Map<string, string>()
    const given = new Set<string>()
    for (const [i, status] of [302, 303, 308, 400, 404, 422, 500, 503].entries()) {
      const answered = await client.ask(`/${status}`, { jar })
      assert.equal(answered.status, status)
      given.add(oneCookie(answered).split(';')[0]!)
      assert.equal(await countOf(client, jar), i + 1)
    }
    assert.equal(given.size, 8)
  }),
  check('costs nothing and says nothing where nobody asks for the session', [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ path, request }) => {
        if (path === '/begin') visit(await trial.sessions.of(request))
        return { body: 'hello' }
      }),
    )
    const jar = new Map<string, string>()
    await client.ask('/begin', { jar })
    trial.store.calls.length = 0
    const { cookies, headers, body } = await client.ask('/', { jar })
    assert.deepEqual([trial.store.calls, cookies, headers['cache-control']], [[], [], undefined])
    assert.equal(body.toString(), 'hello')
  }),
  check('reads at the price of one look-up, privately, and sets no cookie', [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ request, path }) => {
        const session = await trial.sessions.of(request)
        if (path === '/begin') visit(session)
        const own = path === '/public' ? [['cache-control', 'public, max-age=60'] as const] : []
        return { headers: own, body: String(session.data.count) }
      }),
    )
    const jar = new Map<string, string>()
    await client.ask('/begin', { jar })
    trial.store.calls.length = 0
    const read = await client.ask('/', { jar })
    assert.deepEqual([trial.store.calls, read.cookies], [['get'], []])
    assert.equal(read.headers['cache-control'], 'private, no-store')
    const stated = await client.ask('/public', { jar })
    assert.equal(stated.headers['cache-control'], 'public, max-age=60', 'the app may know better')
  }),
  check('A-28: a response that sets the credential is never public', [], async (trial) => {
    const client = await trial.serve(async ({ request, path }) => {
      visit(await trial.sessions.of(request))
      return { headers: [['cache-control', path === '/' ? 'public, max-age=60' : 'private, max-age=60']] }
    })
    assert.equal((await client.ask('/')).headers['cache-control'], 'private, no-store')
    assert.equal((await client.ask('/private')).headers['cache-control'], 'private, max-age=60')
  }),
  check("CK-02, A-31: the app's cookies arrive, and ours once, whoever else set its name", [], async (trial) => {
    const client = await trial.serve(async ({ request }) => {
      visit(await trial.sessions.of(request))
      return {
        headers: [
          ['set-cookie', 'theme=dark; Path=/'],
          ['set-cookie', 'session=from-elsewhere; Path=/'],
          ['set-cookie', 'lang=cy; Path=/'],
        ],
      }
    })
    const answered = await client.ask()
    assert.match(oneCookie(answered), /; HttpOnly/)
    assert.ok(!oneCookie(answered).includes('from-elsewhere'))
    oneCookie(answered, 'theme')
    oneCookie(answered, 'lang')
  }),
  check('two sessions of one request both arrive', [], async (trial) => {
    const admin = trial.create({ transport: cookie({ name: 'admin' }), strategy: opaque({ store: trial.store }) })
    const client = await trial.serve(
      async ({ request }) => {
        const counts = [visit(await trial.sessions.of(request)), visit(await admin.of(request))]
        return { body: counts.join() }
      },
      [trial.sessions, admin],
    )
    const jar = new Map<string, string>()
    const answered = await client.ask('/', { jar })
    oneCookie(answered)
    oneCookie(answered, 'admin')
    assert.equal((await client.ask('/', { jar })).body.toString(), '2,2')
  }),
  check('a sealed session of three cookies arrives whole', [], async (trial) => {
    const whole = trial.create({ strategy: sealed({ revocations: acceptNoRevocation }) })
    const long = Array.from({ length: 600 }, (_, i) => (i * 7919).toString(36))
      .join('')
      .repeat(3)
    const client = await trial.serve(
      async ({ request, path }) => {
        const session = await whole.of(request)
        if (path === '/write') session.data.text = long
        return { body: session.data.text }
      },
      [whole],
    )
    const jar = new Map<string, string>()
    const answered = await client.ask('/write', { jar })
    assert.equal(answered.cookies.length, 3)
    assert.equal((await client.ask('/', { jar })).body.toString(), long)
  }),
  check('a stream can read its session and no longer change it; it goes on', [], async (trial) => {
    const late: string[] = []
    const client = await trial.serve(
      counting(trial, async ({ request }) => {
        const session = await trial.sessions.of(request)
        session.data.items.push('before')
        async function* body(): AsyncIterable<Uint8Array> {
          yield text('one ')
          // Whoever reads ahead still has to send the first part.
          await pause(20)
          late.push(
            thrown(() => visit(session)),
            thrown(() => session.data.items.push('late')),
            thrown(() => session.login('ada')),
          )
          yield text(session.data.items.join())
        }
        return { body: body() }
      }),
    )
    const jar = new Map<string, string>()
    const answered = await client.ask('/', { jar })
    assert.equal(answered.body.toString(), 'one before')
    assert.deepEqual(late, ['SessionCommittedError', 'TypeError', 'SessionCommittedError'])
    assert.equal(await countOf(client, jar), 0)
  }),
  check('a hundred requests at once each have a session of their own', [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ request, path }) => {
        const session = await trial.sessions.of(request)
        session.update('count', () => Number(path.slice(1)))
        return { body: path }
      }),
    )
    const jars = Array.from({ length: 100 }, () => new Map<string, string>())
    const answered = await Promise.all(jars.map((jar, i) => client.ask(`/${i}`, { jar })))
    assert.deepEqual(
      answered.map(({ body }) => body.toString()),
      jars.map((_, i) => `/${i}`),
    )
    assert.equal(new Set(jars.map((jar) => jar.get('session'))).size, 100)
    for (const i of [0, 42, 99]) assert.equal(await countOf(client, jars[i]!), i)
  }),
]
