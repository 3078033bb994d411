/** A server for a test: in a folder of its own, on a free port, with its log kept. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, type Running, readConfig, start } from '@sojourn/server'
import { createLog } from '@sojourn/server/log'
import { onTestFinished } from 'vitest'
import { type Client, client } from './client.js'

/** A server that runs until the test is over. */
export interface Started extends Running {
  data: string
  /** The lines of the log so far. */
  lines: string[]
  /** A client with no cookies. */
  visitor(): Client
  /** A client that has just made an account. */
  user(username: string): Promise<Client>
}

/** The password of every account that `user` makes. */
export const PASSWORD = 'a few words in a row'

/** A folder that is gone after the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sojourn-server-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Starts a server; `over` says what differs from the defaults. */
export async function started(
  over: Partial<Config> = {},
  options: { clock?: () => number; wait?: number } = {},
): Promise<Started> {
  const data = over.data ?? folder()
  const lines: string[] = []
  const log = createLog({ write: (line) => void lines.push(line) })
  const running = await start({ ...readConfig({}, {}), port: 0, ...over, data }, { log, ...options })
  onTestFinished(() => running.close())
  const visitor = () => client(running.url)
  return {
    ...running,
    data,
    lines,
    visitor,
    async user(username) {
      const made = visitor()
      const { status, text } = await made.post('/api/signup', { username, password: PASSWORD })
      if (status !== 201) throw new Error(`sign-up answered ${status}: ${text}`)
      return made
    },
  }
}
