/**
 * A STAND-IN for a MongoDB server, NOT MongoDB: it speaks the wire protocol over TCP and keeps documents in memory, matched
 * and changed by `mingo`. It carries the plumbing of a driver: what is sent, how it is encoded, how it is answered. What
 * it cannot show is what MongoDB itself promises: durability, failover, locking, the order of concurrent commands.
 *
 * A command, field or operator that it does not implement is an error, and is kept in `complaints`: it never says "ok"
 * to what it has not done.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type Document, deserialize, serialize } from 'bson'
import { CommandError, Engine } from './mongodb-stand-in-engine.js'

const OP_REPLY = 1
const OP_QUERY = 2004
const OP_MSG = 2013
/** The sender does not wait for an answer. */
const MORE_TO_COME = 2

/** What is to become of a command, decided before it is carried out; nothing: it is carried out and answered. */
export type Fate =
  | undefined
  /** The connection breaks, before or after it was carried out. */
  | 'cut before'
  | 'cut after'
  /** It is carried out, and the majority was not there in time. */
  | 'unacknowledged'
  /** It is refused. */
  | { readonly code: number; readonly errmsg: string; readonly more?: Document }

/** A command as it came. */
export interface Heard {
  readonly name: string
  readonly body: Document
}

/** The stand-in, listening. */
export class StandIn {
  /** What it was asked and does not implement. */
  readonly complaints: string[] = []
  /** All commands but those with which drivers look after their connections. */
  readonly heard: Heard[] = []
  readonly engine: Engine = new Engine()
  /** Decides about each command. */
  fate: (heard: Heard) => Fate | Promise<Fate> = () => undefined
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #replicaSet: boolean

  private constructor(replicaSet: boolean) {
    this.#replicaSet = replicaSet
    this.#server = createServer((socket) => this.#serve(socket))
  }

