/** What the file store acknowledged is there after its process was killed, whole, and what it ended stays ended. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { file } from 'sojourn/store/file'
import { expect, onTestFinished, test } from 'vitest'
import { CHILD, contents, folder, record } from './fixtures/file.js'
import { whole } from './fixtures/sqlite.js'

const ROUNDS = 24

/** Lets a child write for a moment, kills it in the middle, and gives what it had acknowledged. */
async function writeAndKill(path: string, durability: string, log: string): Promise<[id: string, version: number][]> {
  const out = openSync(log, 'w')
  const child = spawn(process.execPath, [CHILD, 'write', path, durability], { stdio: ['ignore', out, 'pipe'] })
  closeSync(out)
  let complaint = ''
  child.stderr!.on('data', (text) => {
    complaint += text
  })
  const gone = once(child, 'close')
  while (readFileSync(log).length === 0 && child.exitCode === null) await pause(5)
  await pause(Math.random() * 120)
  child.kill('SIGKILL')
  const [, signal] = await gone
  expect(signal, complaint).toBe('SIGKILL')
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])])
}

test.each(['normal', 'full'] as const)(
  `kill -9 in the middle of writing, ${ROUNDS} times, loses no acknowledged write: %s`,
  { timeout: 180_000 },
  async (durability) => {
    const { path, remove } = folder(tmpdir())
    onTestFinished(remove)
    const sessions = join(path, 'sessions')
    const acknowledged = new Map<string, number>()
    let lines = 0
    for (let round = 0; round < ROUNDS; round++) {
      for (const [id, version] of await writeAndKill(sessions, durability, join(path, 'log'))) {
        acknowledged.set(id, version)
        lines++
      }
      const store = file(sessions)
      for (const [id, version] of acknowledged) {
        const found = store.get(id)
        if (version === 0) expect(found, `round ${round}: ended, and back again`).toBeUndefined()
        else expect(found?.version, `round ${round}: ${id} lost`).toBeGreaterThanOrEqual(version)
      }
      let living = 0
      for await (const [id, { data }] of store.list()) {
        expect(whole(data), `round ${round}: ${id} half written`).toBe(true)
        living++
      }
      expect([...store.list('ada')], `round ${round}: what is there is its user's`).toHaveLength(living)
      store.close()
    }
    // So that the rounds above are known to have hit something.
    expect(lines).toBeGreaterThan(ROUNDS * 40)
    expect([...acknowledged.values()].filter((version) => version === 0).length).toBeGreaterThan(ROUNDS / 2)
    // What the killed left is found by its age alone, and is not much.
    const store = file(sessions)
    const records = readdirSync(join(sessions, 'records'), { recursive: true, encoding: 'utf8' })
    const surplus = records.filter((name) => /[0-9a-f]{64}\//.test(name)).length - 2 * acknowledged.size
    expect(surplus).toBeLessThanOrEqual(ROUNDS * 41)
    store.close()
  },
)

test('a full disk throws, and leaves every record as it was and nothing half written', async (context) => {
  const { path, remove } = folder(tmpdir())
  onTestFinished(remove)
  const disk = join(path, 'disk')
  mkdirSync(disk)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'sojourn-test', disk])
  if (mounted.status !== 0) {
    // Not a failure in CI either: nothing but root's rights is missing there.
    context.skip('a small disk takes the right to mount one')
  }
  onTestFinished(() => {
    spawnSync('umount', [disk])
  })
  const store = file(join(disk, 'sessions'))
  onTestFinished(() => store.close())
  const data = JSON.stringify('x'.repeat(20_000))
  const live: string[] = []
  const failed: unknown[] = []
  for (let n = 0; n < 60; n++) {
    try {
      if (store.set(`id-${n}`, record({ userId: 'ada', data }), 0)) live.push(`id-${n}`)
    } catch (error) {
      failed.push(error)
    }
  }
  expect(live.length).toBeGreaterThan(5)
  expect(failed.length).toBeGreaterThan(5)
  for (const error of failed)
    expect(String(error)).toMatch(/^Error: file: the disk answered ENOSPC to (write|open|mkdir)$/)
  // Fill what is left, so that not even a small write fits.
  try {
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(1 << 20))
  } catch {}
  const before = contents(join(disk, 'sessions'))
  for (const id of live) {
    expect(() => store.set(id, record({ userId: 'ada', data, version: 2 }), 1)).toThrow('ENOSPC')
    expect(store.get(id)).toMatchObject({ data, version: 1 })
  }
  expect(contents(join(disk, 'sessions')), 'nothing half written is left').toEqual(before)
  expect([...store.list('ada')]).toHaveLength(live.length)
  // To end a session takes no room, and makes some.
  expect(store.delete(live[0]!)).toBe(true)
  rmSync(join(disk, 'ballast'), { force: true })
  expect(store.set(live[1]!, record({ userId: 'ada', data, version: 2 }), 1)).toBe(true)
})
