/** Several processes with one vault in a SQLite file: one renewal for all, whoever dies; and what the file shows. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { sqlite } from 'sojourn/store/sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { drivers, folder } from './fixtures/sqlite.js'
import { VAULT_KEY, world } from './fixtures/vault.js'

const CHILD = fileURLToPath(new URL('fixtures/vault-child.mjs', import.meta.url))

/** A provider, a file in which `ada` is connected with a token that has run out, and processes that use it. */
async function shared() {
  expect(drivers.length).toBeGreaterThan(0)
  const { path, remove } = folder()
  onTestFinished(remove)
  const file = join(path, 'vault.db')
  const store = sqlite(file)
  onTestFinished(() => store.close())
  const w = await world('opaque', 'user', { rows: store })
  const tokens = w.tokens(0)
  await w.vault.keep('ada', tokens)
  async function start(calls: number): Promise<ChildProcess> {
    const args = [CHILD, file, w.provider.url, VAULT_KEY, String(calls)]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout!, 'data')
    return child
  }
  return { ...w, start, tokens, bytes: () => readdirSync(path).map((name) => readFileSync(join(path, name))) }
}

/** Says go, and gives the kinds of what was answered. */
async function answers(child: ChildProcess): Promise<string[]> {
  child.stdin!.write('go\n')
  const [line] = await once(child.stdout!, 'data')
  return JSON.parse(String(line)) as string[]
}

test('A-116: fifty calls on two processes with an expired token: one renewal, and no byte of a token in the file', async () => {
  const { start, provider, bytes, vault } = await shared()
  provider.state.mode = 'slow'
  const [one, two] = await Promise.all([start(25), start(25)])
  const got = (await Promise.all([answers(one), answers(two)])).flat()
  expect(got).toEqual(Array(50).fill('answer'))
  expect(provider.state.refreshes).toBe(1)
  expect(await vault.fetch('ada', 'github', '/user')).toMatchObject({ kind: 'answer' })
  expect(provider.state.refreshes).toBe(1)
  const files = bytes()
  expect(Buffer.concat(files).length).toBeGreaterThan(1_000)
  for (const token of [...provider.state.access, ...provider.state.refresh.keys(), 'canary'])
    for (const form of [
      token,
      Buffer.from(token).toString('base64url').slice(0, -2),
      Buffer.from(token).toString('hex'),
    ])
      expect(files.some((file) => file.includes(form))).toBe(false)
})

test('kill -9 of whoever holds the lease: it runs out, and the others go on with one renewal', {
  timeout: 40_000,
}, async () => {
  const { start, provider, vault } = await shared()
  const [victim, others] = await Promise.all([start(5), start(10)])
  provider.state.mode = 'hanging'
  victim.stdin!.write('go\n')
  while (provider.state.refreshes === 0) await pause(10)
  victim.kill('SIGKILL')
  await once(victim, 'exit')
  provider.state.mode = 'well'
  const began = performance.now()
  expect(await answers(others)).toEqual(Array(10).fill('answer'))
  // It was waited for, and not for ever.
  expect(performance.now() - began).toBeGreaterThan(15_000)
  expect(performance.now() - began).toBeLessThan(23_000)
  expect(provider.state.refreshes).toBe(2)
  expect(await vault.fetch('ada', 'github', '/user')).toMatchObject({ kind: 'answer' })
})

test('kill -9 between the provider’s answer and the store: the grant is lost, and that is said', {
  timeout: 40_000,
}, async () => {
  const { start, provider, vault, tokens } = await shared()
  const victim = await start(1)
  provider.state.mode = 'slow'
  victim.stdin!.write('go\n')
  // The provider has made the old refresh token void, and its answer is on the way.
  while (provider.state.refresh.get(tokens.refreshToken!) !== 'used') await pause(5)
  victim.kill('SIGKILL')
  await once(victim, 'exit')
  provider.state.mode = 'well'
  expect(await vault.fetch('ada', 'github', '/user')).toEqual({ kind: 'reconnect', provider: 'github', why: 'revoked' })
  expect(await vault.connections('ada')).toEqual([])
})
