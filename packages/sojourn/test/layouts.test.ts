/**
 * What V8 makes of the objects that requests go by: as soon as a few of them have a layout of their own, node's own code looks
 * up every property of every one the slow way, for as long as the process lasts. No answer shows that, so V8 is asked.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { createSessions, generateSecret, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { cached } from 'sojourn/store/cached'
import { memory } from 'sojourn/store/memory'
import { expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { gated } from './helpers.js'

setFlagsFromString('--allow-natives-syntax')
const isFast = new Function('object', 'return %HasFastProperties(object)') as (object: object) => boolean
const isLike = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: object, b: object) => boolean

test('responses that waited for a commit have a layout that they share', async () => {
  const store = gated(memory(), async (_, go) => {
    await pause(1)
    return go()
  })
  const sessions = createSessions({ keys: generateSecret(), strategy: opaque({ store }) })
  const attach = node(sessions)
  const answered: ServerResponse[] = []
  const server = createServer((req, res) =>
    attach(req, res, async () => {
      ;(await sessions.of(req)).login('ada')
      res.on('finish', () => answered.push(res))
      res.end()
    }),
  )
  const { port, close } = await listening(server)
  onTestFinished(close)
  // Node itself settles on a layout within the first few.
  for (let n = 0; n < 20; n++) expect((await fetch(`http://127.0.0.1:${port}`)).headers.getSetCookie()).toHaveLength(1)
  expect(answered.slice(-5).map(isFast)).toEqual(Array(5).fill(true))
  expect(answered.slice(-5).map((res) => isLike(res, answered.at(-1)!))).toEqual(Array(5).fill(true))
})

test('the connection of a login has the layout that others have, though it was asked for the address', async () => {
  const sessions = createSessions({ keys: generateSecret(), strategy: opaque({ store: memory() }) })
  const attach = node(sessions)
  const sockets: Record<string, Socket> = {}
  const server = createServer((req, res) =>
    attach(req, res, async () => {
      const session = await sessions.of(req)
      sockets[req.url!] = req.socket
      if (req.url === '/login') session.login('ada')
      await session.commit()
      res.end(session.device?.ip)
    }),
  )
  const { port, close } = await listening(server)
  onTestFinished(close)
  const ask = async (path: string, agent: Agent) => {
    const [response] = (await once(get({ host: '127.0.0.1', port, path, agent }), 'response')) as [IncomingMessage]
    return text(response)
  }
  const agents = ['/login', '/'].map((path) => ({ path, agent: new Agent({ keepAlive: true, maxSockets: 1 }) }))
  onTestFinished(() => agents.forEach(({ agent }) => void agent.destroy()))
  const answers: string[] = []
  for (let n = 0; n < 3; n++) for (const { path, agent } of agents) answers.push(await ask(path, agent))
  expect(answers.slice(-2)).toEqual([expect.stringContaining('127.0.0.1'), ''])
  expect(Reflect.ownKeys(sockets['/login']!)).toEqual(Reflect.ownKeys(sockets['/']!))
  expect(isLike(sockets['/login']!, sockets['/']!)).toBe(true)
})

const MENDED = `
  import { Redis } from 'ioredis'
  import { redis } from 'sojourn/store/redis'
  const isFast = () => %HasFastProperties(String.prototype)
  const before = isFast()
  redis(new Redis({ lazyConnect: true }))
  console.log(before, isFast())
`

test('a store over ioredis, which makes the methods of texts slow when it is loaded, makes them quick again', () => {
  const flags = ['--allow-natives-syntax', '--input-type=module', '--eval', MENDED]
  expect(execFileSync(process.execPath, flags, { encoding: 'utf8', cwd: import.meta.dirname })).toBe('false true\n')
})

test('the copies of a cached store have one layout, whatever wrote or read them', () => {
  // Without its push, which takes away what was written.
  const below = memory()
  const store = cached({
    get: (id) => below.get(id),
    set: (id, record, was) => below.set(id, record, was),
    delete: (id) => below.delete(id),
  })
  const times = { createdAt: Date.now(), seenAt: Date.now(), expiresAt: Date.now() + 60_000, version: 1 }
  store.set('written', { device: { ip: '::1' }, userId: 'ada', authenticatedAt: Date.now(), data: '{}', ...times }, 0)
  store.set('guest', { ...times, data: '{}' }, 0)
  below.set('read', { data: '{}', userId: 'ada', ...times }, 0)
  store.get('read')
  const copies = ['written', 'guest', 'read'].map((id) => store.get(id)!)
  expect(copies.map(Object.isFrozen)).toEqual([true, true, true])
  expect(copies.map((copy) => isLike(copy, copies[0]!))).toEqual([true, true, true])
})
