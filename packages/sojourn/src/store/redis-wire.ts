/**
 * The clients of Redis, told apart by what they can do and spoken to in one way. Which server has a key, and what to do
 * when that changes, is the driver's part.
 */

import { randomInt } from 'node:crypto'
// Not the global one, which tests put a clock of their own in place of: the connection is the app's as well.
import { setImmediate } from 'node:timers'

/** ioredis or iovalkey: a `Redis` or a `Cluster`. */
export interface IoredisClient {
  call(command: string, ...args: string[]): Promise<unknown>
  get(key: string): Promise<string | null>
  defineCommand(name: string, definition: { lua: string }): unknown
  duplicate(): unknown
}

/** node-redis: what `createClient`, `createClientPool`, `createSentinel` or `createCluster` make. */
export interface NodeRedisClient {
  sendCommand(...args: never[]): Promise<unknown>
  duplicate?(): unknown
  close(): unknown
}

/** A client that the store can be handed. */
export type RedisClient = IoredisClient | NodeRedisClient

/** Something that hears what is published, until its connection is lost. */
export interface Ear {
  close(): void
}

/** A client, as the store speaks to it. */
export interface Wire {
  /** What the driver puts before each key, and leaves there in what SCAN answers. */
  readonly keyPrefix: string
  get(key: string): Promise<string | null>
  /** One command on one key, sent to the master that has it. */
  send(command: string, key: string, args: readonly string[]): Promise<unknown>
  /** EVALSHA or EVAL: the key is the third of `args`. */
  run(command: 'EVAL' | 'EVALSHA', source: string, key: string, args: readonly string[]): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
  /** One function for each server that has a share of the keys: sends it a command that has no key. */
  masters(): Promise<readonly ((args: readonly string[]) => Promise<unknown>)[]>
  /** A connection of its own that hears `channel`. `onLost` is called at most once, and then it is no use any more. */
  listen(channel: string, onMessage: (message: string) => void, onLost: () => void): Promise<Ear>
}

/** @throws TypeError when it is none of the clients, or one that may ask a replica. */
export function wireOf(client: RedisClient): Wire {
  const it = client as Partial<IoredisClient & NodeRedisClient> | undefined
  if (typeof it?.defineCommand === 'function' && typeof it.call === 'function') return ioredis(it as Ioredis)
  if (typeof it?.sendCommand === 'function' && typeof it.close === 'function') return nodeRedis(it as NodeRedis)
  throw new TypeError(
    'redis: the first argument must be a client of ioredis 5 or 6, iovalkey, or redis (node-redis) 5 or 6; pass what `new Redis()` or `createClient()` made',
  )
}

type Events = {
  on(event: string, listener: (...args: never[]) => void): unknown
  removeAllListeners?(): unknown
}

/** What a connection is written to. */
interface Outlet {
  cork(): void
  uncork(): void
}

interface Ioredis extends IoredisClient, Events {
  /** A Cluster has none: its servers have. */
  readonly stream?: Outlet
  readonly options: {
    keyPrefix?: string | Buffer
    redisOptions?: { keyPrefix?: string | Buffer }
    scaleReads?: unknown
    role?: string
  }
  nodes?(role: 'master'): Ioredis[]
  duplicate(options?: object): Ioredis
  connect(): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  disconnect(): void
}

/**
 * ioredis 6 has a class that extends String, which leaves V8 with a String.prototype that it looks up slowly, for all code
 * of the process. To set something on an object that inherits from it makes it fast again. node-redis does this by itself.
 */
function mendStrings(): void {
  Object.create(String.prototype).mended = true
}

/**
 * ioredis writes every command by itself: a call to the kernel each, and another that wakes the server. Where this is called
 * before a command, what all requests of one turn of the event loop ask leaves at its end, in one piece, and is answered
 * in one; so does what the app asks of the same client meanwhile. node-redis does this by itself. `enableAutoPipelining`
 * comes to the same by putting commands into pipelines.
 */
function together(outlets: () => readonly (Outlet | undefined)[]): () => void {
  let held: readonly (Outlet | undefined)[] | undefined
  const release = () => {
    const corked = held!
    held = undefined
    for (const outlet of corked) outlet?.uncork()
  }
  return () => {
    if (held) return
    held = outlets()
    setImmediate(release)
    for (const outlet of held) outlet?.cork()
  }
}

function ioredis(client: Ioredis): Wire {
  mendStrings()
  const { keyPrefix = client.options.redisOptions?.keyPrefix ?? '', scaleReads = 'master', role } = client.options
  const cluster = typeof client.nodes === 'function'
  if (role === 'slave' || (cluster && scaleReads !== 'master')) {
    throw new TypeError(
      `redis: this client reads from replicas (${cluster ? '`scaleReads`' : '`role`'}), which may not know yet of a login or a logout; pass one that reads from masters`,
    )
  }
  const hold = together(cluster ? () => client.nodes!('master').map(({ stream }) => stream) : () => [client.stream])
  const call = (command: string, ...args: string[]) => {
    hold()
    return client.call(command, ...args)
  }
  const masters = async () => {
    if (!cluster) return [client]
    // Which servers there are is known once a command got through.
    if (client.nodes!('master').length === 0) await client.call('CLUSTER', 'INFO')
    return known(client.nodes!('master'))
  }
  return {
    keyPrefix: String(keyPrefix),
    get(key) {
      hold()
      return client.get(key)
    },
    send: (command, key, args) => call(command, key, ...args),
    run: (command, source, key, args) => call(command, source, '1', key, ...args),
    publish: (channel, message) => call('PUBLISH', channel, message),
    masters: async () =>
      (await masters()).map(
        (node) =>
          ([command, ...args]) =>
            node.call(command!, ...args),
      ),
    async listen(channel, onMessage, onLost) {
      const nodes = await masters()
      const node = nodes[randomInt(nodes.length)]!
      const ear = node.duplicate({ ...QUIET, readOnly: false, enableOfflineQueue: true })
      const close = () => ear.disconnect()
      ear.on('error', () => {})
      ear.on('message', (_: string, message: string) => onMessage(message))
      return opened(ear, close, onLost, ['close', 'end'], async () => {
        await ear.connect()
        await ear.subscribe(channel)
      })
    },
  }
}

