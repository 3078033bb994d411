/** What the SQLite store acknowledged is there after its process was killed, whole, and what it ended stays ended. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { sqlite } from 'sojourn/store/sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { ask, connect, folder, whole } from './fixtures/sqlite.js'

const CHILD = fileURLToPath(new URL('fixtures/sqlite-child.mjs', import.meta.url))
const ROUNDS = 24

/** Lets a child write for a moment, kills it in the middle, and gives what it had acknowledged. */
async function writeAndKill(file: string, durability: string, log: string): Promise<[id: string, version: number][]> {
  const out = openSync(log, 'w')
  const child = spawn(process.execPath, [CHILD, 'write', file, durability], { stdio: ['ignore', out, 'pipe'] })
  closeSync(out)
  let complaint = ''
  child.stderr!.on('data', (text) => {
    complaint += text
  })
  const gone = once(child, 'close')
  // Now and then while it still opens the file; mostly after it has begun to write, at no particular point.
  if (Math.random() < 0.9) {
    while (readFileSync(log).length === 0 && child.exitCode === null) await pause(5)
  }
  await pause(Math.random() * 120)
  child.kill('SIGKILL')
  const [, signal] = await gone
  expect(signal, complaint).toBe('SIGKILL')
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])])
}

test.each(['normal', 'full'] as const)(
  `kill -9 in the middle of writing, ${ROUNDS} times, loses no acknowledged write: %s`,
  { timeout: 120_000 },
  async (durability) => {
    const { path, remove } = folder()
    onTestFinished(remove)
    const file = join(path, 'sessions.db')
    const acknowledged = new Map<string, number>()
    let lines = 0
    for (let round = 0; round < ROUNDS; round++) {
      for (const [id, version] of await writeAndKill(file, durability, join(path, 'log'))) {
        acknowledged.set(id, version)
        lines++
      }
      const store = sqlite(file)
      for (const [id, version] of acknowledged) {
        const found = store.get(id)
        if (version === 0) expect(found, `round ${round}: ended, and back again`).toBeUndefined()
        else expect(found?.version, `round ${round}: ${id} lost`).toBeGreaterThanOrEqual(version)
      }
      for (const [id, { data }] of store.list()) expect(whole(data), `round ${round}: ${id} half written`).toBe(true)
      store.close()
      const db = connect(file)
      expect(ask(db, 'PRAGMA integrity_check')).toBe('ok')
      db.close()
    }
    // So that the rounds above are known to have hit something.
    expect(lines).toBeGreaterThan(ROUNDS * 40)
    expect([...acknowledged.values()].filter((version) => version === 0).length).toBeGreaterThan(ROUNDS / 2)
  },
)
