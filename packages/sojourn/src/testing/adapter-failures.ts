/** The adapter suite, second part: faults, foreign requests, changes that come too late, and clients that go away. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { type Case, check, counting, countOf, isProblem, oneCookie, signal, thrown, visit } from './adapter-trial.js'

const security = [
  ['strict-transport-security', 'max-age=63072000'],
  ['content-security-policy', "default-src 'self'"],
  ['vary', 'Accept-Language'],
] as const

/** What happens when something goes wrong, and what must not. */
export const failures: readonly Case[] = [
  check('A-80: a store that fails when the session is opened: 503, and nobody is logged out', [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ request }) => {
        visit(await trial.sessions.of(request))
        return {}
      }),
    )
    const jar = new Map<string, string>()
    await client.ask('/', { jar })
    trial.store.broken = true
    const answered = await client.ask('/', { jar })
    if (trial.problems) isProblem(answered, 503)
    assert.deepEqual([answered.status, answered.headers['retry-after'], answered.cookies], [503, '1', []])
    trial.store.broken = false
    assert.equal(await countOf(client, jar), 1)
  }),
  check("A-80: a store that fails at the commit: 503 in place of the handler's answer", [], async (trial) => {
    const own = [...security, ['content-length', '5'], ['etag', '"1"'], ['set-cookie', 'theme=dark']] as const
    const client = await trial.serve(
      counting(trial, async ({ request, path }) => {
        const session = await trial.sessions.of(request)
        visit(session)
        if (path === '/break') trial.store.broken = true
        return { status: 201, headers: own, body: 'hello' }
      }),
    )
    const jar = new Map<string, string>()
    await client.ask('/', { jar })
    const answered = await client.ask('/break', { jar })
    isProblem(answered, 503)
    const { headers } = answered
    assert.deepEqual([headers['retry-after'], headers['cache-control'], headers.etag], ['1', 'no-store', undefined])
    assert.equal(Number(headers['content-length'] ?? answered.body.length), answered.body.length)
    for (const [name, value] of security)
      assert.ok(String(headers[name]).includes(value), `${name} speaks of the server, and stays`)
    trial.store.broken = false
    assert.equal(await countOf(client, jar), 1)
  }),
  check('a fault at the commit is the answer to a HEAD, and to a stream, too', [], async (trial) => {
    const client = await trial.serve(async ({ request, path }) => {
      visit(await trial.sessions.of(request))
      async function* body(): AsyncIterable<Uint8Array> {
        for (let i = 0; i < 200; i++) yield new Uint8Array(1000)
      }
      return { body: path === '/stream' ? body() : 'hello' }
    })
    trial.store.broken = true
    isProblem(await client.ask('/stream'), 503)
    const head = await client.ask('/', { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers['retry-after'], head.body.length, head.cookies], [503, '1', 0, []])
  }),
  check('a handler that commits by itself, and deals with the fault, keeps its answer', [], async (trial) => {
    const client = await trial.serve(async ({ request }) => {
      const session = await trial.sessions.of(request)
      visit(session)
      const failed = await (async () => session.commit())().then(
        () => 'kept',
        (error: { code: string }) => error.code,
      )
      return { body: failed }
    })
    const kept = await client.ask()
    assert.equal(kept.body.toString(), 'kept')
    oneCookie(kept)
    trial.store.broken = true
    const failed = await client.ask()
    assert.deepEqual([failed.status, failed.body.toString(), failed.cookies], [200, 'ERR_STORE', []])
  }),
  check('a handler that fails: 500, and no credential that opens nothing', [], async (trial) => {
    const client = await trial.serve(
      counting(trial, async ({ request }) => {
        visit(await trial.sessions.of(request))
        throw new Error('the handler failed')
      }),
    )
    const jar = new Map<string, string>()
    const answered = await client.ask('/', { jar })
    assert.equal(answered.status, 500)
    // Whether what it did before is kept is up to the framework: an answer, and so a commit, or no answer at all.
    assert.equal(await countOf(client, jar), jar.size)
  }),
  check('A-138: a request that another site makes is answered 403 before the handler runs', [], async (trial) => {
    const ran: string[] = []
    const client = await trial.serve(async ({ request, path }) => {
      ran.push(path)
      visit(await trial.sessions.of(request))
      return { headers: [['vary', 'Accept']], body: 'done' }
    })
    const own = { origin: `http://localhost:${client.port}` }
    const foreign = { origin: 'https://evil.example' }
    const site = (value: string) => ({ 'sec-fetch-site': value })
    const ask = (path: string, method: string, headers: Record<string, string>) => client.ask(path, { method, headers })

    for (const headers of [foreign, site('cross-site'), site('same-site'), { ...own, ...site('cross-site') }]) {
      const refused = await ask('/refused', 'POST', headers)
      isProblem(refused, 403)
      assert.match(String(refused.headers.vary), /sec-fetch-site/i)
    }
    assert.deepEqual([ran, trial.store.calls], [[], []])
    const passed = [
      await ask('/own', 'POST', own),
      await ask('/site', 'POST', { ...foreign, ...site('same-origin') }),
      await ask('/program', 'DELETE', {}),
      await ask('/link', 'GET', { ...foreign, ...site('cross-site') }),
    ]
    assert.deepEqual(ran, ['/own', '/site', '/program', '/link'])
    for (const answered of passed) {
      assert.equal(answered.status, 200)
      oneCookie(answered)
    }
  }),
  check("CS-13: the guard's Vary and the app's are one list", [], async (trial) => {
    const client = await trial.serve(({ path }) => (path === '/' ? { headers: [['vary', 'Accept, Origin']] } : {}))
    const post = async (path: string) => (await client.ask(path, { method: 'POST' })).headers.vary?.toLowerCase()
    for (const word of ['accept', 'origin', 'sec-fetch-site']) assert.ok((await post('/'))?.split(/, */).includes(word))
    assert.equal(await post('/none'), 'sec-fetch-site, origin')
  }),
  ...(['never opened', 'read', 'changed'] as const).map((before) =>
    check(`A-30: a change after the answer is an error, of a session that was ${before} before`, [], async (trial) => {
      const late = signal<string[]>()
      const client = await trial.serve(
        counting(trial, async ({ request, path }) => {
          const opened = before === 'never opened' && path !== '/begin' ? undefined : await trial.sessions.of(request)
          if (opened && (before === 'changed' || path === '/begin')) visit(opened)
          if (path !== '/begin') {
            // A handler that forgets to await: what it does then is caught here, and nowhere else.
            void pause(30).then(async () => {
              const session = opened ?? (await trial.sessions.of(request))
              late.tell([
                thrown(() => visit(session)),
                thrown(() => session.data.items.push('late')),
                thrown(() => session.logout()),
                thrown(() => session.flash('notice', 'late')),
              ])
            })
          }
          return { body: String(opened?.data.count) }
        }),
      )
      const jar = new Map<string, string>()
      await client.ask('/begin', { jar })
      await client.ask('/', { jar })
      const committed = 'SessionCommittedError'
      assert.deepEqual(await late.done, [committed, 'TypeError', committed, committed])
      assert.equal(await countOf(client, jar), before === 'changed' ? 2 : 1)
    }),
  ),
  check(
    'A-87: a client that goes away leaves a session that is whole, and a server that answers',
    [],
    async (trial) => {
      const begun = signal()
      const over = signal()
      const client = await trial.serve(
        counting(trial, async ({ request, path }) => {
          const session = await trial.sessions.of(request)
          visit(session)
          if (path === '/slow') {
            begun.tell()
            await pause(30)
            session.data.text = 'both or none'
            setTimeout(over.tell, 30)
          }
          return { body: 'x'.repeat(100_000) }
        }),
      )
      const jar = new Map<string, string>()
      await client.abort('/slow', begun.done)
      await over.done
      const kept: unknown[] = []
      for await (const [, record] of trial.store.list()) kept.push(JSON.parse(record.data).data)
      assert.ok(kept.length <= 1)
      for (const data of kept) assert.deepEqual(data, { count: 1, items: [], text: 'both or none' })
      await client.ask('/', { jar })
      assert.equal(await countOf(client, jar), 1)
    },
  ),
  check('Expect: 100-continue is answered as ever', ['http/1.1'], async (trial) => {
    const client = await trial.serve(async ({ request }) => {
      return { body: `visit ${visit(await trial.sessions.of(request))}.` }
    })
    const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab'
    const received = await client.raw(head, (text) => text.includes('visit 1.'))
    assert.match(received, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
    assert.match(received, /\r\nset-cookie: session=/i)
  }),
  check('two requests sent at once on one connection are answered in order', ['http/1.1'], async (trial) => {
    const client = await trial.serve(async ({ request, path }) => {
      if (path === '/1') await pause(20)
      visit(await trial.sessions.of(request))
      return { body: `answer to ${path}.` }
    })
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const received = await client.raw(get('/1') + get('/2'), (text) => text.includes('answer to /2.'))
    assert.ok(received.indexOf('answer to /1.') < received.indexOf('answer to /2.'))
    const given = [...received.matchAll(/\r\nset-cookie: (session=[^;]+)/gi)].map((match) => match[1])
    assert.equal(new Set(given).size, 2)
  }),
]