function known<T>(masters: readonly T[]): readonly T[] {
  if (masters.length === 0) throw new Error('the cluster has no master that can be reached')
  return masters
}

/** The feed connects anew by itself, and to the server that is the right one then. */
const QUIET = { lazyConnect: true, retryStrategy: null, sentinelRetryStrategy: null, maxRetriesPerRequest: 0 }

interface NodeRedis extends NodeRedisClient, Events {
  sendCommand(...args: unknown[]): Promise<unknown>
  duplicate?(options?: object): NodeRedis
  connect(): Promise<unknown>
  off(event: string, listener: (...args: never[]) => void): unknown
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  unsubscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  destroy(): unknown
  // A cluster has these …
  readonly masters?: readonly object[]
  nodeClient?(node: object): Promise<NodeRedis>
  // … a Sentinel client this …
  readonly getSentinelNode?: unknown
  // … and a pool these.
  execute?<T>(work: (client: NodeRedis) => Promise<T>): Promise<T>
  readonly totalClients?: number
}

function nodeRedis(client: NodeRedis): Wire {
  const cluster = typeof client.nodeClient === 'function'
  const sentinel = typeof client.getSentinelNode === 'function'
  // `false`: never a replica, whatever `useReplicas` says.
  const send = (key: string | undefined, args: readonly string[]): Promise<unknown> => {
    if (cluster) return client.sendCommand(key, false, args)
    return sentinel ? client.sendCommand(false, args) : client.sendCommand(args)
  }
  const masters = async (): Promise<readonly NodeRedis[]> => {
    if (!cluster) return [client]
    // A cluster that was closed, or has not found its servers yet, knows of none.
    return Promise.all(known(client.masters!).map((node) => client.nodeClient!(node)))
  }
  /** Something to make a connection of its own from. */
  const parent = async (): Promise<NodeRedis> => {
    if (typeof client.totalClients === 'number') return client.execute!(async (one) => one)
    const nodes = await masters()
    return nodes[randomInt(nodes.length)]!
  }
  return {
    keyPrefix: '',
    get: (key) => send(key, ['GET', key]) as Promise<string | null>,
    send: (command, key, args) => send(key, [command, key, ...args]),
    run: (command, source, key, args) => send(key, [command, source, '1', key, ...args]),
    publish: (channel, message) => send(undefined, ['PUBLISH', channel, message]),
    masters: async () => {
      if (!cluster) return [(args) => send(undefined, args)]
      return (await masters()).map((node) => (args) => node.sendCommand(args))
    },
    async listen(channel, onMessage, onLost) {
      const from = await parent()
      const hear = (message: string) => onMessage(String(message))
      if (!from.duplicate) return borrowed(from, channel, hear, onLost)
      const ear = from.duplicate(sentinel ? {} : { socket: patient(from) })
      const close = () => void Promise.resolve(ear.destroy()).catch(() => {})
      const lost = sentinel ? SENTINEL_LOST : ['error', 'end']
      return opened(ear, close, onLost, lost, async () => {
        await ear.connect()
        await ear.subscribe(channel, hear)
      })
    },
  }
}

/** What a client for Sentinel tells when the server that it hears may be another from now on. */
const SENTINEL_LOST = ['error', 'end', 'client-error', 'topology-change']

/** The Sentinel client of node-redis 5 cannot be duplicated, but keeps a connection of its own for what it hears. */
function borrowed(
  client: NodeRedis,
  channel: string,
  hear: (message: string) => void,
  onLost: () => void,
): Promise<Ear> {
  const added: Parameters<NodeRedis['off']>[] = []
  const events: Events = {
    on: (event, listener) => {
      added.push([event, listener])
      client.on(event, listener)
    },
  }
  const close = () => {
    for (const [event, listener] of added) client.off(event, listener)
    client.unsubscribe(channel, hear).catch(() => {})
  }
  return opened(events, close, onLost, SENTINEL_LOST, async () => void (await client.subscribe(channel, hear)))
}

/** The options of the connection, without the driver's own way of connecting anew. */
function patient(client: NodeRedis): object {
  const { options } = client as { options?: { socket?: object } }
  return { ...options?.socket, reconnectStrategy: false }
}

/** Opens an ear, and tells once of its loss: also where it was never open. */
async function opened(
  ear: Events,
  close: () => void,
  onLost: () => void,
  events: readonly string[],
  open: () => Promise<void>,
): Promise<Ear> {
  let over = false
  const end = () => {
    if (over) return false
    over = true
    try {
      close()
    } catch {
      // It was closed already.
    }
    return true
  }
  let isOpen = false
  for (const event of events) ear.on(event, () => isOpen && end() && onLost())
  try {
    await open()
  } catch (error) {
    end()
    throw error
  }
  isOpen = true
  return { close: () => void end() }
}
