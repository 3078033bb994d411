/** The command, run as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url))

/** A process that runs the command. */
export interface Spawned {
  child: ChildProcess
  /** Everything on standard output and error so far. */
  output: () => string
  /** Resolves with the match when the pattern is there. */
  seen: (pattern: RegExp) => Promise<RegExpExecArray>
  /** Resolves with the exit code. */
  ended: Promise<number | null>
}

/** Runs `sojourn` with these arguments, and with this environment and nothing else; gone after the test. */
export function sojourn(args: string[], env: Record<string, string> = {}): Spawned {
  const child = spawn(process.execPath, [CLI, ...args], { env: { PATH: process.env.PATH, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  const waiting = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      text += chunk
      for (const check of waiting) check()
    })
  }
  const seen = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve) => {
      const check = () => {
        const match = pattern.exec(text)
        if (!match) return
        waiting.delete(check)
        resolve(match)
      }
      waiting.add(check)
      check()
    })
  return { child, output: () => text, seen, ended: once(child, 'exit').then(([code]) => code) }
}

/** A server in a process of its own, on a free port. */
export async function serve(
  data: string,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<Spawned & { url: string }> {
  const spawned = sojourn(['serve', '--port', '0', '--data', data, ...args], env)
  const [, url] = await spawned.seen(/"url":"([^"]+)"/)
  return { ...spawned, url: url! }
}
