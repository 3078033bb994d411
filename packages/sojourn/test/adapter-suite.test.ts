/** The suite of adapters is itself on trial: it passes the adapter that the docs show, and finds out each wrong one. */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Sessions } from 'sojourn'
import { type AdapterHarness, adapterCases, type Handle, type Kept } from 'sojourn/testing/adapter'
import { describe, expect, test } from 'vitest'
import { type Answer, own } from './fixtures/own-adapter.js'
import { listening } from './fixtures/servers.js'

type Answering = (req: IncomingMessage) => Promise<Answer>
type Adapter = (sessions: Sessions<Kept>, handle: Answering) => Answering

/** A framework whose handlers return their answer, whole. */
function harness(adapter: Adapter): AdapterHarness {
  return {
    lacks: ['response'],
    serve(sessions, handle: Handle) {
      const answer: Answering = async (request) => {
        const { status = 200, headers = [], body = '' } = (await handle({ request, path: request.url! }))!
        const lines: Answer['headers'] = {}
        for (const [name, value] of headers)
          lines[name] = name === 'set-cookie' ? [lines[name] ?? [], value].flat() : value
        return { status, headers: lines, body: typeof body === 'string' ? body : await text(body) }
      }
      const all = sessions.reduceRight<Answering>((next, each) => adapter(each, next), answer)
      return listening(
        createServer((req, res) => {
          all(req)
            .catch((): Answer => ({ status: 500, headers: {}, body: '' }))
            .then(({ status, headers, body }) => res.writeHead(status, headers).end(body))
        }),
      )
    },
  }
}

async function failures(adapter: Adapter): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of adapterCases(harness(adapter))) await run().catch(() => failed.push(name))
  return failed.map((name) => name.replace(/^.*?: /, '')).filter((name, i, all) => all.indexOf(name) === i)
}

describe('the suite of adapters', () => {
  // It gives bodies whole, so a stream is over before its head leaves, and may still change the session.
  const whole = ['a stream can read its session and no longer change it; it goes on']

  test('passes the adapter of the docs, which says what it leaves out', async () => {
    expect(await failures(own)).toEqual(whole)
  })

  test('the docs show that adapter', () => {
    const page = readFileSync(new URL('../../../docs/adapters.md', import.meta.url), 'utf8')
    const code = readFileSync(new URL('./fixtures/own-adapter.ts', import.meta.url), 'utf8')
    expect(page).toContain(`\`\`\`ts\n${code}\`\`\``)
  })

  test.each<[string, Adapter, string]>([
    ['never commits', (sessions, handle) => own(uncommitted(sessions), handle), 'carries the session with a text'],
    ['asks no guard', (sessions, handle) => own(unguarded(sessions), handle), 'A-138: a request that another site'],
    ['commits too late', tooLate, 'lets no byte leave before the session is kept'],
    ['drops cookies of the app', (sessions, handle) => own(sessions, withoutCookies(handle)), 'CK-02, A-31'],
  ])('finds out one that %s', async (_, adapter, caseName) => {
    expect(await failures(adapter)).toContainEqual(expect.stringContaining(caseName))
  })
})

/** The sessions with one verb of their visits missing. */
function spoilt(sessions: Sessions<Kept>, verb: 'guard' | 'commit'): Sessions<Kept> {
  const begin: Sessions<Kept>['begin'] = (x, request) => {
    const visit = sessions.begin(x, request)
    return Object.assign(Object.create(visit), {
      guard: () => visit.guard(),
      commit: () => visit.commit(),
      [verb]: () => undefined,
    })
  }
  return { begin } as Sessions<Kept>
}

const uncommitted = (sessions: Sessions<Kept>) => spoilt(sessions, 'commit')
const unguarded = (sessions: Sessions<Kept>) => spoilt(sessions, 'guard')

const withoutCookies =
  (handle: Answering): Answering =>
  async (req) => {
    const answer = await handle(req)
    delete answer.headers['set-cookie']
    return answer
  }

function tooLate(sessions: Sessions<Kept>, handle: Answering): Answering {
  const begin: Sessions<Kept>['begin'] = (x, request) => {
    const visit = sessions.begin(x, request)
    const commit = () => void Promise.resolve(visit.commit()).catch(() => {})
    return Object.assign(Object.create(visit), { guard: () => visit.guard(), commit })
  }
  return own({ begin } as Sessions<Kept>, handle)
}
