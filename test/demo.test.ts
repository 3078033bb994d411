/** `npm run demo:cluster`, run once: what it prints is what it promises. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { find } from '../scripts/programs.mjs'

const root = join(import.meta.dirname, '..')

test('A-80, A-69: the cluster demo: shared at once, ended at once, and nobody loses anything to a killed node', {
  timeout: 120_000,
}, async (context) => {
  if (!find('redis') || !find('nginx')) {
    const message = 'redis-server or nginx was not found; set REDIS_SERVER and NGINX'
    if (process.env.CI) throw new Error(message)
    context.skip(message)
  }
  const demo = spawn(process.execPath, [join(root, 'scripts', 'demo-cluster.mjs'), '--built'], { cwd: root })
  onTestFinished(() => void demo.kill('SIGTERM'))
  let text = ''
  for (const stream of [demo.stdout, demo.stderr])
    stream.on('data', (chunk) => {
      text += chunk
    })
  const [code] = await once(demo, 'close')
  expect(code, text).toBe(0)

  const numbers = (pattern: RegExp) => (pattern.exec(text)?.slice(1) ?? [text]).map(Number)
  expect(text).toContain('the cart on server 1 has 2 of')
  const times = /is refused on server 2: ([\d., ]+) ms/.exec(text)?.[1]?.split(', ').map(Number) ?? []
  expect(times).toHaveLength(5)
  expect(Math.max(...times)).toBeLessThan(1_000)
  const [requests, , strange] = numbers(/requests (\d+), answered 503 (\d+), other answers (\d+)/)
  expect(requests).toBeGreaterThan(100)
  expect(strange).toBe(0)
  const [longest, slowest] = numbers(/longest pause of one visitor (\d+) ms, slowest answer (\d+) ms/)
  expect(longest).toBeLessThan(20_000)
  expect(slowest).toBeLessThan(5_000)
  const [kept, lost, out] = numbers(/additions acknowledged (\d+), lost (\d+), visitors signed out or forgotten (\d+)/)
  expect(kept).toBeGreaterThan(50)
  expect([lost, out]).toEqual([0, 0])

  // Nothing of it listens any more.
  const [, url] = /(http:\S+) is gone now/.exec(text)!
  await expect(fetch(url!)).rejects.toThrow()
})
