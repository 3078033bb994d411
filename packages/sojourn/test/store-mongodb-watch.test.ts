/** Changes that the MongoDB store pushes, over a STAND-IN that speaks the wire protocol: told, resumed, and cut. */
import { type MongodbStore, mongodb } from 'sojourn/store/mongodb'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { connect, drivers, useStandIn } from './engines/mongodb.js'
import { inProcess } from './engines/mongodb-in-process.js'
import type { StandIn } from './engines/mongodb-stand-in.js'

const record = (version = 1) => {
  const now = Date.now()
  return { userId: 'ada', data: '{}', createdAt: now, seenAt: now, expiresAt: now + 60_000, version }
}

/** A listener, and what it was told; resolves when it listens. */
async function listen(store: MongodbStore) {
  const told: string[] = []
  const onCut = vi.fn()
  const stop = store.watch((id) => void told.push(id), onCut)
  onTestFinished(stop)
  await soon(() => expect(onCut).toHaveBeenCalledOnce())
  return { told, onCut, stop }
}

const soon = (check: () => void) => vi.waitFor(check, { timeout: 12_000 })

let warned = 0

describe.each(drivers)('watch, by %s', (_, by) => {
  test('tells of what is written, ended and removed, by whichever process, and of no mark', async () => {
    const standIn = await useStandIn()
    const here = mongodb(connect(standIn.url, {}, by).db('app'))
    const there = mongodb(connect(standIn.url, {}, by).db('app'))
    const { told, onCut, stop } = await listen(here)
    await there.set('a\ud800', record(), 0)
    await there.set('a\ud800', record(2), 1)
    await here.set('b', record(), 0)
    await there.endAll('ada')
    await soon(() => expect(told).toEqual(['a\ud800', 'a\ud800', 'b', 'a\ud800', 'b']))
    expect(onCut).toHaveBeenCalledOnce()
    stop()
    await there.set('c', record(), 0)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(told).toHaveLength(5)
  })

  test('content is not sent, only which and what', async () => {
    const standIn = await useStandIn()
    const store = mongodb(connect(standIn.url, {}, by).db('app'))
    await listen(store)
    const asked = standIn.heard.find(({ name }) => name === 'aggregate')?.body.pipeline
    expect(asked).toEqual([{ $changeStream: {} }, { $project: { operationType: 1, documentKey: 1 } }])
  })

  /** Until it is called, whoever listens cannot; others can write. */
  function interrupt(standIn: StandIn): () => void {
    standIn.fate = ({ name }) => (name === 'getMore' || name === 'aggregate' ? 'cut before' : undefined)
    standIn.cut()
    return () => {
      standIn.fate = () => undefined
    }
  }

  test('what changes while the connection is down is told when it is back', { timeout: 30_000 }, async () => {
    const standIn = await useStandIn()
    const other = mongodb(inProcess(standIn.engine, 'sojourn_sessions'))
    const { told, onCut } = await listen(mongodb(connect(standIn.url, {}, by).db('app')))
    await other.set('before', record(), 0)
    await soon(() => expect(told).toEqual(['before']))
    const mend = interrupt(standIn)
    await other.set('meanwhile', record(), 0)
    await soon(() => expect(onCut.mock.calls.length).toBeGreaterThan(1))
    mend()
    await soon(() => expect(told).toEqual(['before', 'meanwhile']))
  })

  test('where the server has forgotten what changed, that is a cut, and listening goes on', {
    timeout: 30_000,
  }, async () => {
    const standIn = await useStandIn()
    const other = mongodb(inProcess(standIn.engine, 'sojourn_sessions'))
    const { told, onCut } = await listen(mongodb(connect(standIn.url, {}, by).db('app')))
    const mend = interrupt(standIn)
    await other.set('lost', record(), 0)
    standIn.engine.forgetChanges()
    await soon(() => expect(onCut.mock.calls.length).toBeGreaterThan(1))
    const cuts = onCut.mock.calls.length
    mend()
    // Refused, and then listening anew.
    await soon(() => expect(onCut.mock.calls.length).toBeGreaterThanOrEqual(cuts + 2))
    await other.set('after', record(), 0)
    await soon(() => expect(told).toContain('after'))
    expect(told).not.toContain('lost')
  })

  test('a collection that is dropped is a cut, and listening goes on', { timeout: 30_000 }, async () => {
    const standIn = await useStandIn()
    const store = mongodb(connect(standIn.url, {}, by).db('app'))
    const { told, onCut } = await listen(store)
    standIn.engine.drop('app.sojourn_sessions')
    // Noticed, and listening again.
    await soon(() => expect(onCut.mock.calls.length).toBeGreaterThanOrEqual(3))
    await store.set('after', record(), 0)
    await soon(() => expect(told).toContain('after'))
  })

  test('on a single server it says so once, and is cut again and again', { timeout: 30_000 }, async () => {
    const standIn = await useStandIn('single server')
    const store = mongodb(connect(standIn.url, {}, by).db('app'))
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warnings.mockRestore())
    const onCut = vi.fn()
    const told = vi.fn()
    onTestFinished(store.watch(told, onCut))
    await soon(() => expect(onCut.mock.calls.length).toBeGreaterThanOrEqual(2))
    expect(await store.set('a', record(), 0)).toBe(true)
    expect(await store.get('a')).toMatchObject({ version: 1 })
    expect(told).not.toHaveBeenCalled()
    const said = warnings.mock.calls.filter(
      ([, options]) => (options as { code?: string }).code === 'SOJOURN_MONGODB_WATCH',
    )
    warned += said.length
    // Once in a process: the second driver finds it said.
    expect(warned).toBe(1)
  })

  test('close stops it', async () => {
    const standIn = await useStandIn()
    const store = mongodb(connect(standIn.url, {}, by).db('app'))
    const { onCut } = await listen(store)
    store.close()
    const asked = standIn.heard.length
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(standIn.heard.slice(asked).map(({ name }) => name)).not.toContain('aggregate')
    expect(onCut).toHaveBeenCalledOnce()
  })
})