  /** Listens on a port of its own: as the primary of a replica set of one, or as a single server. */
  static async listen(as: 'replica set' | 'single server' = 'replica set'): Promise<StandIn> {
    const standIn = new StandIn(as === 'replica set')
    await new Promise<void>((resolve) => standIn.#server.listen(0, '127.0.0.1', resolve))
    return standIn
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo
    return `mongodb://127.0.0.1:${port}/?serverSelectionTimeoutMS=2000&heartbeatFrequencyMS=500${this.#replicaSet ? '&replicaSet=stand-in' : ''}`
  }

  /** Breaks all connections; new ones are served. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    let waiting = Buffer.alloc(0)
    // One connection is answered in order; a driver does not ask twice before it is.
    let turn = Promise.resolve()
    socket.on('data', (chunk) => {
      waiting = Buffer.concat([waiting, chunk])
      while (waiting.length >= 4 && waiting.length >= waiting.readInt32LE(0)) {
        const message = waiting.subarray(0, waiting.readInt32LE(0))
        waiting = waiting.subarray(message.length)
        turn = turn.then(() => this.#answer(socket, message)).catch((error) => this.#broken(socket, error))
      }
    })
  }

  #broken(socket: Socket, error: unknown): void {
    this.complaints.push(String(error))
    socket.destroy()
  }

  async #answer(socket: Socket, message: Buffer): Promise<void> {
    const requestId = message.readInt32LE(4)
    const opcode = message.readInt32LE(12)
    if (opcode === OP_QUERY) return void socket.write(reply(requestId, this.#hello()))
    if (opcode !== OP_MSG) throw new Error(`opcode ${opcode} is not implemented`)
    const { flags, body } = read(message)
    const answer = await this.#carryOut(body)
    if (answer === 'cut') return void socket.destroy()
    if ((flags & MORE_TO_COME) === 0 && !socket.destroyed) socket.write(msg(requestId, answer))
  }

  async #carryOut(body: Document): Promise<Document | 'cut'> {
    const name = Object.keys(body)[0]!
    if (name === 'hello' || name.toLowerCase() === 'ismaster') return this.#hello()
    if (name === 'ping' || name === 'endSessions') return { ok: 1 }
    const heard = { name, body }
    this.heard.push(heard)
    const fate = await this.fate(heard)
    if (fate === 'cut before') return 'cut'
    try {
      if (typeof fate === 'object') throw new CommandError(fate.code, fate.errmsg, fate.more)
      if (!this.#replicaSet) {
        if ('txnNumber' in body) throw new CommandError(20, 'Transaction numbers are only allowed on a replica set')
        if (body.pipeline?.[0]?.$changeStream)
          throw new CommandError(40573, 'The $changeStream stage is only supported on replica sets')
      }
      const answer = await this.engine.run(name, body)
      if (fate === 'cut after') return 'cut'
      const writeConcernError = {
        code: 64,
        codeName: 'WriteConcernTimeout',
        errmsg: 'waiting for replication timed out',
      }
      return fate === 'unacknowledged' ? { ...answer, writeConcernError } : answer
    } catch (error) {
      if (!(error instanceof CommandError)) this.complaints.push(String(error))
      const { code = 59, message } = error as { code?: number; message: string }
      return { ok: 0, code, codeName: `Error${code}`, errmsg: message, ...(error as CommandError).more }
    }
  }

  #hello(): Document {
    const { port } = this.#server.address() as AddressInfo
    const me = `127.0.0.1:${port}`
    return {
      ismaster: true,
      isWritablePrimary: true,
      ...(this.#replicaSet
        ? { setName: 'stand-in', setVersion: 1, hosts: [me], me, primary: me, secondary: false }
        : {}),
      maxBsonObjectSize: 16 * 1024 * 1024,
      maxMessageSizeBytes: 48_000_000,
      maxWriteBatchSize: 100_000,
      localTime: new Date(),
      logicalSessionTimeoutMinutes: 30,
      minWireVersion: 0,
      maxWireVersion: 21,
      readOnly: false,
      ok: 1,
    }
  }
}

/** An OP_MSG: a document, and sequences of documents that belong into it as arrays. */
function read(message: Buffer): { flags: number; body: Document } {
  const flags = message.readUInt32LE(16)
  let body: Document = {}
  for (let at = 20; at < message.length; ) {
    const kind = message[at++]
    const size = message.readInt32LE(at)
    if (kind === 0) body = { ...decoded(message.subarray(at, at + size)), ...body }
    else if (kind === 1) {
      const end = message.indexOf(0, at + 4)
      const documents: Document[] = []
      for (let next = end + 1; next < at + size; next += message.readInt32LE(next))
        documents.push(decoded(message.subarray(next, next + message.readInt32LE(next))))
      body[message.toString('utf8', at + 4, end)] = documents
    } else throw new Error(`an OP_MSG section of kind ${kind} is not implemented`)
    at += size
  }
  return { flags, body }
}

function decoded(bytes: Buffer): Document {
  return deserialize(bytes, { validation: { utf8: true } })
}

function msg(to: number, body: Document): Buffer {
  const bytes = serialize(body, { ignoreUndefined: true })
  return Buffer.concat([header(21 + bytes.length, to, OP_MSG), Buffer.alloc(5), bytes])
}

/** Only drivers' first word comes as OP_QUERY, and is answered so. */
function reply(to: number, body: Document): Buffer {
  const bytes = serialize(body)
  const head = Buffer.alloc(20)
  head.writeInt32LE(1, 16)
  return Buffer.concat([header(36 + bytes.length, to, OP_REPLY), head, bytes])
}

let messages = 0

function header(length: number, to: number, opcode: number): Buffer {
  const head = Buffer.alloc(16)
  head.writeInt32LE(length, 0)
  head.writeInt32LE(++messages, 4)
  head.writeInt32LE(to, 8)
  head.writeInt32LE(opcode, 12)
  return head
}
