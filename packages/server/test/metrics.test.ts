/** What Prometheus is told, where, and where not. */
import { connect } from 'node:net'
import { join } from 'node:path'
import { openDatabase } from '@sojourn/server/database'
import { describe, expect, test } from 'vitest'
import { raw } from './raw.js'
import { folder, PASSWORD, started } from './started.js'

const ON = { metrics: { host: '127.0.0.1', port: 0 } }

/** The sum of all samples of a metric whose labels are these. */
async function sampled(url: string, name: string, labels: Record<string, string> = {}): Promise<number> {
  const text = await (await fetch(url)).text()
  let sum = 0
  for (const line of text.split('\n')) {
    const [, metric, said = '', value] = /^([a-z_]+)(?:\{(.*)\})? (.+)$/.exec(line) ?? []
    if (metric !== name) continue
    if (Object.entries(labels).every(([label, wanted]) => said.includes(`${label}="${wanted}"`))) sum += Number(value)
  }
  return sum
}

describe('the metrics', () => {
  test('count requests, events and store calls, and name nobody', async () => {
    const server = await started(ON)
    const url = server.metricsUrl!
    const calls = (verb: string) =>
      sampled(url, 'sojourn_store_call_duration_seconds_count', { table: 'sojourn_sessions', verb, outcome: 'ok' })
    const events = (event: string, reason = '') => sampled(url, 'sojourn_session_events_total', { event, reason })

    const before = await calls('get')
    const ada = await server.user('hopper-of-the-metrics')
    expect(await events('created')).toBe(1)
    const one = await calls('get')
    await ada.get('/api/session')
    expect(await calls('get')).toBe(one + 1)
    expect(one).toBeGreaterThanOrEqual(before)
    await server.visitor().post('/api/login', { username: 'hopper-of-the-metrics', password: PASSWORD })
    expect((await ada.post('/api/sessions/end-others')).body).toEqual({ ended: 1 })
    expect(await events('ended', 'revoked-all')).toBe(1)
    const { headers } = await ada.post('/api/logout')
    expect(headers.getSetCookie()).not.toEqual([])
    expect(await events('ended', 'logout')).toBe(1)
    await server.visitor().get('/api/session', { cookie: '__Host-Http-session=forged; session=forged' })
    expect(await sampled(url, 'sojourn_session_events_total', { event: 'refused' })).toBe(1)
    expect(await sampled(url, 'sojourn_http_request_duration_seconds_count', { method: 'POST', status: '201' })).toBe(1)
    await server.visitor().send('PATCH', '/api/session')
    expect(await sampled(url, 'sojourn_http_request_duration_seconds_count', { method: 'other' })).toBe(1)

    const text = await (await fetch(url)).text()
    expect(text).not.toMatch(/hopper|127\.0\.0\.1|\/api\//)
  })

  test('tell of a store that fails, and of one that is back', async () => {
    const data = folder()
    const server = await started({ ...ON, data })
    const ada = await server.user('ada')
    const url = server.metricsUrl!
    const failing = () => sampled(url, 'sojourn_store_failures_in_a_row', { table: 'sojourn_sessions' })
    expect(await failing()).toBe(0)
    const thief = raw(join(data, 'sessions.db'))
    thief.exec('ALTER TABLE sojourn_sessions RENAME TO stolen')
    expect((await ada.get('/api/session')).status).toBe(503)
    expect(await failing()).toBeGreaterThan(0)
    expect(await sampled(url, 'sojourn_store_call_duration_seconds_count', { outcome: 'failed' })).toBeGreaterThan(0)
    expect(await sampled(url, 'sojourn_session_events_total', { event: 'fault', reason: 'ERR_STORE' })).toBe(1)
    thief.exec('ALTER TABLE stolen RENAME TO sojourn_sessions')
    thief.close()
    expect((await ada.get('/api/session')).body.user.username).toBe('ada')
    expect(await failing()).toBe(0)
  })

  test('say how old the copy of what was ended is, once there is one', async () => {
    const server = await started({ ...ON, strategy: 'sealed' })
    const lag = async () =>
      (await (await fetch(server.metricsUrl!)).text()).match(/^sojourn_revocation_lag_seconds (.+)$/m)
    const ada = await server.user('ada')
    await ada.get('/api/session')
    expect(Number((await lag())?.[1])).toBeLessThan(5)
  })
})

describe('where they are', () => {
  test('nowhere, unless it is said', async () => {
    const server = await started()
    expect(server.metricsUrl).toBeUndefined()
    expect((await server.visitor().get('/metrics')).status).toBe(404)
  })

  test('13.4.5: on an address of their own, where nothing else is', async () => {
    const server = await started(ON)
    const { origin, port } = new URL(server.metricsUrl!)
    expect(origin).not.toBe(new URL(server.url).origin)
    expect((await server.visitor().get('/metrics')).status).toBe(404)
    for (const path of ['/', '/api/session', '/metrics/', '/metrics?x'])
      expect((await fetch(origin + path)).status, path).toBe(404)
    expect((await fetch(server.metricsUrl!, { method: 'POST' })).status).toBe(404)
    await server.close()
    await expect(
      new Promise((resolve, reject) =>
        connect(Number(port), '127.0.0.1').once('connect', resolve).once('error', reject),
      ),
    ).rejects.toThrow('ECONNREFUSED')
  })

  test('an address that is taken stops the start, and lets go of everything', async () => {
    const server = await started(ON)
    const port = Number(new URL(server.metricsUrl!).port)
    const data = folder()
    await expect(started({ data, metrics: { host: '127.0.0.1', port } })).rejects.toThrow('EADDRINUSE')
    openDatabase(join(data, 'accounts.db')).close()
  })
})
